! A digit's class from Fortran: first_answer DIGITS.onnx
program first_answer
  use leat
  implicit none
  real :: picture(28, 28, 1, 1) = 0, scores(10)
  type(leat_model) :: net
  character(len=1000) :: path
  integer :: ierr, i
  picture(15, 5:24, 1, 1) = 255  ! an upright bar is a one
  call get_command_argument(1, path)
  call net%load(path, ierr)
  if (ierr == 0) call net%run(picture, scores, ierr)
  if (ierr /= 0) error stop leat_error()
  print "(i0, f6.3)", (i - 1, scores(i), i = 1, 10)
  call net%close()
end program
