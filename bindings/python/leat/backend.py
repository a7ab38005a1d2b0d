"""ONNX's backend interface, so that ONNX's own test runner, and what else speaks it, drives Leat:

    import leat.backend
    outputs = leat.backend.prepare(model).run(inputs)

Needs the package onnx. A device is named as everywhere in Leat ("cpu", "gpu0:vulkan"); ONNX' own
names, "CPU" and "CUDA", are the cpu and the first GPU.
"""

from typing import Any, Optional, Sequence, Tuple

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from leat import arrays, model as leat_model
from leat._library import Error

# An input of more elements decides no shape.
_DECIDING_ELEMENTS_MAX = 1024


def _device_name(device: str) -> str:
    return {"CPU": "cpu", "CUDA": "gpu0"}.get(device, device)


class LeatRep(BackendRep):  # type: ignore[misc]
    """A model that is made ready by its first run, since only that knows all shapes, and by others
    when their shapes, or values that decide shapes, differ."""

    def __init__(self, model: onnx.ModelProto, device: str, strict: bool) -> None:
        initial = {tensor.name for tensor in model.graph.initializer}
        self._bytes = model.SerializeToString()
        self._inputs = [i.name for i in model.graph.input if i.name not in initial]
        self._device = _device_name(device)
        self._strict = strict
        self._ready: Optional[leat_model.Model] = None

    def run(self, inputs: Any, **kwargs: Any) -> Tuple[Any, ...]:
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        given = {name: arrays.as_array(value) for name, value in zip(self._inputs, inputs)}
        if self._ready is None or len(self._ready.inputs) != len(given):
            small = {name: value for name, value in given.items()
                     if value.size <= _DECIDING_ELEMENTS_MAX}
            shapes = {name: value.shape for name, value in given.items()}
            self._ready = leat_model.Model(self._bytes, device=self._device, shapes=shapes,
                                           values=small, strict=self._strict)
        results = self._ready.run([given[facts.name] for facts in self._ready.inputs])
        names = [facts.name for facts in self._ready.outputs]
        return namedtupledict("Outputs", names)(*results)


class LeatBackend(Backend):  # type: ignore[misc]
    """See the module."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        wanted = _device_name(device)
        names = [found.name for found in leat_model.devices() if not found.refusal]
        return any(name == wanted or name.split(":")[0] == wanted for name in names)

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        try:
            leat_model.Model(model.SerializeToString(), device=_device_name(device))
        except Error as error:
            return error.status != "unsupported"
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", strict: bool = True,
                **kwargs: Any) -> LeatRep:
        return LeatRep(model, device, strict)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU",
                  **kwargs: Any) -> Tuple[Any, ...]:
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node: onnx.NodeProto, inputs: Sequence[Any], device: str = "CPU",
                 outputs_info: Any = None, **kwargs: Any) -> Tuple[Any, ...]:
        given = [arrays.as_array(value) for value in inputs]
        values = [onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in zip([name for name in node.input if name], given)]
        results = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = onnx.helper.make_graph([node], "node", values, results)
        return cls.run_model(onnx.helper.make_model(graph), given, device, **kwargs)


is_compatible = LeatBackend.is_compatible
prepare = LeatBackend.prepare
run_model = LeatBackend.run_model
run_node = LeatBackend.run_node
supports_device = LeatBackend.supports_device
