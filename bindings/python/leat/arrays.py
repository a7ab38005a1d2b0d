"""NumPy arrays and DLPack objects as leat.h's tensors, and back, without a copy."""

import ctypes
from typing import Any, Optional, Sequence

import numpy as np

from leat import _library as c

_PLAIN = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}
# Types that NumPy lacks: the package ml_dtypes has them; without it they are their bits.
_OTHERS = {
    16: ("bfloat16", "uint16"), 17: ("float8_e4m3fn", "uint8"), 18: ("float8_e4m3fnuz", "uint8"),
    19: ("float8_e5m2", "uint8"), 20: ("float8_e5m2fnuz", "uint8"), 21: ("uint4", "uint8"),
    22: ("int4", "int8"), 23: ("float4_e2m1fn", "uint8"), 24: ("float8_e8m0fnu", "uint8"),
    25: ("uint2", "uint8"), 26: ("int2", "int8"),
}

_dtypes = {number: np.dtype(name) for number, name in _PLAIN.items()}
_types = {dtype: number for number, dtype in _dtypes.items()}
ml_dtypes: Any = None
try:
    import ml_dtypes
except ImportError:
    pass
for _number, (_name, _bits) in _OTHERS.items():
    _dtypes[_number] = np.dtype(getattr(ml_dtypes, _name, _bits))
    _types.setdefault(_dtypes[_number], _number)


def dtype_of(number: int) -> np.dtype:
    """The NumPy type of a leat_type; its bits where NumPy has none."""
    return _dtypes[number]


def as_array(value: Any, number: int = 0) -> np.ndarray:
    """`value` as a contiguous array. What is an array, or speaks DLPack and lies in the host's
    memory, is not copied when it is contiguous. Lists and numbers take the type `number`."""
    if isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "__dlpack__"):
        array = np.from_dlpack(value)
    else:
        array = np.asarray(value, dtype=_dtypes.get(number))
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def fill(tensor: c.Tensor, array: np.ndarray, number: int = 0) -> None:
    """Lets `tensor` tell of `array`, which outlives it. `number` is the type that is wanted, so
    that bits may stand for it."""
    if array.ndim > c.RANK_MAX:
        raise ValueError(f"Rank ({array.ndim}) is larger than the limit ({c.RANK_MAX}).")
    tensor.data = array.ctypes.data
    tensor.size_bytes = array.nbytes
    if number and _dtypes[number] == array.dtype:
        tensor.type = number
    else:
        try:
            tensor.type = _types[array.dtype]
        except KeyError:
            raise TypeError(f"Leat has no element type for NumPy's {array.dtype}.") from None
    tensor.rank = array.ndim
    tensor.shape[: array.ndim] = array.shape


def tensors_of(arrays: Sequence[np.ndarray]) -> Any:
    """A C array that tells of these."""
    tensors = (c.Tensor * len(arrays))()
    for tensor, array in zip(tensors, arrays):
        fill(tensor, array)
    return tensors


def empty_like(tensor: c.Tensor) -> np.ndarray:
    """Memory for what a call has described, told to `tensor`."""
    array = np.empty(tensor.shape[: tensor.rank], _dtypes[tensor.type])
    tensor.data = array.ctypes.data
    return array


def view_of(tensor: c.Tensor, owner: object) -> np.ndarray:
    """The memory that `tensor` tells of, which lives as long as `owner`, as an array."""
    memory = (ctypes.c_char * tensor.size_bytes).from_address(tensor.data or 0)
    memory._owner = owner
    flat = np.frombuffer(memory, _dtypes[tensor.type])
    return flat.reshape(tensor.shape[: tensor.rank])


def empty(shape: Sequence[int], dtype: Any = np.float32, alignment: int = 4096) -> np.ndarray:
    """An array whose address and size in memory are multiples of `alignment` bytes, so that any
    device that takes memory of others takes it (`Model.place_input`)."""
    dtype = np.dtype(dtype)
    size_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    room = max(-(-size_bytes // alignment), 1) * alignment
    memory = np.empty(room + alignment, np.uint8)
    begin = -memory.ctypes.data % alignment
    return memory[begin : begin + size_bytes].view(dtype).reshape(shape)


def placed(array: np.ndarray, alignment: int, name: str) -> Optional[str]:
    """Why the array's memory cannot be placed, or None."""
    if not array.flags.c_contiguous or not array.flags.writeable:
        return f"The array for {name} is not contiguous and writeable."
    if array.ctypes.data % alignment:
        return f"The array for {name} lies on no multiple of ({alignment}) bytes: use leat.empty."
    return None
