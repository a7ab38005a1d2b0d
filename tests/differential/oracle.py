"""What a case's outputs should be, and whether they are."""
import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_resize import Resize as EvaluatorResize

NARROW = (TensorProto.FLOAT16, TensorProto.FLOAT)


# Operators that the evaluator of onnx 1.23 gets wrong or does not have, from their schemas.

class BatchNormalization(OpRun):
    """The evaluator's 6 to 13 fail or mix the batch's own mean in."""

    op_domain = ""

    def _run(self, x, scale, bias, mean, var, epsilon=1e-5, **_):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        s, b, m, v = (p.reshape(shape) for p in (scale, bias, mean, var))
        return ((x - m) / np.sqrt(v + (1e-5 if epsilon is None else epsilon)) * s + b,)


class LRN(OpRun):
    """The evaluator's runs over as many channels as there are items."""

    op_domain = ""

    def _run(self, x, alpha=None, beta=None, bias=None, size=None):
        a, b, k = (d if v is None else v for v, d in ((alpha, 1e-4), (beta, 0.75), (bias, 1.0)))
        squares, total = np.square(x), np.zeros(x.shape)
        for c in range(x.shape[1]):
            first, last = max(0, c - (size - 1) // 2), c + size // 2
            total[:, c] = squares[:, first:last + 1].sum(1)
        return (x / (k + a / size * total) ** b,)


class Upsample(OpRun):
    """Whole factors, nearest and linear along the last two dimensions."""

    op_domain = ""

    def _run(self, x, scales=None, mode=None, **_):
        for axis, scale in enumerate(np.asarray(scales, np.float64)):
            at = np.arange(int(x.shape[axis] * scale)) / scale
            low = np.floor(at).astype(int)
            part = np.take(x, low, axis)
            if mode == "linear":
                shape = [-1 if d == axis else 1 for d in range(x.ndim)]
                high = np.take(x, np.minimum(low + 1, x.shape[axis] - 1), axis)
                part = part + (high - part) * (at - low).reshape(shape)
            x = part
        return (x,)


class Resize(EvaluatorResize):
    """The evaluator takes the scales of opset 10, which are input 1, for a region of interest."""

    op_domain = ""

    def _run(self, x, roi=None, scales=None, sizes=None, **attributes):
        if scales is None and sizes is None:
            return Upsample._run(self, x, roi, attributes.get("mode"))
        return super()._run(x, roi, scales, sizes, **attributes)


OWN_OPERATORS = [BatchNormalization, LRN, Upsample, Resize]


def widened(model):
    """The same model in double precision, so that the oracle's own rounding does not count."""
    wide = ModelProto()
    wide.CopyFrom(model)
    for info in [*wide.graph.input, *wide.graph.output]:
        if info.type.tensor_type.elem_type in NARROW:
            info.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in wide.graph.initializer:
        widen_tensor(tensor)
    for node in wide.graph.node:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.HasField("t"):
                widen_tensor(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in NARROW:
                attribute.i = TensorProto.DOUBLE
    return wide


def widen_tensor(tensor):
    if tensor.data_type in NARROW:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def is_float(array):
    return np.issubdtype(array.dtype, np.floating)


def evaluate(made):
    inputs = {name: array.astype(np.float64) if is_float(array) else array
              for name, array in made.inputs.items()}
    values = ReferenceEvaluator(widened(made.model), new_ops=OWN_OPERATORS).run(None, inputs)
    types = [info.type.tensor_type.elem_type for info in made.model.graph.output]
    narrow = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}
    with np.errstate(over="ignore"):
        return [np.asarray(v).astype(narrow.get(t, np.asarray(v).dtype))
                for v, t in zip(values, types)]


def mismatch(made, expected, got):
    """Empty when all is well, else a sentence. Floats may differ by rounding: 2e-5 of the value and
    of the output's largest in f32, where sums of up to a few thousand terms are compared; 2e-3 in
    f16, whose step is 1e-3 of a value. 3e-7 is let through in any case: a difference of numbers
    near 1, such as 1 + tanh(x), is not known better in f32."""
    for i, (want, have) in enumerate(zip(expected, got)):
        if want.shape != have.shape or want.dtype != have.dtype:
            return f"output {i} is {have.dtype}{have.shape}, expected {want.dtype}{want.shape}"
        if not is_float(want):
            wrong = want != have
        else:
            rtol, atol = (2e-3, 2e-3) if want.dtype == np.float16 else (2e-5, 2e-5)
            rtol = rtol if made.rtol is None else made.rtol
            atol = atol if made.atol is None else max(made.atol, 1e-3) if \
                want.dtype == np.float16 and made.atol else made.atol
            wide, other = want.astype(np.float64), have.astype(np.float64)
            finite = np.isfinite(wide)
            largest = float(np.max(np.abs(wide[finite]), initial=0))
            with np.errstate(invalid="ignore"):
                near = np.abs(wide - other) <= rtol * np.abs(wide) + atol * largest + 3e-7
            same = (wide == other) | (np.isnan(wide) & np.isnan(other))
            wrong = ~np.where(finite, near, same)
        if np.any(wrong):
            at = tuple(int(v) for v in np.argwhere(wrong)[0])
            return (f"output {i} differs in {int(np.sum(wrong))} of {wrong.size} elements; at {at} "
                    f"it is {have[at]}, expected {want[at]}")
    return ""
