"""Random values for the cases of the differential test, and the case itself.

A case is an ONNX model with its inputs. Which inputs a model has at run time and which are
initializers is part of the case: what decides a shape is constant in nearly all real models.
"""
import dataclasses

import numpy as np
from onnx import helper, numpy_helper

OPSET_MIN, OPSET_MAX = 7, 21


@dataclasses.dataclass
class Case:
    name: str
    model: object
    inputs: dict
    expected: list = None  # of arrays; None asks the reference evaluator
    rtol: float = None  # None: by the outputs' element type
    atol: float = None  # times the largest magnitude of the expected values
    note: str = ""  # what a person wants to see of a case that differs


class Draw:
    """One stream of random numbers, and what cases want of it."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def integer(self, low, high):
        """Both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share):
        return bool(self.rng.random() < share)

    def choice(self, values):
        return values[int(self.rng.integers(len(values)))]

    def opset(self, low=OPSET_MIN, high=OPSET_MAX):
        return self.integer(max(low, OPSET_MIN), high)

    def shape(self, rank_min=0, rank_max=6, extent_max=5, zero=0.04):
        rank = self.integer(rank_min, rank_max)
        if rank > 4:
            extent_max = min(extent_max, 3)
        shape = [self.integer(1, extent_max) for _ in range(rank)]
        if rank and self.chance(zero):
            shape[self.integer(0, rank - 1)] = 0
        return tuple(shape)

    def axis(self, rank):
        return self.integer(-rank, rank - 1)

    def axes(self, rank, least=0):
        """Distinct axes, some of them counted from the end."""
        count = self.integer(least, rank)
        axes = self.rng.permutation(rank)[:count]
        return [int(a) - (rank if self.chance(0.4) else 0) for a in axes]

    def float_dtype(self):
        return np.float16 if self.chance(0.25) else np.float32

    def floats(self, shape, dtype=np.float32, low=-3.0, high=3.0):
        return self.rng.uniform(low, high, shape).astype(dtype)

    def eighths(self, shape, dtype=np.float32, low=-4, high=4):
        """Multiples of 1/8: sums are exact and equal values occur."""
        return (self.rng.integers(low * 8, high * 8 + 1, shape) / 8).astype(dtype)

    def integers(self, shape, dtype, low=-9, high=9):
        low = max(low, int(np.iinfo(dtype).min))
        return self.rng.integers(low, high + 1, shape).astype(dtype)

    def values(self, shape, dtype):
        if dtype == np.bool_:
            return self.rng.integers(0, 2, shape).astype(np.bool_)
        if np.issubdtype(dtype, np.floating):
            return self.eighths(shape, dtype)
        return self.integers(shape, dtype)

    def broadcastable(self, shape):
        """A shape that broadcasts with `shape`; sometimes of smaller or larger rank."""
        other = [1 if self.chance(0.35) else e for e in shape]
        if other and self.chance(0.4):
            other = other[self.integer(0, len(other)):]
        elif len(other) < 6 and self.chance(0.15):
            other = [self.integer(1, 3)] + other
        return tuple(other)


def code_of(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def model_of(nodes, inputs, initializers, outputs, opset, named_first=False):
    """outputs: name -> dtype. named_first leaves the first dimension of every input open."""
    infos = []
    for i, (name, array) in enumerate(inputs.items()):
        dims = list(array.shape)
        if named_first and dims:
            dims[0] = f"N{i}"
        infos.append(helper.make_tensor_value_info(name, code_of(array.dtype), dims))
    out = [helper.make_tensor_value_info(n, code_of(t), None) for n, t in outputs.items()]
    constants = [numpy_helper.from_array(np.ascontiguousarray(a).reshape(a.shape), n)
                 for n, a in initializers.items()]
    graph = helper.make_graph(nodes, "case", infos, out, constants)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def single(op, arrays, opset, constant=(), out=None, outputs=1, dynamic=False, **attributes):
    """A model of one node. arrays: None leaves an input out; indices in `constant` become
    initializers. out: dtypes of the outputs, by default that of the first input."""
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    while names and not names[-1]:
        names.pop()
    attributes = {k: v for k, v in attributes.items() if v is not None}
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, name="node", **attributes)
    if not isinstance(out, (list, tuple)):
        out = [out if out is not None else arrays[0].dtype] * outputs
    given = {f"x{i}": a for i, a in enumerate(arrays) if a is not None and i not in constant}
    fixed = {f"x{i}": a for i, a in enumerate(arrays) if a is not None and i in constant}
    model = model_of([node], given, fixed, dict(zip(results, out)), opset, dynamic)
    shapes = [None if a is None else f"{a.dtype}{list(a.shape)}" for a in arrays]
    shown = {i: arrays[i].tolist() for i in constant if i < len(arrays) and arrays[i] is not None
             and arrays[i].size <= 12}
    note = f"{op} opset {opset} {shapes} {attributes} constants {shown}"
    return model, given, note


def case(op, arrays, opset, *, expected=None, rtol=None, atol=None, name=None, **options):
    model, given, note = single(op, arrays, opset, **options)
    return Case(name or op, model, given, expected, rtol, atol, note)


def i64(values):
    return np.asarray(values, dtype=np.int64)
