! A picture is blurred by a convolution on the best device, or the one named.
program convolve
  use leat
  implicit none
  integer, parameter :: width = 640, height = 480
  real, allocatable :: picture(:, :, :, :), blurred(:, :, :, :)
  real :: weights(5, 5, 1, 1) = 1.0 / 25
  type(leat_session) :: session
  character(len=100) :: device
  integer :: ierr, i, j

  allocate(picture(width, height, 1, 1), blurred(width, height, 1, 1))
  do concurrent (i = 1:width, j = 1:height)
    picture(i, j, 1, 1) = merge(1.0, 0.0, mod(i / 16 + j / 16, 2) == 0)  ! a chessboard
  end do
  call get_command_argument(1, device)
  call session%open(ierr, device)
  if (ierr == 0) call leat_conv2d(session, picture, weights, blurred, ierr, pad=[2, 2, 2, 2])
  if (ierr /= 0) error stop leat_error()
  print "(a, 5f6.2)", "across an edge:", blurred(14:18, 8, 1, 1)
  call session%close()
end program
