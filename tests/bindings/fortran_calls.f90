! The Fortran module: fortran_calls DIGITS.onnx. Prints a line for each thing that is wrong.
program fortran_calls
  use, intrinsic :: iso_c_binding
  use leat
  implicit none
  logical :: has_failed = .false.
  character(len=1000) :: path

  call get_command_argument(1, path)
  call devices_are_listed()
  call products_are_fortrans()
  call convolution_takes_columns()
  call models_run()
  call mistakes_are_told()
  if (has_failed) error stop 1
  print "(a)", "all hold"

contains

  subroutine expect(condition, text)
    logical, intent(in) :: condition
    character(len=*), intent(in) :: text
    if (condition) return
    print "(4a)", "does not hold: ", text, "; last error: ", leat_error()
    has_failed = .true.
  end subroutine

  !> With a message that has these words.
  subroutine expect_failure(ierr, status, words)
    integer, intent(in) :: ierr, status
    character(len=*), intent(in) :: words
    character(len=:), allocatable :: message
    message = leat_error()
    call expect(ierr == status .and. index(message, words) > 0, "a failure that names "//words)
  end subroutine

  subroutine devices_are_listed()
    type(leat_device), allocatable :: devices(:)
    integer :: ierr, i
    logical :: has_cpu
    call leat_devices(devices, ierr)
    has_cpu = .false.
    do i = 1, size(devices)
      if (devices(i)%name == "cpu") has_cpu = devices(i)%refusal == "" .and. &
        devices(i)%memory_bytes > 0
    end do
    call expect(ierr == 0 .and. has_cpu, "the cpu is listed")
  end subroutine

  subroutine products_are_fortrans()
    type(leat_session) :: session
    real(c_float) :: a(3, 4), b(4, 2), c(3, 2)
    real(c_double) :: d(3, 4), e(4, 2), f(3, 2)
    integer :: ierr, i
    call session%open(ierr, "cpu")
    call expect(ierr == 0, "a session opens")
    a = reshape([(real(i), i = 1, 12)], [3, 4])
    b = reshape([(real(i - 4), i = 1, 8)], [4, 2])
    call leat_matmul(session, a, b, c, ierr)
    call expect(ierr == 0, "matmul of real(c_float) runs")
    call expect(all(c == matmul(a, b)), "it is Fortran's")
    d = a; e = b
    call leat_matmul(session, d, e, f, ierr)
    call expect(ierr == 0, "matmul of real(c_double) runs")
    call expect(all(f == matmul(d, e)), "it is Fortran's, too")
    call leat_matmul(session, a, a, c, ierr)
    call expect(ierr == leat_invalid_argument, "shapes that do not fit are refused")
    call session%close()
  end subroutine

  subroutine convolution_takes_columns()
    type(leat_session) :: session
    real :: x(6, 5, 2, 1), w(3, 3, 2, 2), y(3, 5, 2, 1), bias(2) = [1, -1], expected
    integer :: ierr, i, p, q, k, r, s, c
    call session%open(ierr, "cpu")
    x = reshape([(real(mod(i, 7) - 3), i = 1, size(x))], shape(x))
    w = reshape([(real(mod(i, 5) - 2), i = 1, size(w))], shape(w))
    ! strides of rows 1, columns 2
    call leat_conv2d(session, x, w, y, ierr, bias=bias, stride=[1, 2], pad=[1, 1, 1, 1])
    call expect(ierr == 0, "a convolution runs")
    do k = 1, 2
      do p = 1, 5
        do q = 1, 3
          expected = bias(k)
          do c = 1, 2
            do r = 1, 3
              do s = 1, 3
                associate (row => p + r - 2, column => 2 * q + s - 3)
                  if (row < 1 .or. row > 5 .or. column < 1 .or. column > 6) cycle
                  expected = expected + x(column, row, c, 1) * w(s, r, c, k)
                end associate
              end do
            end do
          end do
          call expect(y(q, p, k, 1) == expected, "a convolution's element")
        end do
      end do
    end do
    call session%close()
  end subroutine

  subroutine models_run()
    type(leat_model) :: net
    real, target :: picture(28, 28, 1, 1), scores(10), again(10, 1)
    real, pointer :: memory(:), rows(:, :), result(:)
    integer :: ierr
    picture = 0
    picture(15, 5:24, 1, 1) = 255
    call net%load(path, ierr, device="cpu")
    call expect(ierr == 0, "a model loads")
    call net%run(picture, scores, ierr)
    call expect(ierr == 0 .and. abs(sum(scores) - 1) < 1e-5, "a model runs")
    call expect(maxloc(scores, 1) == 2, "an upright bar is a one")
    call net%run([leat_view(picture)], [leat_view(again)], ierr)
    call expect(ierr == 0 .and. all(again(:, 1) == scores), "a list of tensors runs")
    call net%input_memory(1, memory, ierr)
    call expect(ierr == 0 .and. size(memory) == 784, "an input lies in memory")
    rows(1:28, 1:28) => memory
    rows = picture(:, :, 1, 1)
    call net%run_in_place(ierr)
    call net%output_memory(1, result, ierr)
    call expect(ierr == 0 .and. all(result == scores), "a run in place gives the same bits")
    call net%close()
  end subroutine

  subroutine mistakes_are_told()
    type(leat_model) :: net
    real :: picture(28, 28), few(9)
    real(c_double), pointer :: doubles(:)
    integer :: ierr
    call net%load("/nowhere.onnx", ierr)
    call expect_failure(ierr, leat_io, "nowhere")
    call net%load(path, ierr, device="gpu77")
    call expect_failure(ierr, leat_invalid_argument, "gpu77")
    call net%load(path, ierr, device="cpu")
    picture = 0
    call net%run(picture, few, ierr)
    call expect(ierr == leat_invalid_argument, "an input of another rank")
    call net%run(reshape(picture, [28, 28, 1, 1]), few, ierr)
    call expect_failure(ierr, leat_invalid_argument, "(9)")
    call net%input_memory(1, doubles, ierr)
    call expect(ierr == leat_invalid_argument .and. .not. associated(doubles), "another type")
    call net%close()
  end subroutine
end program
