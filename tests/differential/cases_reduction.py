"""Reductions, soft-max and its kin, normalisations, running sums."""
import numpy as np

from drawn_case import case, i64

GENERATORS = []


def generator(function):
    GENERATORS.append(function)
    return function


def reduce_array(op, x, axes, keepdims):
    axes = tuple(axes)
    options = {"axis": axes, "keepdims": bool(keepdims)}
    if op == "ReduceSum":
        return np.sum(x, **options)
    if op == "ReduceMean":
        return np.mean(x, **options)
    if op == "ReduceMax":
        return np.max(x, **options)
    if op == "ReduceMin":
        return np.min(x, **options)
    if op == "ReduceProd":
        return np.prod(x, **options)
    if op == "ReduceL1":
        return np.sum(np.abs(x), **options)
    if op == "ReduceL2":
        return np.sqrt(np.sum(np.square(x), **options))
    if op == "ReduceSumSquare":
        return np.sum(np.square(x), **options)
    if op == "ReduceLogSum":
        return np.log(np.sum(x, **options))
    return np.log(np.sum(np.exp(x), **options))


REDUCTIONS = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
              "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"]


@generator
def reduce(draw):
    op = draw.choice(REDUCTIONS)
    opset = draw.opset()
    dtype = draw.float_dtype()
    if op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1") \
            and draw.chance(0.25):
        dtype = draw.choice([np.int32, np.int64])
    shape = draw.shape(zero=0)
    if draw.chance(0.1):
        shape = (draw.integer(100, 3000), draw.integer(1, 3))
        dtype = np.float32
    x = draw.values(shape, dtype)
    if op in ("ReduceLogSum", "ReduceProd") and dtype not in (np.int32, np.int64):
        x = (np.abs(x) / 4 + 0.5).astype(dtype)
    axes = draw.axes(len(shape))
    if opset < 11:
        axes = [a % len(shape) for a in axes]
    keep = draw.choice([None, 0, 1])
    kept = 1 if keep is None else keep
    floating = np.issubdtype(dtype, np.floating)
    wide = x.astype(np.float64 if floating else np.int64)
    since = 13 if op == "ReduceSum" else 18
    noop = draw.choice([None, 0, 1]) if opset >= since else None
    over = [a % len(shape) for a in axes] if axes else range(len(shape))
    if not axes and noop == 1:
        over = ()  # the functions before and after the sum are applied all the same
    expected = [np.asarray(reduce_array(op, wide, over, kept)).astype(dtype)]
    options = {"keepdims": keep, "expected": expected, "dynamic": draw.chance(0.2)}
    if opset < since:
        return case(op, [x], opset, axes=axes or None, **options)
    arrays = [x]
    if axes or draw.chance(0.5):
        arrays.append(i64(axes))
    return case(op, arrays, opset, constant=(1,), noop_with_empty_axes=noop, **options)


@generator
def reduce_bool(draw):
    op = draw.choice(["ReduceMax", "ReduceMin"])
    x = draw.values(draw.shape(rank_min=1, zero=0), np.bool_)
    axis = draw.axis(x.ndim)
    y = (np.max if op == "ReduceMax" else np.min)(x, axis, keepdims=True)
    return case(op, [x, i64([axis])], draw.opset(20), constant=(1,), expected=[y])


@generator
def reduce_nothing(draw):
    """Over a dimension of extent 0 stands the operation's neutral element."""
    op, neutral = draw.choice([("ReduceSum", 0), ("ReduceProd", 1), ("ReduceL1", 0),
                               ("ReduceL2", 0), ("ReduceSumSquare", 0), ("ReduceMax", -np.inf),
                               ("ReduceMin", np.inf), ("ReduceLogSum", -np.inf),
                               ("ReduceLogSumExp", -np.inf)])
    shape = (2, 0, 3)
    x = np.zeros(shape, np.float32)
    return case(op, [x, i64([1])], draw.opset(18), constant=(1,),
                expected=[np.full((2, 1, 3), neutral, np.float32)])


@generator
def arg_extreme(draw):
    op = draw.choice(["ArgMax", "ArgMin"])
    opset = draw.opset()
    x = draw.values(draw.shape(rank_min=1, zero=0),
                    draw.choice([np.float32, np.float16, np.int32, np.int64, np.uint8, np.int8]))
    axis = draw.axis(x.ndim) if opset >= 11 else draw.integer(0, x.ndim - 1)
    keep = draw.choice([None, 0, 1])
    last = draw.choice([None, 0, 1]) if opset >= 12 else None
    find = np.argmax if op == "ArgMax" else np.argmin
    if last:
        y = x.shape[axis] - 1 - find(np.flip(x, axis), axis)
    else:
        y = find(x, axis)
    if keep != 0:
        y = np.expand_dims(y, axis)
    return case(op, [x], opset, out=np.int64, axis=axis if axis or draw.chance(0.5) else None,
                keepdims=keep, select_last_index=last, expected=[np.asarray(y, np.int64)])


@generator
def softmax(draw):
    op = draw.choice(["Softmax", "Softmax", "LogSoftmax", "Hardmax"])
    opset = draw.opset()
    dtype = draw.float_dtype()
    x = draw.floats(draw.shape(rank_min=1), dtype, -4, 4)
    if draw.chance(0.15):
        x = draw.floats((draw.integer(1, 4), draw.integer(100, 1500)), dtype, -4, 4)
    axis = draw.axis(x.ndim) if opset >= 11 else draw.integer(0, x.ndim - 1)
    if x.ndim > 1 and draw.chance(0.3):
        axis = None
    wide, at = x.astype(np.float64), axis
    if opset < 13:
        at = (1 if axis is None else axis % x.ndim)
        wide = wide.reshape(int(np.prod(x.shape[:at])), -1) if x.size else wide
        along = -1
    else:
        along = -1 if axis is None else axis
    if x.size == 0:
        return case(op, [x], opset, axis=axis, expected=[x])
    shifted = wide - wide.max(along, keepdims=True)
    total = np.exp(shifted).sum(along, keepdims=True)
    if op == "Softmax":
        y = np.exp(shifted) / total
    elif op == "LogSoftmax":
        y = shifted - np.log(total)
    else:
        y = np.zeros(wide.shape)
        np.put_along_axis(y, np.expand_dims(wide.argmax(along), along), 1, along)
    return case(op, [x], opset, axis=axis, expected=[y.reshape(x.shape).astype(dtype)],
                dynamic=draw.chance(0.3))


@generator
def cumsum(draw):
    dtype = draw.choice([np.float32, np.float32, np.int32, np.int64])
    x = draw.values(draw.shape(rank_min=1, zero=0), dtype)
    axis = draw.axis(x.ndim)
    exclusive, reverse = draw.choice([None, 0, 1]), draw.choice([None, 0, 1])
    y = np.flip(x, axis) if reverse else x
    y = np.cumsum(y, axis, dtype=dtype)
    if exclusive:
        y = y - (np.flip(x, axis) if reverse else x)
    if reverse:
        y = np.flip(y, axis)
    index = np.asarray(axis, draw.choice([np.int32, np.int64]))
    return case("CumSum", [x, index], draw.opset(11), constant=(1,), exclusive=exclusive,
                reverse=reverse, expected=[np.ascontiguousarray(y)])


@generator
def cumprod(draw):
    dtype = draw.choice([np.float32, np.float16, np.int32])
    x = draw.values(draw.shape(rank_min=1, zero=0), dtype)
    axis, exclusive, reverse = draw.axis(x.ndim), draw.chance(0.5), draw.chance(0.5)
    y = np.flip(x, axis) if reverse else x
    wide = np.int32 if dtype == np.int32 else np.float64
    y = np.cumprod(y, axis, dtype=wide)
    if exclusive:
        ones = np.ones_like(np.take(y, [0], axis))
        y = np.concatenate([ones, np.delete(y, -1, axis)], axis)
    if reverse:
        y = np.flip(y, axis)
    return case("CumProd", [x, np.asarray(axis, np.int64)], 26, constant=(1,),
                exclusive=int(exclusive), reverse=int(reverse),
                expected=[np.ascontiguousarray(y).astype(dtype)])


def per_channel(array, rank):
    return array.astype(np.float64).reshape(1, -1, *[1] * (rank - 2))


@generator
def batch_norm(draw):
    opset = draw.opset()
    x = draw.floats(draw.shape(rank_min=2, rank_max=5, zero=0.03), draw.float_dtype())
    channels = x.shape[1]
    # From opset 15 on the parameters and the statistics may be wider than the values.
    own, statistics = x.dtype, x.dtype
    if opset >= 15 and draw.chance(0.5):
        own, statistics = draw.choice([(x.dtype, np.float32), (np.float32, np.float32)])
    scale, bias = (draw.floats((channels,), own) for _ in range(2))
    mean, variance = draw.floats((channels,), statistics), draw.floats((channels,), statistics,
                                                                       0.1, 3)
    epsilon = draw.choice([None, 0.001, 0.1])
    root = np.sqrt(per_channel(variance, x.ndim) + (epsilon or 1e-5))
    y = (x - per_channel(mean, x.ndim)) / root
    y = y * per_channel(scale, x.ndim) + per_channel(bias, x.ndim)
    constant = (1, 2, 3, 4) if draw.chance(0.7) else ()
    extra = {"spatial": draw.choice([None, 1])} if opset < 9 else {}
    if opset >= 14:
        extra["training_mode"] = draw.choice([None, 0])
    return case("BatchNormalization", [x, scale, bias, mean, variance], opset, constant=constant,
                epsilon=epsilon, momentum=draw.choice([None, 0.9]), expected=[y.astype(x.dtype)],
                **extra)


@generator
def batch_norm_per_element(draw):
    """spatial 0 of opsets 7 and 8: one mean for every element of an item."""
    x = draw.floats(draw.shape(rank_min=2, rank_max=4, zero=0), np.float32)
    scale, bias, mean = (draw.floats(x.shape[1:]) for _ in range(3))
    variance = draw.floats(x.shape[1:], np.float32, 0.1, 3)
    y = (x - mean) / np.sqrt(variance + 1e-5) * scale + bias
    return case("BatchNormalization", [x, scale, bias, mean, variance], draw.integer(7, 8),
                constant=(1, 2, 3, 4), spatial=0, expected=[y.astype(np.float32)])


@generator
def instance_norm(draw):
    x = draw.floats(draw.shape(rank_min=3, rank_max=5, zero=0), draw.float_dtype())
    scale, bias = (draw.floats((x.shape[1],), x.dtype) for _ in range(2))
    epsilon = draw.choice([None, 0.01, 1e-3])
    axes, wide = tuple(range(2, x.ndim)), x.astype(np.float64)
    y = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(
        wide.var(axes, keepdims=True) + (epsilon or 1e-5))
    y = y * per_channel(scale, x.ndim) + per_channel(bias, x.ndim)
    if x[0, 0].size == 1 and x.dtype == np.float16:
        return None
    return case("InstanceNormalization", [x, scale, bias], draw.opset(), epsilon=epsilon,
                constant=(1, 2) if draw.chance(0.7) else (), expected=[y.astype(x.dtype)],
                atol=1e-4)


@generator
def layer_norm(draw):
    x = draw.floats(draw.shape(rank_min=1, rank_max=5, zero=0), draw.float_dtype())
    axis = draw.choice([None, draw.axis(x.ndim)])
    first = (-1 if axis is None else axis) % x.ndim
    axes, wide = tuple(range(first, x.ndim)), x.astype(np.float64)
    scale, bias = (draw.floats(x.shape[first:], x.dtype) for _ in range(2))
    epsilon = 0.01
    mean = wide.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(wide.var(axes, keepdims=True) + epsilon)
    y = (wide - mean) * inverse * scale.astype(np.float64)
    with_bias = draw.chance(0.6)
    if with_bias:
        y = y + bias.astype(np.float64)
    outputs = draw.integer(1, 3)
    expected = [y.astype(x.dtype), mean.astype(np.float32), inverse.astype(np.float32)][:outputs]
    return case("LayerNormalization", [x, scale, bias if with_bias else None], draw.opset(17),
                axis=axis, epsilon=epsilon, outputs=outputs, atol=1e-4,
                out=[x.dtype, np.float32, np.float32][:outputs], expected=expected)


@generator
def group_norm(draw):
    opset = draw.opset(18)
    groups, each = draw.integer(1, 3), draw.integer(1, 3)
    shape = (draw.integer(1, 2), groups * each, *draw.shape(rank_min=1, rank_max=3, zero=0))
    x = draw.floats(shape, draw.float_dtype())
    length = groups if opset < 21 else groups * each
    scale, bias = (draw.floats((length,), x.dtype) for _ in range(2))
    wide = x.astype(np.float64).reshape(shape[0], groups, -1)
    y = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 0.01)
    y = y.reshape(shape)
    full = [np.repeat(v, each) if opset < 21 else v for v in (scale, bias)]
    y = y * per_channel(full[0], x.ndim) + per_channel(full[1], x.ndim)
    made = case("GroupNormalization", [x, scale, bias], opset, num_groups=groups, epsilon=0.01,
                expected=[y.astype(x.dtype)], atol=1e-4)
    if opset < 21:
        made.note += " (deprecated)"
    return made


@generator
def lrn(draw):
    x = draw.floats(draw.shape(rank_min=3, rank_max=5, zero=0), draw.float_dtype())
    size = draw.integer(1, 7)
    alpha, beta, bias = (draw.choice([None, v]) for v in (0.3, 0.6, 2.0))
    wide = np.square(x.astype(np.float64))
    channels = x.shape[1]
    total = np.zeros(x.shape)
    for c in range(channels):
        first = max(0, c - (size - 1) // 2)
        last = min(channels - 1, c + size // 2)
        total[:, c] = wide[:, first:last + 1].sum(1)
    a, b, k = (d if v is None else float(np.float32(v)) for v, d in
               ((alpha, 1e-4), (beta, 0.75), (bias, 1.0)))
    y = x / (k + a / size * total) ** b
    return case("LRN", [x], draw.opset(), size=size, alpha=alpha, beta=beta, bias=bias,
                expected=[y.astype(x.dtype)])


@generator
def lp_norm(draw):
    x = draw.floats(draw.shape(rank_min=1, zero=0), draw.float_dtype())
    x = np.where(x == 0, 1, x).astype(x.dtype)
    p, axis = draw.choice([None, 1, 2]), draw.choice([None, draw.axis(x.ndim)])
    wide = x.astype(np.float64)
    y = wide / np.linalg.norm(wide, p or 2, -1 if axis is None else axis, True)
    return case("LpNormalization", [x], draw.opset(), p=p, axis=axis,
                expected=[y.astype(x.dtype)])


@generator
def mean_variance_norm(draw):
    axes = draw.choice([None, [0, 2, 3], [1], [2, 3], [0]])
    x = draw.floats(draw.shape(rank_min=4, rank_max=4, zero=0), draw.float_dtype())
    x = np.concatenate([x] * 2, 0) + np.arange(2 * x.shape[0]).reshape(-1, 1, 1, 1).astype(x.dtype)
    over, wide = tuple(axes or [0, 2, 3]), x.astype(np.float64)
    if np.min(wide.std(over)) < 0.3:
        return None  # a division by almost nothing tells nothing
    y = (wide - wide.mean(over, keepdims=True)) / wide.std(over, keepdims=True)
    return case("MeanVarianceNormalization", [x], draw.opset(9), axes=axes,
                expected=[y.astype(x.dtype)])


@generator
def softmax_of_masked(draw):
    """Attention masks are minus infinity, or the lowest number there is."""
    x = draw.floats((3, draw.integer(2, 40)), np.float32, -4, 4)
    hidden = draw.rng.random(x.shape) < 0.5
    hidden[:, 0] = False
    x[hidden] = draw.choice([-np.inf, np.finfo(np.float32).min, -1e4])
    shifted = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    y = shifted / shifted.sum(-1, keepdims=True)
    return case("Softmax", [x], 13, axis=-1, expected=[y.astype(np.float32)])


@generator
def reduce_large(draw):
    """Sums of exponents of large numbers do not overflow; squares of halves are kept in f32."""
    if draw.chance(0.5):
        x = draw.floats((4, 9), np.float32, 80, 120)
        y = np.logaddexp.reduce(x.astype(np.float64), 1, keepdims=True)
        return case("ReduceLogSumExp", [x, i64([1])], 18, constant=(1,),
                    expected=[y.astype(np.float32)])
    x = draw.floats((4, 9), np.float16, 100, 200)
    y = np.sqrt(np.square(x.astype(np.float64)).sum(1, keepdims=True))
    return case("ReduceL2", [x, i64([1])], 18, constant=(1,), expected=[y.astype(np.float16)])


@generator
def rms_norm(draw):
    x = draw.floats(draw.shape(rank_min=1, rank_max=5, zero=0), draw.float_dtype())
    axis = draw.choice([None, draw.axis(x.ndim)])
    first = (-1 if axis is None else axis) % x.ndim
    axes, wide = tuple(range(first, x.ndim)), x.astype(np.float64)
    scale = draw.floats(x.shape[first:], x.dtype)
    y = wide / np.sqrt(np.square(wide).mean(axes, keepdims=True) + 0.01) * scale
    return case("RMSNormalization", [x, scale], 23, axis=axis, epsilon=0.01,
                expected=[y.astype(x.dtype)])
