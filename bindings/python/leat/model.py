"""Devices, sessions, models and single operators."""

import ctypes
import os
import threading
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Container, Dict, Generator, Iterable, List, Mapping
from typing import Optional, Sequence, Tuple, Union

import numpy as np

from leat import _library as c
from leat import arrays

Value = Any  # a NumPy array, an object that speaks DLPack, a list of numbers


@dataclass(frozen=True)
class Device:
    """A route to a device. `refusal` says why it cannot be used; it is empty when it can."""

    name: str
    chip: str
    vendor: str
    driver: str
    route: str
    refusal: str
    is_software: bool
    has_unified_memory: bool
    memory_bytes: int


def _device_of(info: c.DeviceInfo) -> Device:
    return Device(
        c.text(info.name), c.text(info.chip), c.text(info.vendor), c.text(info.driver),
        c.text(info.route), c.text(info.refusal), bool(info.is_software),
        bool(info.has_unified_memory), info.memory_bytes)


def devices() -> List[Device]:
    """All routes to all devices of this machine, best first. Asks each driver: up to a second."""
    found = ctypes.c_void_p()
    c.check(c.library.leat_devices_find(c.byref(found)))
    try:
        listed = []
        for i in range(c.library.leat_devices_count(found)):
            info = c.DeviceInfo()
            c.check(c.library.leat_devices_get(found, i, c.byref(info)))
            listed.append(_device_of(info))
        return listed
    finally:
        c.library.leat_devices_free(found)


class Session:
    """Devices that are open, and the models and operators ready on them.

    device: for models that name none; default: the best that takes the model.
    cache_folder: of compiled kernels; None: the user's, "": none is kept.
    threads: of the cpu device; 0 takes LEAT_THREADS, else all.
    log: is told in a sentence when a device gives way to another.
    """

    def __init__(self, device: Optional[str] = None, *, cache_folder: Optional[str] = None,
                 threads: int = 0, log: Optional[Callable[[str], None]] = None) -> None:
        self._handle = ctypes.c_void_p()
        options = c.SessionOptions(
            device=None if device is None else device.encode(),
            cache_folder=None if cache_folder is None else os.fsencode(cache_folder),
            threads=threads)
        if log is not None:
            self._log = c.LOG(lambda _, message: log(c.text(message)))  # lives with the session
            options.log = self._log
        c.check(c.library.leat_session_open(c.byref(options), c.byref(self._handle)))

    def __del__(self, close: Any = c.library.leat_session_close) -> None:
        if hasattr(self, "_handle"):  # not after a call of __init__ with arguments of no meaning
            close(self._handle)

    def load(self, model: Union[str, "os.PathLike[str]", bytes], **options: Any) -> "Model":
        """See leat.load."""
        return Model(model, session=self, **options)

    def uses(self) -> List[Dict[str, Union[str, int]]]:
        """What each open device is used for: its name, how many models, operators and kernels are
        ready on it, submits and replays so far, bytes of memory."""
        count = ctypes.c_size_t()
        c.check(c.library.leat_session_uses(self._handle, None, 0, c.byref(count)))
        uses = (c.DeviceUse * count.value)()
        for use in uses:
            use.struct_bytes = ctypes.sizeof(use)
        c.check(c.library.leat_session_uses(self._handle, uses, len(uses), c.byref(count)))
        return [c.members(use) for use in uses[: count.value]]

    def operator(self, op: str, *inputs: Optional[Value], outputs: int = 1,
                 **attributes: Any) -> Any:
        """One ONNX operator of the standard domain, as opset 21 has it, on arrays:
        `operator("Softmax", x, axis=1)`. None leaves an optional input out. Returns an array, or a
        tuple of `outputs` of them. It is made ready once for each set of shapes."""
        given = [None if value is None else arrays.as_array(value) for value in inputs]
        tensors = (c.Tensor * len(given))()
        for tensor, array in zip(tensors, given):
            if array is not None:
                arrays.fill(tensor, array)
        told = _attributes(attributes)
        results = (c.Tensor * outputs)()
        call = (self._handle, op.encode(), told, len(told), tensors, len(tensors), results,
                outputs)
        c.check(c.library.leat_operator(*call))
        made = tuple(arrays.empty_like(result) for result in results)
        c.check(c.library.leat_operator(*call))
        return made[0] if outputs == 1 else made


def _attributes(values: Mapping[str, Any]) -> Any:
    told = (c.Attribute * len(values))()
    for attribute, (name, value) in zip(told, values.items()):
        attribute.name = name.encode()
        attribute.is_list = isinstance(value, (list, tuple, np.ndarray))
        if isinstance(value, (str, bytes)):
            attribute.kind = c.TEXT
            attribute.text = value.encode() if isinstance(value, str) else value
            continue
        listed = list(value) if attribute.is_list else [value]
        attribute.count = len(listed)
        if all(isinstance(number, (int, np.integer)) for number in listed):
            attribute.kind = c.INTEGERS
            attribute.integers = (ctypes.c_int64 * len(listed))(*map(int, listed))
        else:
            attribute.kind = c.NUMBERS
            attribute.numbers = (ctypes.c_float * len(listed))(*map(float, listed))
    return told


_default: Optional[Session] = None
_default_lock = threading.Lock()


def default_session() -> Session:
    """The session of what names none; opened by the first."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Session()
        return _default


@dataclass(frozen=True)
class ValueFacts:
    """An input or output for the shapes that the model is ready for."""

    name: str
    shape: Tuple[int, ...]
    dtype: np.dtype
    type: int  # leat_type
    size_bytes: int  # 0, where only a call tells it


@dataclass(frozen=True)
class KernelTime:
    """One kernel of a profiled run. `bytes`: tensors read and written once."""

    name: str
    op: str
    flop: float
    bytes: int
    time_ns: int


class Fence(Awaitable[None]):
    """The end of a run that was started. Any thread may look and wait; `await` waits without
    keeping the event loop."""

    def __init__(self, model: "Model", fence: c.Fence) -> None:
        self._model = model  # which it must not outlive
        self._fence = fence

    @property
    def is_done(self) -> bool:
        done = ctypes.c_int32()
        c.check(c.library.leat_fence_look(c.byref(self._fence), c.byref(done)))
        return bool(done.value)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Whether it came to its end within `timeout` seconds; None waits on."""
        timeout_ns = 2**64 - 1 if timeout is None else max(int(timeout * 1e9), 0)
        status = c.library.leat_fence_wait(c.byref(self._fence), timeout_ns)
        if status == c.TIMEOUT:
            return False
        c.check(status)
        return True

    def __await__(self) -> Generator[Any, None, None]:
        if not self.is_done:
            import asyncio  # here, for it takes a tenth of a start

            loop = asyncio.get_running_loop()
            yield from loop.run_in_executor(None, self.wait).__await__()


class Model:
    """An ONNX model ready on a device: see leat.load."""

    def __init__(self, model: Union[str, "os.PathLike[str]", bytes], *,
                 device: Optional[str] = None, session: Optional[Session] = None, slots: int = 1,
                 shapes: Optional[Mapping[str, Sequence[int]]] = None,
                 values: Optional[Mapping[str, Value]] = None, strict: bool = False,
                 fixed: bool = False, deadline: float = 0, times: bool = False,
                 trust: bool = False,
                 states: Union[Mapping[str, str], Iterable[str]] = (),
                 precision: Optional[str] = None) -> None:
        self._handle = ctypes.c_void_p()
        self._session = session or default_session()
        self._lock = threading.Lock()  # a model is used by one thread at a time
        self._placed: Dict[Tuple[str, int, int], np.ndarray] = {}
        known, kept = _known_inputs(shapes or {}, values or {})
        pairs = _state_texts(states)
        options = c.LoadOptions(
            device=None if device is None else device.encode(), known=known,
            known_count=len(known), deadline_ns=int(deadline * 1e9), slots=slots,
            is_strict=int(strict), has_one_shape=int(fixed), takes_times=int(times),
            trusts_kernels=int(trust), states=pairs, state_count=len(pairs),
            precision=None if precision is None else precision.encode())
        if isinstance(model, bytes):
            status = c.library.leat_model_load_memory(
                self._session._handle, model, len(model), b"(bytes)", c.byref(options),
                c.byref(self._handle))
        else:
            status = c.library.leat_model_load(
                self._session._handle, os.fsencode(model), c.byref(options),
                c.byref(self._handle))
        c.check(status)
        del kept
        self._count = (c.library.leat_model_input_count(self._handle),
                       c.library.leat_model_output_count(self._handle))
        self._states = self._state_pairs()
        self._is_steady = False  # states are the same size after a run as before
        self._read_facts()

    def __del__(self, close: Any = c.library.leat_model_close) -> None:
        if hasattr(self, "_handle"):  # not after a call of __init__ with arguments of no meaning
            close(self._handle)

    def _read_facts(self) -> None:
        self.inputs: List[ValueFacts] = [
            self._facts(c.library.leat_model_input, i) for i in range(self._count[0])]
        self.outputs: List[ValueFacts] = [
            self._facts(c.library.leat_model_output, i) for i in range(self._count[1])]

    def _facts(self, ask: Any, index: int) -> ValueFacts:
        info = c.ValueInfo()
        c.check(ask(self._handle, index, c.byref(info)))
        return ValueFacts(c.text(info.name), tuple(info.shape[: info.rank]),
                          arrays.dtype_of(info.type), info.type, info.size_bytes)

    def _state_pairs(self) -> List[Tuple[int, int]]:
        """Of outputs and inputs."""
        pairs = []
        for i in range(c.library.leat_model_state_count(self._handle)):
            ends = ctypes.c_size_t(), ctypes.c_size_t()
            c.check(c.library.leat_model_state(
                self._handle, i, c.byref(ends[0]), c.byref(ends[1])))
            pairs.append((ends[0].value, ends[1].value))
        return pairs

    # --- Running ---------------------------------------------------------------------------------

    def __call__(self, *values: Optional[Value], **named: Optional[Value]) -> Any:
        """Runs once and waits. One value for each input, in order or by name, of the input's type;
        shapes that the model leaves open may change from call to call. Returns the output, or a
        tuple of them: new arrays.

        Inputs that are states are given by name, and are none of those in order; without a value
        they go on from the last call. Outputs that are states are left out: see Model.state."""
        results = self.run(self._in_order(values, named))
        held = {output for output, _ in self._states}
        shown = [result for i, result in enumerate(results) if i not in held]
        return shown[0] if len(shown) == 1 else tuple(shown)

    def run(self, values: Sequence[Optional[Value]]) -> List[Any]:
        """The same for a list, with a value for every input, None for a state that goes on;
        returns a list with an array for every output, None for a state."""
        if len(values) != len(self.inputs):
            raise TypeError(f"The model has {len(self.inputs)} inputs; {len(values)} are given.")
        with self._lock:
            given = self._arrays_of(values)
            tensors = (c.Tensor * self._count[0])()
            for tensor, array, facts in zip(tensors, given, self.inputs):
                if array is not None:
                    arrays.fill(tensor, array, facts.type)
            fits = all(array is None or array.shape == facts.shape
                       for array, facts in zip(given, self.inputs))
            return self._run_states(tensors, fits) if self._states else self._run(tensors, fits)

    def _arrays_of(self, values: Sequence[Optional[Value]]) -> List[Optional[np.ndarray]]:
        may_lack = {i for _, i in self._states}
        given: List[Optional[np.ndarray]] = []
        for i, (value, facts) in enumerate(zip(values, self.inputs)):
            goes_on = value is None and i in may_lack
            given.append(None if goes_on else arrays.as_array(value, facts.type))
        return given

    def _run(self, tensors: Any, fits: bool) -> List[Any]:
        """`fits`: the model is ready for these shapes."""
        if not fits:
            c.check(c.library.leat_model_set_shapes(self._handle, tensors, len(tensors)))
            self._read_facts()
            self._placed.clear()
        results = (c.Tensor * self._count[1])()
        return self._call(tensors, results, self._memory_for(results))

    def _run_states(self, tensors: Any, fits: bool) -> List[Any]:
        """`fits`: those that are given have the shapes of the last call."""
        held = {output for output, _ in self._states}
        results = (c.Tensor * self._count[1])()
        is_known = fits and self._is_steady
        made = self._call(tensors, results, self._memory_for(results, held) if is_known else [])
        if not is_known:
            self._placed.clear()
            self._read_facts()
            self._is_steady = all(
                self.outputs[output].shape == self.inputs[i].shape for output, i in self._states)
        return [None if i in held else array for i, array in enumerate(made)]

    def _call(self, tensors: Any, results: Any, made: List[np.ndarray]) -> List[np.ndarray]:
        """With memory for the outputs, where it is made; states are not copied."""
        call = self._handle, tensors, len(tensors), results, len(results)
        if not made:
            c.check(c.library.leat_run(*call))  # which tells the sizes
            made = self._described(results)
            for output, _ in self._states:
                results[output].data = None
            if not any(array.nbytes for array in made):
                return made  # there was nothing to be told, so it ran
        c.check(c.library.leat_run(*call))
        return made

    def state(self, name: str) -> np.ndarray:
        """What the next call will read of a state, by the name of its input or of its output: a
        new array."""
        named = [s for s, (output, i) in enumerate(self._states)
                 if name in (self.inputs[i].name, self.outputs[output].name)]
        if not named:
            raise KeyError(f"The model has no state \"{name}\".")
        value = (c.Tensor * 1)()
        with self._lock:
            ask = self._handle, named[0], value
            c.check(c.library.leat_model_read_state(*ask))
            array = self._described(value)[0]
            c.check(c.library.leat_model_read_state(*ask))
        return array

    def forget_states(self) -> None:
        """As before the first call: states are zeros."""
        with self._lock:
            self._is_steady = False
            c.check(c.library.leat_model_forget_states(self._handle))

    def _memory_for(self, results: Any, held: Container[int] = ()) -> List[np.ndarray]:
        """Of the outputs but those; none, where only a run tells the size of one, or one is
        empty."""
        wanted = [facts for i, facts in enumerate(self.outputs) if i not in held]
        if not all(facts.size_bytes for facts in wanted):
            return []
        made = [np.empty(() if i in held else facts.shape, facts.dtype)
                for i, facts in enumerate(self.outputs)]
        for i, (result, array, facts) in enumerate(zip(results, made, self.outputs)):
            if i not in held:
                arrays.fill(result, array, facts.type)
        return made

    @staticmethod
    def _described(results: Any) -> List[np.ndarray]:
        """Memory for outputs that leat_run has described, whatever the file says of them."""
        made = [np.empty(tuple(result.shape[: result.rank]), arrays.dtype_of(result.type))
                for result in results]
        for result, array in zip(results, made):
            arrays.fill(result, array, result.type)
        return made

    def _in_order(self, values: Sequence[Optional[Value]],
                  named: Mapping[str, Optional[Value]]) -> List[Optional[Value]]:
        states = {i for _, i in self._states}
        free = [facts.name for i, facts in enumerate(self.inputs) if i not in states]
        if len(values) > len(free) or (not named and len(values) < len(free)):
            raise TypeError(f"The model has {len(free)} inputs; {len(values)} are given.")
        given = dict(zip(free, values))
        unknown = set(named) - ({facts.name for facts in self.inputs} - set(given))
        if unknown:
            raise TypeError(f"The model has no input \"{min(unknown)}\" to be given by name.")
        given.update(named)
        missing = [name for name in free if name not in given]
        if missing:
            raise TypeError(f"Input \"{missing[0]}\" of the model is not given.")
        return [given.get(facts.name) for facts in self.inputs]

    # --- In place --------------------------------------------------------------------------------

    def input_array(self, index: int = 0, slot: int = 0) -> np.ndarray:
        """Where the device reads input `index`, to be written while no run of the slot is in
        flight. Valid until the model takes other shapes, or another array is placed there."""
        return self._memory(c.library.leat_model_input_memory, index, slot)

    def output_array(self, index: int = 0, slot: int = 0) -> np.ndarray:
        """Where the device writes output `index`, to be read likewise."""
        return self._memory(c.library.leat_model_output_memory, index, slot)

    def _memory(self, ask: Any, index: int, slot: int) -> np.ndarray:
        tensor = c.Tensor()
        c.check(ask(self._handle, slot, index, c.byref(tensor)))
        return arrays.view_of(tensor, self)

    def place_input(self, array: np.ndarray, index: int = 0, slot: int = 0) -> None:
        """Lets the device read input `index` in the array itself, which the model keeps alive.
        leat.empty makes arrays that every device takes that takes any."""
        self._place(c.library.leat_model_place_input, "input", self.inputs, array, index, slot)

    def place_output(self, array: np.ndarray, index: int = 0, slot: int = 0) -> None:
        """Lets the device write output `index` into the array itself."""
        self._place(c.library.leat_model_place_output, "output", self.outputs, array, index, slot)

    def place_input_dma_buf(self, fd: int, size_bytes: int, index: int = 0, slot: int = 0) -> None:
        """Lets the device read input `index` in a dma-buf of so many bytes, such as a camera's
        frame. The descriptor stays the caller's. The cpu device takes every file that can be
        mapped. What fills it is done before the run starts."""
        c.check(c.library.leat_model_place_input_dma_buf(
            self._handle, slot, index, fd, size_bytes))
        self._placed.pop(("input", slot, index), None)

    def place_output_dma_buf(self, fd: int, size_bytes: int, index: int = 0,
                             slot: int = 0) -> None:
        """Lets the device write output `index` into a dma-buf likewise."""
        c.check(c.library.leat_model_place_output_dma_buf(
            self._handle, slot, index, fd, size_bytes))
        self._placed.pop(("output", slot, index), None)

    def _place(self, put: Any, end: str, facts: List[ValueFacts], array: np.ndarray, index: int,
               slot: int) -> None:
        wanted = facts[index]
        if array.shape != wanted.shape or array.dtype != wanted.dtype:
            raise ValueError(f"{end} \"{wanted.name}\" is {wanted.dtype} {wanted.shape}; the array "
                             f"is {array.dtype} {array.shape}.")
        alignment = c.library.leat_model_place_alignment(self._handle)
        reason = arrays.placed(array, max(alignment, 1), f"{end} \"{wanted.name}\"")
        if reason:
            raise ValueError(reason)
        size_bytes = -(-array.nbytes // max(alignment, 1)) * max(alignment, 1)
        if not _has_room(array, size_bytes):
            raise ValueError(f"The array for {end} \"{wanted.name}\" has no room for "
                             f"({size_bytes}) bytes: leat.empty.")
        c.check(put(self._handle, slot, index, array.ctypes.data, size_bytes))
        self._placed[end, slot, index] = array

    def run_in_place(self, slot: int = 0) -> None:
        """Runs on what lies in the slot's inputs, and waits."""
        status = c.library.leat_model_run_in_place(self._handle, slot)
        if status:
            raise c.error_of(status)

    def start(self, slot: int = 0) -> Fence:
        """Starts such a run. At most one of each slot is in flight."""
        fence = c.Fence()
        c.check(c.library.leat_model_start(self._handle, slot, c.byref(fence)))
        return Fence(self, fence)

    # --- Facts -----------------------------------------------------------------------------------

    @property
    def device(self) -> Device:
        """The device that it is ready on."""
        info = c.DeviceInfo()
        c.check(c.library.leat_model_device(self._handle, c.byref(info)))
        return _device_of(info)

    @property
    def stats(self) -> Dict[str, Union[int, float]]:
        """Kernels, how many were compiled and how long that took, memory of the device in bytes,
        bytes of inputs and outputs copied since it was loaded."""
        stats = c.ModelStats()
        c.check(c.library.leat_model_get_stats(self._handle, c.byref(stats)))
        return c.members(stats)

    def run_times(self, slot: int = 0) -> Tuple[int, int]:
        """Begin and end of the slot's last run, in nanoseconds on the device's clock. The model was
        loaded with times=True."""
        begin, end = ctypes.c_uint64(), ctypes.c_uint64()
        c.check(c.library.leat_model_run_times(self._handle, slot, c.byref(begin), c.byref(end)))
        return begin.value, end.value

    def tune(self, kernel_seconds: float = 0, again: bool = False) -> Dict[str, Union[int, float]]:
        """Measures ways to compute each kernel on the device, for so many seconds each (0: 0.1),
        keeps the fastest in the session's cache folder and goes on with them. Returns how many
        kernels there are and were measured, and microseconds before and after."""
        options = c.TuneOptions(kernel_seconds=kernel_seconds, is_again=int(again))
        result = c.TuneResult()
        with self._lock:
            c.check(c.library.leat_model_tune(
                self._handle, c.byref(options), c.byref(result)))
            self._placed.clear()
            self._read_facts()
        return c.members(result)

    def profile(self) -> List[KernelTime]:
        """Runs slot 0 kernel by kernel, on the inputs that lie there."""
        count = ctypes.c_size_t()
        with self._lock:
            c.check(c.library.leat_model_profile(self._handle, None, 0, c.byref(count)))
            times = (c.KernelTime * count.value)()
            c.check(c.library.leat_model_profile(self._handle, times, len(times), c.byref(count)))
            return [KernelTime(c.text(time.name), c.text(time.op), time.flop, time.bytes,
                               time.time_ns) for time in times[: count.value]]

    def __repr__(self) -> str:
        ends = [", ".join(f"{facts.name} {facts.dtype} {facts.shape}" for facts in values)
                for values in (self.inputs, self.outputs)]
        return f"<leat.Model on {self.device.name}: {ends[0]} -> {ends[1]}>"


def _has_room(array: np.ndarray, size_bytes: int) -> bool:
    """Whether memory of the array's own reaches so far: of the array that it is a view of, too."""
    owner: Any = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    end = owner.ctypes.data + owner.nbytes
    return array.ctypes.data + size_bytes <= end


def _known_inputs(shapes: Mapping[str, Sequence[int]], values: Mapping[str, Value]) -> Any:
    """The C array, and what must live as long."""
    kept = {name: arrays.as_array(value) for name, value in values.items()}
    names = list({**shapes, **kept})
    known = (c.KnownInput * len(names))()
    for one, name in zip(known, names):
        one.name = name.encode()
        if name in kept:
            arrays.fill(one.value, kept[name])
        else:
            one.value.rank = len(shapes[name])
            one.value.shape[: one.value.rank] = shapes[name]
    return known, kept


def _state_texts(states: Union[Mapping[str, str], Iterable[str]]) -> Any:
    """The C array of "OUT=IN"."""
    if isinstance(states, str):
        raise TypeError(f"States are a mapping, or a list of \"OUT=IN\"; \"{states}\" is a text.")
    texts = ([f"{output}={name}" for output, name in states.items()]
             if isinstance(states, Mapping) else list(states))
    return (ctypes.c_char_p * len(texts))(*[text.encode() for text in texts])


def load(model: Union[str, "os.PathLike[str]", bytes], **options: Any) -> Model:
    """Makes an ONNX file, or its bytes, ready to run.

    device: "cpu", "gpu0", "gpu0:vulkan"; default: the best that takes the model.
    session: whose devices are used; default: one for the whole program.
    slots: sets of inputs and outputs, so that started runs overlap.
    shapes: by input name, for extents that the model leaves open. Without them the model is made
        ready by its first call, save for the first extent, which is 1 until a call says more.
    fixed: other shapes than the first are not expected; some per cent faster.
    values: by input name, of inputs whose value decides a shape: those are no inputs any more.
    strict: refuses a device that computes f64 as f32.
    times: each run takes the device's time: Model.run_times.
    deadline: seconds after which a run counts as lost.
    trust: kernels in the model are not checked by the interpreter (docs/kernels.md).
    states: outputs whose values are inputs of the next call, {"present.*": "past.*"} or a list of
        "OUT=IN"; one * on each side stands for the same characters. They stay on the device, zeros
        before the first call: Model.state, Model.forget_states.
    precision: "tf32", "bf16", "f16" or "i8": what factors of products in f32 may be rounded to
        (docs/precision.md); default: "f32", nothing.
    """
    return Model(model, **options)


def operator(op: str, *inputs: Optional[Value], outputs: int = 1, **attributes: Any) -> Any:
    """One ONNX operator on arrays: see Session.operator."""
    return default_session().operator(op, *inputs, outputs=outputs, **attributes)


def matmul(a: Value, b: Value) -> np.ndarray:
    """a (..., M, K) times b (..., K, N); leading axes are broadcast."""
    return operator("MatMul", a, b)


def conv2d(x: Value, w: Value, bias: Optional[Value] = None, *, stride: Sequence[int] = (1, 1),
           pad: Sequence[int] = (0, 0, 0, 0), dilation: Sequence[int] = (1, 1),
           groups: int = 1) -> np.ndarray:
    """x (N, C, H, W) with w (K, C / groups, R, S) and bias (K). `pad` is above, left, below, right;
    the result is (N, K, P, Q)."""
    given = (x, w) if bias is None else (x, w, bias)
    return operator("Conv", *given, strides=list(stride), pads=list(pad),
                    dilations=list(dilation), group=groups)
