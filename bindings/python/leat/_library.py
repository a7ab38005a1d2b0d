"""libleat.so.0 through ctypes: the structs and functions of leat.h, and errors as exceptions.

No compiled extension, so one wheel serves every Python from 3.9 on. The library is looked for where
LEAT_LIBRARY says, then beside this file, where a wheel has it, then where the system's loader
looks. A wheel may bring what the library needs, too: those files are loaded before it, in the
order of their names.
"""

import ctypes
import os
from typing import Any, Dict, List
from ctypes import POINTER, byref as byref, c_char_p, c_double, c_float, c_int, c_int32, c_int64
from ctypes import c_size_t, c_uint32, c_uint64, c_void_p

RANK_MAX = 8
OK = 0
TIMEOUT = 7


class Error(RuntimeError):
    """What failed, in one sentence. `status` is "invalid_argument", "unsupported",
    "out_of_memory", "device_lost", "io" or "internal"."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("size_bytes", c_size_t),
        ("type", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * RANK_MAX),
    ]


class _Sized(ctypes.Structure):
    """A struct that begins with its size."""

    def __init__(self, **members: object) -> None:
        super().__init__(struct_bytes=ctypes.sizeof(self), **members)


class DeviceInfo(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("name", c_char_p),
        ("chip", c_char_p),
        ("vendor", c_char_p),
        ("driver", c_char_p),
        ("route", c_char_p),
        ("refusal", c_char_p),
        ("is_software", c_int32),
        ("has_unified_memory", c_int32),
        ("memory_bytes", c_uint64),
    ]


LOG = ctypes.CFUNCTYPE(None, c_void_p, c_char_p)


class SessionOptions(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("device", c_char_p),
        ("cache_folder", c_char_p),
        ("threads", c_uint32),
        ("log", LOG),
        ("log_context", c_void_p),
    ]


class KnownInput(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", Tensor)]


class LoadOptions(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("device", c_char_p),
        ("known", POINTER(KnownInput)),
        ("known_count", c_size_t),
        ("deadline_ns", c_uint64),
        ("slots", c_uint32),
        ("is_strict", c_int32),
        ("has_one_shape", c_int32),
        ("takes_times", c_int32),
        ("trusts_kernels", c_int32),
        ("states", POINTER(c_char_p)),
        ("state_count", c_size_t),
        ("precision", c_char_p),
    ]


class ValueInfo(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("name", c_char_p),
        ("type", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * RANK_MAX),
        ("size_bytes", c_size_t),
    ]


class ModelStats(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("kernels", c_uint64),
        ("compiled", c_uint64),
        ("reserved_bytes", c_uint64),
        ("copied_bytes", c_uint64),
        ("staged_bytes", c_uint64),
        ("compile_ms", c_double),
        ("launches", c_uint64),
        ("tensor_bytes", c_uint64),
        ("repeated_runs", c_uint64),
        ("products", c_uint64),
        ("rounded_products", c_uint64),
    ]


class TuneOptions(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("kernel_seconds", c_double),
        ("is_again", c_int32),
    ]


class TuneResult(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("kernels", c_uint64),
        ("measured", c_uint64),
        ("model_us", c_double),
        ("tuned_us", c_double),
    ]


class DeviceUse(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("name", c_char_p),
        ("users", c_uint64),
        ("submits", c_uint64),
        ("replays", c_uint64),
        ("memory_bytes", c_uint64),
    ]


class KernelOptions(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("device", c_char_p),
        ("grid", c_uint32 * 3),
        ("elements", POINTER(c_int64)),
        ("element_count", c_size_t),
        ("is_trusted", c_int32),
    ]


class ParameterInfo(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("name", c_char_p),
        ("type", c_int32),
        ("is_written", c_int32),
        ("elements", c_int64),
        ("size_bytes", c_size_t),
    ]


class KernelRate(_Sized):
    _fields_ = [
        ("struct_bytes", c_size_t),
        ("median_us", c_double),
        ("p99_us", c_double),
        ("samples", c_uint64),
        ("masked_accesses", c_uint64),
    ]


def members(struct: _Sized) -> Dict[str, Any]:
    """What a struct tells, by name."""
    values = {field[0]: getattr(struct, field[0]) for field in struct._fields_}
    del values["struct_bytes"]
    return {name: text(value) if isinstance(value, bytes) else value
            for name, value in values.items()}


class KernelTime(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("op", c_char_p),
        ("flop", c_double),
        ("bytes", c_uint64),
        ("time_ns", c_uint64),
    ]


class Fence(ctypes.Structure):
    _fields_ = [("source", c_void_p), ("value", c_uint64)]


INTEGERS, NUMBERS, TEXT = 1, 2, 3


class Attribute(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("kind", c_int32),
        ("is_list", c_int32),
        ("integers", POINTER(c_int64)),
        ("numbers", POINTER(c_float)),
        ("text", c_char_p),
        ("count", c_size_t),
    ]


# Result type, then arguments; c_int32 is a leat_status.
_FUNCTIONS: Dict[str, List[Any]] = {
    "leat_message": [c_char_p],
    "leat_status_name": [c_char_p, c_int32],
    "leat_version": [c_char_p],
    "leat_commit": [c_char_p],
    "leat_type_bytes": [c_size_t, c_int32],
    "leat_type_name": [c_char_p, c_int32],
    "leat_devices_find": [c_int32, POINTER(c_void_p)],
    "leat_devices_count": [c_size_t, c_void_p],
    "leat_devices_get": [c_int32, c_void_p, c_size_t, POINTER(DeviceInfo)],
    "leat_devices_free": [None, c_void_p],
    "leat_session_open": [c_int32, POINTER(SessionOptions), POINTER(c_void_p)],
    "leat_session_close": [None, c_void_p],
    "leat_model_load": [c_int32, c_void_p, c_char_p, POINTER(LoadOptions), POINTER(c_void_p)],
    "leat_model_load_memory": [
        c_int32, c_void_p, c_char_p, c_size_t, c_char_p, POINTER(LoadOptions), POINTER(c_void_p)
    ],
    "leat_model_close": [None, c_void_p],
    "leat_model_input_count": [c_size_t, c_void_p],
    "leat_model_output_count": [c_size_t, c_void_p],
    "leat_model_input": [c_int32, c_void_p, c_size_t, POINTER(ValueInfo)],
    "leat_model_output": [c_int32, c_void_p, c_size_t, POINTER(ValueInfo)],
    "leat_model_device": [c_int32, c_void_p, POINTER(DeviceInfo)],
    "leat_model_set_shapes": [c_int32, c_void_p, POINTER(Tensor), c_size_t],
    "leat_model_get_stats": [c_int32, c_void_p, POINTER(ModelStats)],
    "leat_model_profile": [
        c_int32, c_void_p, POINTER(KernelTime), c_size_t, POINTER(c_size_t)
    ],
    "leat_model_state_count": [c_size_t, c_void_p],
    "leat_model_state": [c_int32, c_void_p, c_size_t, POINTER(c_size_t), POINTER(c_size_t)],
    "leat_model_read_state": [c_int32, c_void_p, c_size_t, POINTER(Tensor)],
    "leat_model_set_state": [c_int32, c_void_p, c_size_t, POINTER(Tensor)],
    "leat_model_forget_states": [c_int32, c_void_p],
    "leat_run": [c_int32, c_void_p, POINTER(Tensor), c_size_t, POINTER(Tensor), c_size_t],
    "leat_model_input_memory": [c_int32, c_void_p, c_size_t, c_size_t, POINTER(Tensor)],
    "leat_model_output_memory": [c_int32, c_void_p, c_size_t, c_size_t, POINTER(Tensor)],
    "leat_model_place_alignment": [c_size_t, c_void_p],
    "leat_model_place_input": [c_int32, c_void_p, c_size_t, c_size_t, c_void_p, c_size_t],
    "leat_model_place_output": [c_int32, c_void_p, c_size_t, c_size_t, c_void_p, c_size_t],
    "leat_model_place_input_dma_buf": [
        c_int32, c_void_p, c_size_t, c_size_t, c_int, c_size_t
    ],
    "leat_model_place_output_dma_buf": [
        c_int32, c_void_p, c_size_t, c_size_t, c_int, c_size_t
    ],
    "leat_model_start": [c_int32, c_void_p, c_size_t, POINTER(Fence)],
    "leat_model_run_in_place": [c_int32, c_void_p, c_size_t],
    "leat_fence_look": [c_int32, POINTER(Fence), POINTER(c_int32)],
    "leat_fence_wait": [c_int32, POINTER(Fence), c_uint64],
    "leat_fence_wait_any": [c_int32, POINTER(Fence), c_size_t, c_uint64, POINTER(c_size_t)],
    "leat_model_give_way": [c_int32, c_void_p],
    "leat_model_run_times": [
        c_int32, c_void_p, c_size_t, POINTER(c_uint64), POINTER(c_uint64)
    ],
    "leat_model_tune": [c_int32, c_void_p, POINTER(TuneOptions), POINTER(TuneResult)],
    "leat_session_uses": [c_int32, c_void_p, POINTER(DeviceUse), c_size_t, POINTER(c_size_t)],
    "leat_kernel_load": [
        c_int32, c_void_p, c_char_p, c_size_t, c_char_p, POINTER(KernelOptions), POINTER(c_void_p)
    ],
    "leat_kernel_close": [None, c_void_p],
    "leat_kernel_parameter_count": [c_size_t, c_void_p],
    "leat_kernel_parameter": [c_int32, c_void_p, c_size_t, POINTER(ParameterInfo)],
    "leat_kernel_device": [c_int32, c_void_p, POINTER(DeviceInfo)],
    "leat_kernel_check": [c_int32, c_void_p, POINTER(Tensor), c_size_t],
    "leat_kernel_run": [c_int32, c_void_p, POINTER(Tensor), c_size_t],
    "leat_kernel_measure": [c_int32, c_void_p, c_double, POINTER(KernelRate)],
    "leat_kernel_format": [
        c_int32, c_char_p, c_size_t, c_char_p, c_char_p, c_size_t, POINTER(c_size_t)
    ],
    "leat_operator": [
        c_int32, c_void_p, c_char_p, POINTER(Attribute), c_size_t, POINTER(Tensor), c_size_t,
        POINTER(Tensor), c_size_t
    ],
}


def _open() -> ctypes.CDLL:
    folder = os.path.dirname(os.path.abspath(__file__))
    beside = os.path.join(folder, "libleat.so.0")
    path = os.environ.get("LEAT_LIBRARY") or (beside if os.path.exists(beside) else "libleat.so.0")
    try:
        needed = os.path.join(folder, "needed")
        for name in sorted(os.listdir(needed)) if os.path.isdir(needed) else []:
            ctypes.CDLL(os.path.join(needed, name))
        library = ctypes.CDLL(path)
    except OSError as reason:
        raise ImportError(
            f"Leat's library ({path}) cannot be loaded: {reason}. Install libleat0, or the wheel."
        ) from reason
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


library = _open()


def error_of(status: int) -> Error:
    """The exception for a status, with this thread's message."""
    message = library.leat_message().decode("utf-8", "replace")
    return Error(message, library.leat_status_name(status).decode())


def check(status: int) -> None:
    """Raises what a status says."""
    if status != OK:
        raise error_of(status)


def text(pointer: "bytes | None") -> str:
    return (pointer or b"").decode("utf-8", "replace")
