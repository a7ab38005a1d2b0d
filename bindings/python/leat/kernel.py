"""Kernels of one's own, in text form (docs/kernel-format.md)."""

import ctypes
import threading
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from leat import _library as c
from leat import arrays
from leat.model import Device, Session, Value, _device_of, default_session


@dataclass(frozen=True)
class Parameter:
    """A buffer of a kernel, of `elements` elements."""

    name: str
    dtype: np.dtype
    elements: int
    is_written: bool
    type: int  # leat_type


class Kernel:
    """A kernel ready on a device. Whatever it does, it touches no memory but its arguments.

    text: the kernel. name: for messages.
    device: "cpu", "gpu0"; default: the session's, else the best.
    grid, elements: of another launch than the text's: workgroups along x, y and z, and elements
    by name of a parameter.
    trust: no run is checked. Else the first run, and each `check`, is run by the interpreter,
    slowly, which finds races and wrong accesses.
    """

    def __init__(self, text: str, *, device: Optional[str] = None,
                 session: Optional[Session] = None, grid: Sequence[int] = (),
                 elements: Optional[Mapping[str, int]] = None, trust: bool = False,
                 name: str = "kernel") -> None:
        self._handle = ctypes.c_void_p()
        self._session = session or default_session()
        self._lock = threading.Lock()  # a kernel is used by one thread at a time
        options = c.KernelOptions(device=None if device is None else device.encode(),
                                  is_trusted=int(trust))
        if len(grid) > 3:
            raise ValueError(f"A grid has up to three numbers of workgroups, not {len(grid)}.")
        for axis, groups in enumerate(grid):
            options.grid[axis] = groups
        if elements:
            options.elements = self._counts(text, name, elements)
            options.element_count = len(self.parameters)
        self._load(text, name, options)

    def _load(self, text: str, name: str, options: Any) -> None:
        handle = ctypes.c_void_p()
        whole = text.encode()
        c.check(c.library.leat_kernel_load(
            self._session._handle, whole, len(whole), name.encode(), c.byref(options),
            c.byref(handle)))
        self._close(self._handle)
        self._handle = handle
        self.parameters: List[Parameter] = [
            self._parameter(i) for i in range(c.library.leat_kernel_parameter_count(handle))]

    def _counts(self, text: str, name: str, elements: Mapping[str, int]) -> Any:
        self._load(text, name, c.KernelOptions())
        known = {parameter.name: parameter.elements for parameter in self.parameters}
        unknown = set(elements) - set(known)
        if unknown:
            raise ValueError(f"The kernel has no parameter \"{min(unknown)}\"; it has "
                             f"({', '.join(known)}).")
        known.update(elements)
        return (ctypes.c_int64 * len(known))(*known.values())

    _close: Any = staticmethod(c.library.leat_kernel_close)

    def __del__(self, close: Any = c.library.leat_kernel_close) -> None:
        close(self._handle)

    def _parameter(self, index: int) -> Parameter:
        info = c.ParameterInfo()
        c.check(c.library.leat_kernel_parameter(self._handle, index, c.byref(info)))
        return Parameter(c.text(info.name), arrays.dtype_of(info.type), info.elements,
                         bool(info.is_written), info.type)

    @property
    def device(self) -> Device:
        """The device that it is ready on."""
        info = c.DeviceInfo()
        c.check(c.library.leat_kernel_device(self._handle, c.byref(info)))
        return _device_of(info)

    def __call__(self, *values: Value, **named: Value) -> Any:
        """Launches once and waits. Values of the parameters that the kernel only reads, in order or
        by name. What it writes begins as zeros, or as a copy of the value given by name; returned
        are new arrays: one, or a tuple of them in the order of the parameters."""
        made = self._arguments(values, named)
        with self._lock:
            tensors = self._tensors(made)
            c.check(c.library.leat_kernel_run(self._handle, tensors, len(tensors)))
        written = tuple(array for parameter, array in zip(self.parameters, made)
                        if parameter.is_written)
        return written[0] if len(written) == 1 else written

    def check(self, *values: Value, **named: Value) -> None:
        """Runs the launch in the interpreter. Raises leat.Error, which names instruction, lane and
        element, when it is wrong."""
        made = self._arguments(values, named)
        with self._lock:
            tensors = self._tensors(made)
            c.check(c.library.leat_kernel_check(self._handle, tensors, len(tensors)))

    def measure(self, seconds: float = 0.5) -> Dict[str, Union[int, float]]:
        """Measures launches on the last call's values: microseconds (median_us, p99_us), samples,
        masked_accesses."""
        rate = c.KernelRate()
        with self._lock:
            c.check(c.library.leat_kernel_measure(self._handle, seconds, c.byref(rate)))
        return c.members(rate)

    def _arguments(self, values: Sequence[Value], named: Mapping[str, Value]) -> List[np.ndarray]:
        reads = [parameter.name for parameter in self.parameters if not parameter.is_written]
        if len(values) > len(reads):
            raise TypeError(f"The kernel reads ({', '.join(reads)}); {len(values)} are given.")
        given: Dict[str, Value] = dict(zip(reads, values))
        for name, value in named.items():
            if name in given or name not in (one.name for one in self.parameters):
                raise TypeError(f"\"{name}\" is no parameter that is not given yet.")
            given[name] = value
        made = []
        for parameter in self.parameters:
            if parameter.name in given:
                array = arrays.as_array(given[parameter.name], parameter.type)
                made.append(array.copy() if parameter.is_written else array)
            elif parameter.is_written:
                made.append(np.zeros(parameter.elements, parameter.dtype))
            else:
                raise TypeError(f"Parameter \"{parameter.name}\" is not given.")
        return made

    def _tensors(self, made: Sequence[np.ndarray]) -> Any:
        tensors = (c.Tensor * len(made))()
        for tensor, array, parameter in zip(tensors, made, self.parameters):
            arrays.fill(tensor, array, parameter.type)
        return tensors

    def __repr__(self) -> str:
        facts: Tuple[str, ...] = tuple(
            f"{one.name} {one.dtype}[{one.elements}]" for one in self.parameters)
        return f"<leat.Kernel on {self.device.name}: {', '.join(facts)}>"


def format_kernel(text: str, name: str = "kernel") -> str:
    """The text as it is written by custom; names and comments stay."""
    whole = text.encode()
    needed = ctypes.c_size_t()
    c.check(c.library.leat_kernel_format(
        whole, len(whole), name.encode(), None, 0, c.byref(needed)))
    formatted = ctypes.create_string_buffer(needed.value)
    c.check(c.library.leat_kernel_format(
        whole, len(whole), name.encode(), formatted, needed.value, c.byref(needed)))
    return formatted.value.decode()
