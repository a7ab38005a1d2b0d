"""Tensors far above a workgroup, a cache and a loop's usual length: grids, tails and the splits of
long reductions. Few cases of it are enough.
"""
import numpy as np

import window_reference as reference
from drawn_case import case, i64

GENERATORS = []


def generator(function):
    GENERATORS.append(function)
    return function


@generator
def large_elementwise(draw):
    rows, columns = draw.integer(300, 2100), draw.integer(300, 2100)
    a = draw.floats((rows, columns))
    b = draw.floats(draw.choice([(rows, 1), (columns,), (1, columns), (rows, columns)]))
    return case("Add", [a, b], 13, expected=[a + b])


@generator
def large_reduction(draw):
    length = draw.integer(50_000, 700_000)
    op, axis = draw.choice(["ReduceSum", "ReduceMax", "ReduceMean", "ReduceL2"]), 1
    x = draw.floats((draw.integer(1, 3), length), low=-1, high=2)
    if draw.chance(0.4):
        x, axis = np.ascontiguousarray(x.T), 0
    wide = x.astype(np.float64)
    y = {"ReduceSum": lambda: wide.sum(axis, keepdims=True),
         "ReduceMax": lambda: wide.max(axis, keepdims=True),
         "ReduceMean": lambda: wide.mean(axis, keepdims=True),
         "ReduceL2": lambda: np.sqrt(np.square(wide).sum(axis, keepdims=True))}[op]()
    return case(op, [x, i64([axis])], 18, constant=(1,), expected=[y.astype(np.float32)],
                rtol=1e-4)


@generator
def large_softmax(draw):
    x = draw.floats((draw.integer(1, 4), draw.integer(5_000, 120_000)), low=-9, high=9)
    wide = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    y = wide / wide.sum(1, keepdims=True)
    return case("Softmax", [x], 13, expected=[y.astype(np.float32)], rtol=1e-4)


@generator
def large_arg_max(draw):
    x = draw.floats((draw.integer(1, 3), draw.integer(5_000, 200_000)))
    x[:, draw.integer(0, x.shape[1] - 1)] = 5
    x[:, draw.integer(0, x.shape[1] - 1)] = 5
    y = x.argmax(1).reshape(-1, 1)
    return case("ArgMax", [x], 13, out=np.int64, axis=1, expected=[y])


@generator
def large_running_sum(draw):
    x = draw.integers((draw.integer(1, 3), draw.integer(500, 3000)), np.int32)
    axis = np.asarray(1, np.int64)
    return case("CumSum", [x, axis], 14, constant=(1,),
                expected=[np.cumsum(x, 1, dtype=np.int32)])


@generator
def large_transpose(draw):
    x = draw.floats((draw.integer(30, 120), draw.integer(30, 120), draw.integer(30, 120)))
    perm = [int(p) for p in draw.rng.permutation(3)]
    return case("Transpose", [x], 13, perm=perm, expected=[x.transpose(perm)])


@generator
def large_convolution(draw):
    """Whole pictures, and rows of the implicit matrix that no tile divides."""
    side = draw.integer(60, 200)
    channels, outputs = draw.integer(1, 5), draw.integer(1, 20)
    kernel = draw.choice([1, 3, 7])
    x = draw.floats((1, channels, side, side + draw.integer(-5, 5)))
    w = draw.floats((outputs, channels, kernel, kernel), low=-0.3, high=0.3)
    strides = [draw.integer(1, 3)] * 2
    pads = [draw.integer(0, kernel // 2) for _ in range(4)]
    y = reference.conv(x, w, None, strides, [1, 1], pads, "NOTSET", 1)
    return case("Conv", [x, w], 13, constant=(1,), strides=strides, pads=pads,
                expected=[y.astype(np.float32)])


@generator
def large_product(draw):
    m, n, k = draw.integer(1, 400), draw.integer(1, 400), draw.integer(500, 5000)
    a, b = draw.floats((m, k), low=-1, high=1), draw.floats((k, n), low=-1, high=1)
    y = a.astype(np.float64) @ b.astype(np.float64)
    return case("MatMul", [a, b], 13, constant=draw.choice([(), (1,), (0,)]),
                expected=[y.astype(np.float32)], rtol=1e-4, atol=1e-4)


@generator
def large_pooling(draw):
    x = draw.floats((1, draw.integer(1, 4), draw.integer(60, 160), draw.integer(60, 160)))
    kernel = [draw.integer(2, 40), draw.integer(2, 40)]
    strides = [draw.integer(1, 5), draw.integer(1, 5)]
    kind = draw.choice(["max", "average"])
    y = reference.pool(x, kind, kernel, strides, [1, 1], None, "NOTSET", 0)
    op = {"max": "MaxPool", "average": "AveragePool"}[kind]
    return case(op, [x], 13, kernel_shape=kernel, strides=strides,
                expected=[y.astype(np.float32)], rtol=1e-4)


@generator
def large_concat(draw):
    """More inputs than a device has bindings for one kernel."""
    count = draw.integer(20, 90)
    arrays = [draw.floats((2, draw.integer(1, 3))) for _ in range(count)]
    return case("Concat", arrays, 13, axis=1, expected=[np.concatenate(arrays, 1)])


@generator
def large_sum(draw):
    count = draw.integer(20, 60)
    arrays = [draw.eighths((3, 5)) for _ in range(count)]
    return case("Sum", arrays, 13, expected=[np.sum(arrays, 0, dtype=np.float32)])
