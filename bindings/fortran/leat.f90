! Leat in Fortran, on the C interface (leat.h, which says more of each call).
!
! Arrays are taken as they lie in memory, column-major, and nothing is copied or transposed: an
! array whose first index runs fastest is a tensor whose last axis does. So extents stand in
! reverse:
!   ONNX (N, C, H, W)  is  picture(w, h, c, n);   weights (K, C, R, S)  are  w(s, r, c, k).
! An output has the shape of the result in that sense; extents of 1 may be left out. Arrays are of
! real(c_float), real(c_double), integer(c_int8_t), integer(c_int32_t) or integer(c_int64_t), of
! rank 0 to 8; a section that is not contiguous is copied by the compiler.
!
! Every call ends with ierr, 0 when it succeeded, else a leat_status; then leat_error() is a
! sentence.
!
!   type(leat_model) :: net
!   call net%load("digits.onnx", ierr)
!   call net%run(picture, scores, ierr)
module leat
  use, intrinsic :: iso_c_binding
  implicit none
  private
  public :: leat_model, leat_session, leat_device, leat_tensor, leat_view, leat_devices
  public :: leat_conv2d, leat_matmul, leat_error, leat_version

  integer, parameter, public :: leat_ok = 0, leat_invalid_argument = 1, leat_unsupported = 2, &
    leat_out_of_memory = 3, leat_device_lost = 4, leat_io = 5, leat_internal = 6, leat_timeout = 7
  integer, parameter :: rank_max = 8
  integer(c_int32_t), parameter :: f32 = 1, i8 = 3, i32 = 6, i64 = 7, f64 = 11

  !> An array as the C interface sees it; leat_view makes it. The array has the target attribute and
  !> outlives it.
  type, bind(c) :: leat_tensor
    type(c_ptr) :: data = c_null_ptr
    integer(c_size_t) :: size_bytes = 0
    integer(c_int32_t) :: type = 0
    integer(c_int32_t) :: rank = 0
    integer(c_int64_t) :: shape(rank_max) = 0  ! outermost first: the reverse of Fortran's
  end type

  !> A route to a device; refusal says why it cannot be used, and is empty when it can.
  type :: leat_device
    character(len=:), allocatable :: name, chip, vendor, driver, route, refusal
    logical :: is_software = .false.
    integer(c_int64_t) :: memory_bytes = 0
  end type

  !> Devices that are open, for models and single operations. A copy is the same session.
  type :: leat_session
    type(c_ptr) :: handle = c_null_ptr
  contains
    procedure :: open => session_open
    procedure :: close => session_close
  end type

  !> An ONNX file ready to run. A copy is the same model; one of them is closed.
  type :: leat_model
    type(c_ptr) :: handle = c_null_ptr
  contains
    procedure :: load => model_load
    procedure :: close => model_close
    procedure :: run_tensors => model_run_tensors
    procedure :: run_in_place => model_run_in_place
    procedure, private :: run_r4, run_r8
    procedure, private :: input_r4, input_r8, output_r4, output_r8
    !> run(x, y, ierr): of a model with one input and one output
    generic :: run => run_r4, run_r8, run_tensors
    !> input_memory(index, pointer, ierr): where the device reads input 1, 2, ... of slot 0, a
    !> pointer of rank 1, to be given bounds by the caller: picture(1:28, 1:28) => pointer
    generic :: input_memory => input_r4, input_r8
    generic :: output_memory => output_r4, output_r8
  end type

  interface leat_view
    module procedure view_r4, view_r8, view_i8, view_i32, view_i64
  end interface
  !> leat_matmul(session, a, b, c, ierr): c = matmul(a, b); a(m, k), b(k, n), c(m, n), all real of
  !> one kind, with further axes for a batch
  interface leat_matmul
    module procedure matmul_r4, matmul_r8
  end interface
  !> leat_conv2d(session, x, w, y, ierr, bias, stride, pad): x(w, h, c, n), w(s, r, c, k),
  !> y(q, p, k, n), bias(k); stride = [rows, columns], pad = [above, left, below, right]
  interface leat_conv2d
    module procedure conv2d_r4
  end interface

  type, bind(c) :: c_device_info
    integer(c_size_t) :: struct_bytes
    type(c_ptr) :: name, chip, vendor, driver, route, refusal
    integer(c_int32_t) :: is_software, has_unified_memory
    integer(c_int64_t) :: memory_bytes
  end type
  type, bind(c) :: c_session_options
    integer(c_size_t) :: struct_bytes
    type(c_ptr) :: device = c_null_ptr, cache_folder = c_null_ptr
    integer(c_int32_t) :: threads = 0
    type(c_funptr) :: log = c_null_funptr
    type(c_ptr) :: log_context = c_null_ptr
  end type
  type, bind(c) :: c_load_options
    integer(c_size_t) :: struct_bytes
    type(c_ptr) :: device = c_null_ptr, known = c_null_ptr
    integer(c_size_t) :: known_count = 0
    integer(c_int64_t) :: deadline_ns = 0
    integer(c_int32_t) :: slots = 0, is_strict = 0
  end type
  type, bind(c) :: c_conv2d_options
    integer(c_size_t) :: struct_bytes
    integer(c_int64_t) :: stride(2) = 0, dilation(2) = 0, pad(4) = 0, groups = 0
  end type

  interface
    function c_message() bind(c, name="leat_message")
      import c_ptr
      type(c_ptr) :: c_message
    end function
    function c_version() bind(c, name="leat_version")
      import c_ptr
      type(c_ptr) :: c_version
    end function
    function c_strlen(text) bind(c, name="strlen")
      import c_ptr, c_size_t
      type(c_ptr), value :: text
      integer(c_size_t) :: c_strlen
    end function
    integer(c_int32_t) function c_devices_find(devices) bind(c, name="leat_devices_find")
      import c_ptr, c_int32_t
      type(c_ptr) :: devices
    end function
    integer(c_size_t) function c_devices_count(devices) bind(c, name="leat_devices_count")
      import c_ptr, c_size_t
      type(c_ptr), value :: devices
    end function
    integer(c_int32_t) function c_devices_get(devices, index, info) bind(c, name="leat_devices_get")
      import c_ptr, c_size_t, c_int32_t, c_device_info
      type(c_ptr), value :: devices
      integer(c_size_t), value :: index
      type(c_device_info) :: info
    end function
    subroutine c_devices_free(devices) bind(c, name="leat_devices_free")
      import c_ptr
      type(c_ptr), value :: devices
    end subroutine
    integer(c_int32_t) function c_session_open(options, session) bind(c, name="leat_session_open")
      import c_ptr, c_int32_t, c_session_options
      type(c_session_options) :: options
      type(c_ptr) :: session
    end function
    subroutine c_session_close(session) bind(c, name="leat_session_close")
      import c_ptr
      type(c_ptr), value :: session
    end subroutine
    integer(c_int32_t) function c_model_load(session, path, options, model) &
        bind(c, name="leat_model_load")
      import c_ptr, c_int32_t, c_char, c_load_options
      type(c_ptr), value :: session
      character(kind=c_char) :: path(*)
      type(c_load_options) :: options
      type(c_ptr) :: model
    end function
    subroutine c_model_close(model) bind(c, name="leat_model_close")
      import c_ptr
      type(c_ptr), value :: model
    end subroutine
    integer(c_int32_t) function c_run(model, inputs, input_count, outputs, output_count) &
        bind(c, name="leat_run")
      import c_ptr, c_int32_t, c_size_t, leat_tensor
      type(c_ptr), value :: model
      type(leat_tensor) :: inputs(*), outputs(*)
      integer(c_size_t), value :: input_count, output_count
    end function
    integer(c_int32_t) function c_run_in_place(model, slot) &
        bind(c, name="leat_model_run_in_place")
      import c_ptr, c_int32_t, c_size_t
      type(c_ptr), value :: model
      integer(c_size_t), value :: slot
    end function
    integer(c_int32_t) function c_input_memory(model, slot, index, memory) &
        bind(c, name="leat_model_input_memory")
      import c_ptr, c_int32_t, c_size_t, leat_tensor
      type(c_ptr), value :: model
      integer(c_size_t), value :: slot, index
      type(leat_tensor) :: memory
    end function
    integer(c_int32_t) function c_output_memory(model, slot, index, memory) &
        bind(c, name="leat_model_output_memory")
      import c_ptr, c_int32_t, c_size_t, leat_tensor
      type(c_ptr), value :: model
      integer(c_size_t), value :: slot, index
      type(leat_tensor) :: memory
    end function
    integer(c_int32_t) function c_matmul(session, a, b, c) bind(c, name="leat_matmul")
      import c_ptr, c_int32_t, leat_tensor
      type(c_ptr), value :: session
      type(leat_tensor) :: a, b, c
    end function
    integer(c_int32_t) function c_conv2d(session, options, x, w, bias, y) &
        bind(c, name="leat_conv2d")
      import c_ptr, c_int32_t, leat_tensor, c_conv2d_options
      type(c_ptr), value :: session
      type(c_conv2d_options) :: options
      type(leat_tensor) :: x, w, y
      type(c_ptr), value :: bias
    end function
  end interface

  ! What this module itself refuses; empty when the last failure was the library's.
  character(len=:), allocatable, save :: own_error

contains

  ! --- Texts and views ---------------------------------------------------------------------------

  function text_of(pointer) result(text)
    type(c_ptr), intent(in) :: pointer
    character(len=:), allocatable :: text
    character(kind=c_char), pointer :: characters(:)
    integer :: i
    text = ""
    if (.not. c_associated(pointer)) return
    call c_f_pointer(pointer, characters, [c_strlen(pointer)])
    text = repeat(" ", size(characters))
    do i = 1, size(characters)
      text(i:i) = characters(i)
    end do
  end function

  !> The sentence of the last call whose ierr was not 0.
  function leat_error() result(text)
    character(len=:), allocatable :: text
    text = ""
    if (allocated(own_error)) text = own_error
    if (len(text) == 0) text = text_of(c_message())
  end function

  !> "0.1.0"
  function leat_version() result(text)
    character(len=:), allocatable :: text
    text = text_of(c_version())
  end function

  subroutine keep(status, ierr)
    integer(c_int32_t), intent(in) :: status
    integer, intent(out) :: ierr
    ierr = int(status)
    own_error = ""
  end subroutine

  function tensor_of(address, extents, element_bytes, type) result(tensor)
    type(c_ptr), intent(in) :: address
    integer, intent(in) :: extents(:), element_bytes
    integer(c_int32_t), intent(in) :: type
    type(leat_tensor) :: tensor
    tensor%data = address
    tensor%type = type
    tensor%rank = size(extents)
    tensor%shape(1:size(extents)) = extents(size(extents):1:-1)
    tensor%size_bytes = int(element_bytes, c_size_t) * product(int(extents, c_size_t))
  end function

  ! No intent: the compiler must not believe that what an output's view tells of stays as it was.
  function view_r4(array) result(tensor)
    real(c_float), contiguous, target :: array(..)
    type(leat_tensor) :: tensor
    tensor = tensor_of(c_loc(array), shape(array), 4, f32)
  end function

  function view_r8(array) result(tensor)
    real(c_double), contiguous, target :: array(..)
    type(leat_tensor) :: tensor
    tensor = tensor_of(c_loc(array), shape(array), 8, f64)
  end function

  function view_i8(array) result(tensor)
    integer(c_int8_t), contiguous, target :: array(..)
    type(leat_tensor) :: tensor
    tensor = tensor_of(c_loc(array), shape(array), 1, i8)
  end function

  function view_i32(array) result(tensor)
    integer(c_int32_t), contiguous, target :: array(..)
    type(leat_tensor) :: tensor
    tensor = tensor_of(c_loc(array), shape(array), 4, i32)
  end function

  function view_i64(array) result(tensor)
    integer(c_int64_t), contiguous, target :: array(..)
    type(leat_tensor) :: tensor
    tensor = tensor_of(c_loc(array), shape(array), 8, i64)
  end function

  ! --- Devices and sessions ----------------------------------------------------------------------

  !> All routes to all devices, best first.
  subroutine leat_devices(devices, ierr)
    type(leat_device), allocatable, intent(out) :: devices(:)
    integer, intent(out) :: ierr
    type(c_ptr) :: list
    type(c_device_info) :: info
    integer(c_size_t) :: i
    allocate(devices(0))
    call keep(c_devices_find(list), ierr)
    if (ierr /= 0) return
    deallocate(devices)
    allocate(devices(c_devices_count(list)))
    do i = 1, size(devices)
      info%struct_bytes = c_sizeof(info)
      call keep(c_devices_get(list, i - 1, info), ierr)
      if (ierr /= 0) exit
      devices(i)%name = text_of(info%name)
      devices(i)%chip = text_of(info%chip)
      devices(i)%vendor = text_of(info%vendor)
      devices(i)%driver = text_of(info%driver)
      devices(i)%route = text_of(info%route)
      devices(i)%refusal = text_of(info%refusal)
      devices(i)%is_software = info%is_software /= 0
      devices(i)%memory_bytes = info%memory_bytes
    end do
    call c_devices_free(list)
  end subroutine

  !> For models and operations on `device`, or on the best that there is.
  subroutine session_open(self, ierr, device)
    class(leat_session), intent(inout) :: self
    integer, intent(out) :: ierr
    character(len=*), intent(in), optional :: device
    character(kind=c_char, len=:), allocatable, target :: name
    type(c_session_options) :: options
    options%struct_bytes = c_sizeof(options)
    if (present(device)) then
      name = trim(device)//c_null_char
      options%device = c_loc(name)
    end if
    call keep(c_session_open(options, self%handle), ierr)
  end subroutine

  subroutine session_close(self)
    class(leat_session), intent(inout) :: self
    call c_session_close(self%handle)
    self%handle = c_null_ptr
  end subroutine

  ! --- Models ------------------------------------------------------------------------------------

  !> Makes an ONNX file ready on `device`, or on the best that takes it.
  subroutine model_load(self, path, ierr, device, session)
    class(leat_model), intent(inout) :: self
    character(len=*), intent(in) :: path
    integer, intent(out) :: ierr
    character(len=*), intent(in), optional :: device
    type(leat_session), intent(in), optional :: session
    character(kind=c_char, len=:), allocatable, target :: name
    type(c_load_options) :: options
    type(c_ptr) :: owner
    options%struct_bytes = c_sizeof(options)
    if (present(device)) then
      name = trim(device)//c_null_char
      options%device = c_loc(name)
    end if
    owner = c_null_ptr
    if (present(session)) owner = session%handle
    call keep(c_model_load(owner, trim(path)//c_null_char, options, self%handle), ierr)
  end subroutine

  subroutine model_close(self)
    class(leat_model), intent(inout) :: self
    call c_model_close(self%handle)
    self%handle = c_null_ptr
  end subroutine

  !> Of any number of inputs and outputs: run([leat_view(a), leat_view(b)], [leat_view(y)], ierr).
  subroutine model_run_tensors(self, inputs, outputs, ierr)
    class(leat_model), intent(in) :: self
    type(leat_tensor), intent(in) :: inputs(:), outputs(:)
    integer, intent(out) :: ierr
    type(leat_tensor) :: described(size(outputs)), results(size(outputs))
    type(c_ptr) :: none
    integer :: i
    none = c_null_ptr
    described = outputs
    do i = 1, size(outputs)
      described(i)%data = none
    end do
    call keep(c_run(self%handle, inputs, size(inputs, kind=c_size_t), described, &
                    size(outputs, kind=c_size_t)), ierr)
    do i = 1, size(outputs)
      if (ierr == 0) call check_same(outputs(i), described(i), ierr)
    end do
    if (ierr /= 0) return
    results = outputs
    call keep(c_run(self%handle, inputs, size(inputs, kind=c_size_t), results, &
                    size(outputs, kind=c_size_t)), ierr)
  end subroutine

  !> An array of as many bytes, but of another type or shape, is a mistake of the caller's.
  subroutine check_same(given, result, ierr)
    type(leat_tensor), intent(in) :: given, result
    integer, intent(inout) :: ierr
    if (given%type == result%type .and. same_extents(given, result)) return
    own_error = "An output has the shape ("//extents_of(result)//"); the array given has ("// &
      extents_of(given)//"), or is of another type."
    ierr = leat_invalid_argument
  end subroutine

  logical function same_extents(a, b)
    type(leat_tensor), intent(in) :: a, b
    integer(c_int64_t), allocatable :: of_a(:), of_b(:)
    of_a = pack(a%shape(1:a%rank), a%shape(1:a%rank) /= 1)
    of_b = pack(b%shape(1:b%rank), b%shape(1:b%rank) /= 1)
    same_extents = size(of_a) == size(of_b)
    if (same_extents) same_extents = all(of_a == of_b)
  end function

  function extents_of(tensor) result(text)
    type(leat_tensor), intent(in) :: tensor
    character(len=:), allocatable :: text
    character(len=20) :: extent
    integer :: i
    text = ""
    do i = tensor%rank, 1, -1
      write(extent, "(i0)") tensor%shape(i)
      text = text//trim(extent)
      if (i > 1) text = text//", "
    end do
  end function

  subroutine run_r4(self, x, y, ierr)
    class(leat_model), intent(in) :: self
    real(c_float), intent(in), contiguous, target :: x(..)
    real(c_float), intent(inout), contiguous, target :: y(..)
    integer, intent(out) :: ierr
    call self%run_tensors([view_r4(x)], [view_r4(y)], ierr)
  end subroutine

  subroutine run_r8(self, x, y, ierr)
    class(leat_model), intent(in) :: self
    real(c_double), intent(in), contiguous, target :: x(..)
    real(c_double), intent(inout), contiguous, target :: y(..)
    integer, intent(out) :: ierr
    call self%run_tensors([view_r8(x)], [view_r8(y)], ierr)
  end subroutine

  !> Runs on what lies in the inputs' memory, and waits.
  subroutine model_run_in_place(self, ierr)
    class(leat_model), intent(in) :: self
    integer, intent(out) :: ierr
    call keep(c_run_in_place(self%handle, 0_c_size_t), ierr)
  end subroutine

  !> The count of elements in `memory`, which is of that type.
  function elements_of(memory, element_bytes, type, ierr) result(count)
    type(leat_tensor), intent(in) :: memory
    integer, intent(in) :: element_bytes
    integer(c_int32_t), intent(in) :: type
    integer, intent(inout) :: ierr
    integer(c_size_t) :: count
    count = memory%size_bytes / element_bytes
    if (ierr /= 0 .or. memory%type == type) return
    own_error = "The pointer given is of another type than the tensor's elements."
    ierr = leat_invalid_argument
  end function

  subroutine input_r4(self, index, array, ierr)
    class(leat_model), intent(in) :: self
    integer, intent(in) :: index
    real(c_float), pointer, intent(out) :: array(:)
    integer, intent(out) :: ierr
    type(leat_tensor) :: memory
    integer(c_size_t) :: count
    nullify(array)
    call keep(c_input_memory(self%handle, 0_c_size_t, int(index - 1, c_size_t), memory), ierr)
    count = elements_of(memory, 4, f32, ierr)
    if (ierr == 0) call c_f_pointer(memory%data, array, [count])
  end subroutine

  subroutine input_r8(self, index, array, ierr)
    class(leat_model), intent(in) :: self
    integer, intent(in) :: index
    real(c_double), pointer, intent(out) :: array(:)
    integer, intent(out) :: ierr
    type(leat_tensor) :: memory
    integer(c_size_t) :: count
    nullify(array)
    call keep(c_input_memory(self%handle, 0_c_size_t, int(index - 1, c_size_t), memory), ierr)
    count = elements_of(memory, 8, f64, ierr)
    if (ierr == 0) call c_f_pointer(memory%data, array, [count])
  end subroutine

  subroutine output_r4(self, index, array, ierr)
    class(leat_model), intent(in) :: self
    integer, intent(in) :: index
    real(c_float), pointer, intent(out) :: array(:)
    integer, intent(out) :: ierr
    type(leat_tensor) :: memory
    integer(c_size_t) :: count
    nullify(array)
    call keep(c_output_memory(self%handle, 0_c_size_t, int(index - 1, c_size_t), memory), ierr)
    count = elements_of(memory, 4, f32, ierr)
    if (ierr == 0) call c_f_pointer(memory%data, array, [count])
  end subroutine

  subroutine output_r8(self, index, array, ierr)
    class(leat_model), intent(in) :: self
    integer, intent(in) :: index
    real(c_double), pointer, intent(out) :: array(:)
    integer, intent(out) :: ierr
    type(leat_tensor) :: memory
    integer(c_size_t) :: count
    nullify(array)
    call keep(c_output_memory(self%handle, 0_c_size_t, int(index - 1, c_size_t), memory), ierr)
    count = elements_of(memory, 8, f64, ierr)
    if (ierr == 0) call c_f_pointer(memory%data, array, [count])
  end subroutine

  ! --- Single operations -------------------------------------------------------------------------

  ! Column-major a, b and c are the transposes of row-major ones, and (a b)' = b' a'.
  subroutine matmul_tensors(session, a, b, c, ierr)
    type(leat_session), intent(in) :: session
    type(leat_tensor), intent(in) :: a, b, c
    integer, intent(out) :: ierr
    type(leat_tensor) :: result
    result = c
    result%data = c_null_ptr
    call keep(c_matmul(session%handle, b, a, result), ierr)
    if (ierr == 0) call check_same(c, result, ierr)
    result%data = c%data
    if (ierr == 0) call keep(c_matmul(session%handle, b, a, result), ierr)
  end subroutine

  subroutine matmul_r4(session, a, b, c, ierr)
    type(leat_session), intent(in) :: session
    real(c_float), intent(in), contiguous, target :: a(..), b(..)
    real(c_float), intent(inout), contiguous, target :: c(..)
    integer, intent(out) :: ierr
    call matmul_tensors(session, view_r4(a), view_r4(b), view_r4(c), ierr)
  end subroutine

  subroutine matmul_r8(session, a, b, c, ierr)
    type(leat_session), intent(in) :: session
    real(c_double), intent(in), contiguous, target :: a(..), b(..)
    real(c_double), intent(inout), contiguous, target :: c(..)
    integer, intent(out) :: ierr
    call matmul_tensors(session, view_r8(a), view_r8(b), view_r8(c), ierr)
  end subroutine

  subroutine conv2d_r4(session, x, w, y, ierr, bias, stride, pad)
    type(leat_session), intent(in) :: session
    real(c_float), intent(in), contiguous, target :: x(:, :, :, :), w(:, :, :, :)
    real(c_float), intent(inout), contiguous, target :: y(:, :, :, :)
    integer, intent(out) :: ierr
    real(c_float), intent(in), contiguous, target, optional :: bias(:)
    integer, intent(in), optional :: stride(2), pad(4)
    type(c_conv2d_options) :: options
    type(leat_tensor), target :: bias_tensor
    type(leat_tensor) :: result
    type(c_ptr) :: bias_pointer
    options%struct_bytes = c_sizeof(options)
    if (present(stride)) options%stride = stride
    if (present(pad)) options%pad = pad
    bias_pointer = c_null_ptr
    if (present(bias)) then
      bias_tensor = view_r4(bias)
      bias_pointer = c_loc(bias_tensor)
    end if
    result = view_r4(y)
    result%data = c_null_ptr
    call keep(c_conv2d(session%handle, options, view_r4(x), view_r4(w), bias_pointer, result), ierr)
    if (ierr == 0) call check_same(view_r4(y), result, ierr)
    result = view_r4(y)
    if (ierr == 0) then
      call keep(c_conv2d(session%handle, options, view_r4(x), view_r4(w), bias_pointer, result), &
                ierr)
    end if
  end subroutine
end module leat
