"""Operators that move elements, speak of shapes, or make tensors from nothing."""
import numpy as np

from drawn_case import case, code_of, i64
from onnx import numpy_helper

GENERATORS = []
ANY_TYPE = [np.float32, np.float32, np.float16, np.int64, np.int32, np.uint8, np.int8, np.bool_,
            np.int16, np.uint16, np.uint32, np.uint64]


def generator(function):
    GENERATORS.append(function)
    return function


def draw_array(draw, **limits):
    return draw.values(draw.shape(**limits), draw.choice(ANY_TYPE))


@generator
def reshape(draw):
    x = draw_array(draw, zero=0.1)
    opset = draw.opset()
    if x.size == 0:
        if opset < 14:
            return None
        target = list(x.shape)[::-1]
        return case("Reshape", [x, i64(target)], opset, constant=(1,), allowzero=1,
                    expected=[x.reshape(target)])
    factors, rest = [], x.size
    while rest > 1 and len(factors) < 4:
        divisors = [d for d in range(1, rest + 1) if rest % d == 0]
        factors.append(draw.choice(divisors))
        rest //= factors[-1]
    factors.append(rest)
    target = list(factors)
    if draw.chance(0.5):
        target[draw.integer(0, len(target) - 1)] = -1
    elif draw.chance(0.4):
        target = [0 if i < x.ndim and t == x.shape[i] else t for i, t in enumerate(target)]
    return case("Reshape", [x, i64(target)], opset, constant=(1,), dynamic=draw.chance(0.2),
                expected=[x.reshape(factors)])


@generator
def flatten(draw):
    x = draw.values(draw.shape(), draw.choice([np.float32, np.float16]))
    opset = draw.opset()
    axis = draw.choice([None] + list(range(0, x.ndim + 1)))
    if axis is None and x.ndim == 0:
        axis = 0
    if opset >= 11 and x.ndim and draw.chance(0.4):
        axis = draw.integer(-x.ndim, -1)
    at = 1 if axis is None else axis if axis >= 0 else axis + x.ndim
    rows = int(np.prod(x.shape[:at], dtype=np.int64))
    columns = int(np.prod(x.shape[at:], dtype=np.int64))
    return case("Flatten", [x], opset, axis=axis, expected=[x.reshape(rows, columns)])


@generator
def transpose(draw):
    x = draw_array(draw)
    perm = [int(p) for p in draw.rng.permutation(x.ndim)] if draw.chance(0.8) else None
    if x.ndim == 0:
        perm = None
    return case("Transpose", [x], draw.opset(), perm=perm, expected=[np.transpose(x, perm)],
                dynamic=draw.chance(0.3))


@generator
def squeeze(draw):
    opset = draw.opset()
    shape = [1 if draw.chance(0.5) else e for e in draw.shape()]
    x = draw.values(shape, draw.choice(ANY_TYPE))
    ones = [i for i, e in enumerate(shape) if e == 1]
    axes = [a for a in ones if draw.chance(0.7)]
    if not axes:
        return case("Squeeze", [x], opset, expected=[np.squeeze(x)])
    signed = [a - x.ndim if opset >= 11 and draw.chance(0.4) else a for a in axes]
    expected = [np.squeeze(x, tuple(axes))]
    if opset < 13:
        return case("Squeeze", [x], opset, axes=signed, expected=expected)
    return case("Squeeze", [x, i64(signed)], opset, constant=(1,), expected=expected)


@generator
def unsqueeze(draw):
    opset = draw.opset()
    x = draw_array(draw, rank_max=4)
    count = draw.integer(1, 2)
    rank = x.ndim + count
    axes = [int(a) for a in draw.rng.permutation(rank)[:count]]
    signed = [a - rank if opset >= 11 and draw.chance(0.4) else a for a in axes]
    expected = [np.expand_dims(x, tuple(axes))]
    if opset < 13:
        return case("Unsqueeze", [x], opset, axes=signed, expected=expected)
    return case("Unsqueeze", [x, i64(signed)], opset, constant=(1,), expected=expected)


@generator
def shape_and_size(draw):
    x = draw_array(draw)
    opset = draw.opset()
    if draw.chance(0.3):
        return case("Size", [x], opset, out=np.int64, expected=[i64(x.size)])
    start = end = None
    if opset >= 15:
        start = draw.choice([None, draw.integer(-x.ndim - 1, x.ndim + 1)])
        end = draw.choice([None, draw.integer(-x.ndim - 1, x.ndim + 1)])
    return case("Shape", [x], opset, out=np.int64, start=start, end=end, dynamic=draw.chance(0.3),
                expected=[i64(x.shape[start:end])])


@generator
def expand(draw):
    x = draw_array(draw)
    shape = draw.broadcastable([e if e else 1 for e in x.shape])
    shape = [e if draw.chance(0.5) or e != 1 else draw.integer(1, 3) for e in shape]
    try:
        expected = x * np.ones(shape, x.dtype) if x.dtype != np.bool_ else \
            np.logical_and(x, np.ones(shape, np.bool_))
    except ValueError:
        return None
    return case("Expand", [x, i64(shape)], draw.opset(8), constant=(1,), expected=[expected])


@generator
def tile(draw):
    x = draw_array(draw, rank_min=1, rank_max=5)
    repeats = [draw.integer(0 if draw.chance(0.1) else 1, 3) for _ in range(x.ndim)]
    return case("Tile", [x, i64(repeats)], draw.opset(), constant=(1,),
                expected=[np.tile(x, repeats)])


@generator
def concat(draw):
    opset = draw.opset()
    shape = draw.shape(rank_min=1, rank_max=6)
    axis = draw.integer(0, len(shape) - 1)
    dtype = draw.choice(ANY_TYPE)
    arrays = []
    for _ in range(draw.integer(1, 5)):
        extents = list(shape)
        extents[axis] = draw.integer(0 if draw.chance(0.1) else 1, 5)
        arrays.append(draw.values(extents, dtype))
    signed = axis - len(shape) if opset >= 11 and draw.chance(0.4) else axis
    return case("Concat", arrays, opset, axis=signed, dynamic=axis > 0 and draw.chance(0.3),
                constant=(1,) if draw.chance(0.2) else (), expected=[np.concatenate(arrays, axis)])


@generator
def split(draw):
    opset = draw.opset()
    shape = list(draw.shape(rank_min=1, rank_max=5))
    axis = draw.integer(0, len(shape) - 1)
    sizes = [draw.integer(0 if draw.chance(0.1) else 1, 4) for _ in range(draw.integer(1, 4))]
    how = draw.choice(["sizes", "even", "uneven"])
    if how == "even" or (how == "uneven" and opset < 18):
        sizes, how = [sizes[0]] * len(sizes), "even"
    elif how == "uneven":
        total = draw.integer(len(sizes), 9)
        part = -(-total // len(sizes))
        sizes = [part] * (len(sizes) - 1) + [total - part * (len(sizes) - 1)]
        if sizes[-1] < 1:
            return None
    shape[axis] = sum(sizes)
    x = draw.values(shape, draw.choice(ANY_TYPE))
    expected = np.split(x, np.cumsum(sizes)[:-1], axis)
    signed = axis - len(shape) if opset >= 11 and draw.chance(0.4) else axis
    options = {"outputs": len(sizes), "axis": signed if signed or draw.chance(0.5) else None,
               "expected": expected}
    if how != "sizes":
        count = len(sizes) if opset >= 18 else None
        return case("Split", [x], opset, num_outputs=count, **options)
    if opset < 13:
        return case("Split", [x], opset, split=sizes, **options)
    return case("Split", [x, i64(sizes)], opset, constant=(1,), **options)


@generator
def slice_(draw):
    opset = draw.opset()
    x = draw_array(draw, rank_min=1)
    count = draw.integer(1, x.ndim)
    axes = sorted(int(a) for a in draw.rng.permutation(x.ndim)[:count])
    if draw.chance(0.5):
        axes = list(range(count))
    starts, ends, steps, index = [], [], [], [slice(None)] * x.ndim
    big = np.iinfo(np.int64)
    for a in axes:
        extent = x.shape[a]
        step = draw.choice([1, 1, 2, 3, -1, -2, -3]) if opset >= 10 else 1
        start = draw.integer(-extent - 2, extent + 2)
        near = draw.integer(-extent - 2, extent + 2)
        end = draw.choice([near, near, near, big.max, big.min, 2**31 - 1, -2**31])
        starts.append(start)
        ends.append(end)
        steps.append(step)
        # Bounds are clamped to [0, extent], or to [-1, extent - 1] going backwards.
        low, high = (0, extent) if step > 0 else (-1, extent - 1)
        first = min(max(start + extent if start < 0 else start, low), high) if step > 0 else \
            min(max(start + extent if start < 0 else start, 0), extent - 1)
        last = min(max(end + extent if end < 0 else end, low), high)
        index[a] = list(range(first, last, step)) if extent else []
    expected = x
    for a in range(x.ndim):
        if isinstance(index[a], list):
            expected = np.take(expected, np.asarray(index[a], np.int64), a)
    signed = [a - x.ndim if opset >= 11 and draw.chance(0.3) else a for a in axes]
    if opset < 10:
        given = signed if axes != list(range(count)) or draw.chance(0.5) else None
        return case("Slice", [x], opset, starts=starts, ends=ends, axes=given, expected=[expected])
    kind = draw.choice([np.int64, np.int64, np.int32])
    if kind == np.int32:
        ends = [min(max(e, -2**31), 2**31 - 1) for e in ends]
    arrays = [x, np.asarray(starts, kind), np.asarray(ends, kind)]
    leave = axes == list(range(count)) and draw.chance(0.5)
    ones = all(s == 1 for s in steps)
    if not leave or not ones:
        arrays.append(None if leave else np.asarray(signed, kind))
    if not ones or (not leave and draw.chance(0.3)):
        arrays.append(np.asarray(steps, kind))
    return case("Slice", arrays, opset, constant=(1, 2, 3, 4), expected=[expected],
                dynamic=draw.chance(0.2))


PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def pad_array(x, begins, ends, mode, value):
    """Negative pads cut, before anything is added."""
    cut = tuple(slice(max(0, -b), x.shape[i] - max(0, -e)) for i, (b, e) in
                enumerate(zip(begins, ends)))
    x = x[cut]
    widths = [(max(0, b), max(0, e)) for b, e in zip(begins, ends)]
    if mode == "constant":
        return np.pad(x, widths, constant_values=value)
    return np.pad(x, widths, mode=PAD_MODES[mode])


@generator
def pad(draw):
    opset = draw.opset()
    modes = ["constant", "constant", "reflect", "edge"] + (["wrap"] if opset >= 19 else [])
    mode = draw.choice(modes)
    dtype = draw.choice([np.float32, np.float32, np.float16] if opset < 13 else ANY_TYPE)
    x = draw.values(draw.shape(rank_min=1, rank_max=5, zero=0), dtype)
    axes = list(range(x.ndim))
    if opset >= 18 and draw.chance(0.4):
        axes = [int(a) for a in draw.rng.permutation(x.ndim)[:draw.integer(1, x.ndim)]]
    begins, ends = [0] * x.ndim, [0] * x.ndim
    for a in axes:
        extent = x.shape[a]
        cut = draw.chance(0.25) and extent > 2
        begins[a] = -1 if cut and draw.chance(0.5) else draw.integer(0, 3)
        ends[a] = -1 if cut and draw.chance(0.5) else draw.integer(0, 3)
        rest = extent + min(0, begins[a]) + min(0, ends[a])
        limit = {"reflect": rest - 1, "wrap": rest}.get(mode, 99)
        begins[a], ends[a] = min(begins[a], limit), min(ends[a], limit)
    value = dtype(1) if draw.chance(0.5) else None
    expected = [pad_array(x, begins, ends, mode, dtype(0) if value is None else value)]
    mode_text = mode if mode != "constant" or draw.chance(0.5) else None
    pads = [begins[a] for a in axes] + [ends[a] for a in axes]
    if opset < 11:
        number = None if value is None else float(value)
        return case("Pad", [x], opset, mode=mode_text, pads=pads, value=number, expected=expected)
    arrays = [x, i64(pads)]
    partial = axes != list(range(x.ndim))
    if value is not None or partial:
        arrays.append(None if value is None else np.asarray(value, dtype))
    if partial:
        arrays.append(i64([a - x.ndim if draw.chance(0.4) else a for a in axes]))
    constant = (1, 3) if draw.chance(0.3) else (1, 2, 3)
    return case("Pad", arrays, opset, constant=constant, mode=mode_text, expected=expected)


@generator
def depth_and_space(draw):
    block = draw.integer(1, 3)
    n, c, h, w = (draw.integer(1, 3) for _ in range(4))
    opset = draw.opset()
    dtype = draw.choice([np.float32, np.float16])
    if draw.chance(0.5):
        x = draw.values((n, c, h * block, w * block), dtype)
        y = x.reshape(n, c, h, block, w, block).transpose(0, 3, 5, 1, 2, 4)
        y = y.reshape(n, c * block * block, h, w)
        return case("SpaceToDepth", [x], opset, blocksize=block, expected=[y])
    x = draw.values((n, c * block * block, h, w), dtype)
    mode = draw.choice([None, "DCR", "CRD"]) if opset >= 11 else None
    if mode == "CRD":
        y = x.reshape(n, c, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        y = x.reshape(n, block, block, c, h, w).transpose(0, 3, 4, 1, 5, 2)
    return case("DepthToSpace", [x], opset, blocksize=block, mode=mode,
                expected=[y.reshape(n, c, h * block, w * block)])


@generator
def gather(draw):
    opset = draw.opset()
    x = draw_array(draw, rank_min=1, rank_max=4, zero=0)
    axis = draw.axis(x.ndim) if opset >= 11 else draw.integer(0, x.ndim - 1)
    extent = x.shape[axis]
    shape = draw.shape(rank_max=2)
    low = -extent if opset >= 11 else 0
    indices = draw.rng.integers(low, extent, shape).astype(draw.choice([np.int64, np.int32]))
    indices = np.asarray(indices)
    return case("Gather", [x, indices], opset, axis=axis if axis or draw.chance(0.5) else None,
                constant=(1,) if draw.chance(0.4) else (), expected=[np.take(x, indices, axis)])


@generator
def gather_elements(draw):
    x = draw_array(draw, rank_min=1, rank_max=4, zero=0)
    axis = draw.axis(x.ndim)
    shape = [draw.integer(1, e) for e in x.shape]
    shape[axis] = draw.integer(1, 5)
    extent = x.shape[axis]
    indices = draw.rng.integers(-extent, extent, shape).astype(draw.choice([np.int64, np.int32]))
    cut = x[tuple(slice(None) if i == axis % x.ndim else slice(0, e)
                  for i, e in enumerate(shape))]
    expected = np.take_along_axis(cut, np.where(indices < 0, indices + extent, indices), axis)
    return case("GatherElements", [x, indices], draw.opset(11), axis=axis, expected=[expected],
                constant=(1,) if draw.chance(0.4) else ())


@generator
def gather_nd(draw):
    opset = draw.opset(11)
    batch = draw.integer(0, 2) if opset >= 12 else 0
    x = draw_array(draw, rank_min=batch + 1, rank_max=batch + 3, zero=0)
    depth = draw.integer(1, x.ndim - batch)
    middle = draw.shape(rank_max=2, extent_max=3, zero=0)
    lead = x.shape[:batch]
    limits = x.shape[batch:batch + depth]
    indices = np.stack([draw.rng.integers(-e, e, lead + middle) for e in limits], -1)
    indices = indices.astype(np.int64)
    expected = np.zeros(lead + middle + x.shape[batch + depth:], x.dtype)
    for at in np.ndindex(*(lead + middle)):
        expected[at] = x[at[:batch] + tuple(indices[at])]
    return case("GatherND", [x, indices], opset, batch_dims=batch or None, expected=[expected],
                constant=(1,) if draw.chance(0.4) else ())


@generator
def one_hot(draw):
    depth = draw.integer(1, 6)
    opset = draw.opset(9)
    shape = draw.shape(rank_max=3)
    low = -depth if opset >= 11 else 0
    indices = np.asarray(draw.rng.integers(low, depth, shape).astype(np.int64))
    rank = len(shape) + 1
    axis = draw.choice([None, draw.integer(-rank, rank - 1)])
    values = draw.values((2,), draw.choice([np.float32, np.int64, np.int32]))
    hot = (np.arange(depth) == (indices % depth)[..., None])
    hot = np.moveaxis(hot, -1, -1 if axis is None else axis)
    kind = draw.choice([np.int64, np.float32])
    depth_array = np.asarray([depth] if draw.chance(0.5) else depth, kind)
    return case("OneHot", [indices, depth_array, values], opset, constant=(1,), axis=axis,
                out=values.dtype, expected=[np.where(hot, values[1], values[0])])


@generator
def trilu(draw):
    x = draw_array(draw, rank_min=2, rank_max=4)
    upper = draw.choice([None, 0, 1])
    k = draw.integer(-6, 6) if draw.chance(0.7) else None
    make = np.tril if upper == 0 else np.triu
    arrays = [x] if k is None else [x, i64(k)]
    return case("Trilu", arrays, draw.opset(14), constant=(1,), upper=upper,
                expected=[make(x, k or 0)])


@generator
def center_crop_pad(draw):
    x = draw_array(draw, rank_min=1, rank_max=4, zero=0)
    axes = [int(a) for a in draw.rng.permutation(x.ndim)[:draw.integer(1, x.ndim)]]
    if draw.chance(0.3):
        axes = None
    target = [draw.integer(1, 7) for _ in (axes or range(x.ndim))]
    y = x
    for a, extent in zip(axes if axes is not None else range(x.ndim), target):
        missing = extent - y.shape[a]
        if missing >= 0:
            widths = [(0, 0)] * y.ndim
            widths[a] = (missing // 2, missing - missing // 2)
            y = np.pad(y, widths)
        else:
            y = np.take(y, np.arange(extent) + (-missing) // 2, a)
    return case("CenterCropPad", [x, i64(target)], draw.opset(18), constant=(1,), axes=axes,
                expected=[y])


@generator
def constant_of_shape(draw):
    shape = i64(draw.shape())
    value, expected = None, np.zeros(shape, np.float32)
    if draw.chance(0.7):
        array = draw.values((1,), draw.choice(ANY_TYPE))
        value, expected = numpy_helper.from_array(array), np.full(shape, array[0])
    made = case("ConstantOfShape", [shape], draw.opset(9), constant=(0,), value=value,
                out=expected.dtype, expected=[expected])
    return made


@generator
def constant(draw):
    opset = draw.opset()
    array = draw_array(draw)
    attributes = {"value": numpy_helper.from_array(array)}
    if opset >= 12 and draw.chance(0.5):
        attributes, array = draw.choice([
            ({"value_float": 1.5}, np.float32(1.5)), ({"value_int": -7}, i64(-7)),
            ({"value_floats": [0.5, 2.0]}, np.float32([0.5, 2])),
            ({"value_ints": [3, -4, 5]}, i64([3, -4, 5]))])
        array = np.asarray(array)
    return case("Constant", [], opset, out=array.dtype, expected=[array], **attributes)


@generator
def range_(draw):
    dtype = draw.choice([np.float32, np.int16, np.int32, np.int64])
    start, delta = draw.integer(-9, 9), draw.choice([1, 2, 3, -1, -2])
    limit = draw.integer(-9, 9)
    scale = 0.5 if dtype == np.float32 else 1
    arrays = [np.asarray(v * scale, dtype) for v in (start, limit, delta)]
    expected = np.arange(start, limit, delta) * scale
    return case("Range", arrays, draw.opset(11), constant=(0, 1, 2), out=dtype,
                expected=[expected.astype(dtype)])


@generator
def eye_like(draw):
    x = draw.values((draw.integer(1, 5), draw.integer(1, 5)), np.float32)
    k = draw.choice([None, draw.integer(-5, 5)])
    dtype = draw.choice([None, np.float32, np.float16, np.int32, np.int64, np.bool_])
    out = dtype or np.float32
    return case("EyeLike", [x], draw.opset(9), k=k, out=out,
                dtype=None if dtype is None else code_of(dtype),
                expected=[np.eye(*x.shape, k=k or 0, dtype=out)])


@generator
def upsample(draw):
    x = draw.values(draw.shape(rank_min=3, rank_max=4, zero=0), draw.float_dtype())
    opset = draw.integer(7, 9)
    scales = np.ones(x.ndim, np.float32)
    for a in range(2, x.ndim):
        scales[a] = draw.choice([1, 1.5, 2, 2.5, 3])
    mode = draw.choice([None, "nearest", "linear"])
    if mode == "linear":
        x = draw.values((*x.shape[:2], draw.integer(1, 4), draw.integer(1, 4)), x.dtype)
        scales = np.float32([1, 1, draw.choice([1, 2, 3]), draw.choice([1, 2, 2.5])])
    y = x.astype(np.float64)
    for a in range(x.ndim):
        out = int(np.floor(x.shape[a] * scales[a]))
        at = np.arange(out) / scales[a]
        low = np.minimum(np.floor(at).astype(int), x.shape[a] - 1)
        part = np.take(y, low, a)
        if mode == "linear":
            share = np.minimum(at - low, 1).reshape([-1 if i == a else 1 for i in range(x.ndim)])
            high = np.minimum(low + 1, x.shape[a] - 1)
            part = part * (1 - share) + np.take(y, high, a) * share
        y = part
    expected = [y.astype(x.dtype)]
    if opset < 9:
        return case("Upsample", [x], opset, mode=mode, scales=[float(s) for s in scales],
                    expected=expected)
    return case("Upsample", [x, scales], opset, mode=mode, constant=(1,), expected=expected)


@generator
def experimental(draw):
    """Operators of opset 1 that were withdrawn, as old converters still write them."""
    x = draw.floats((draw.integer(1, 2), 3, 7, 8))
    op = draw.choice(["Affine", "ImageScaler", "Crop"])
    if op == "Affine":
        attributes, y = {"alpha": 0.5, "beta": 1.25}, 0.5 * x + 1.25
    elif op == "ImageScaler":
        attributes = {"scale": 2.0, "bias": [0.5, -1.0, 3.0]}
        y = 2 * x + np.float32([0.5, -1, 3]).reshape(3, 1, 1)
    elif draw.chance(0.5):  # left, top, right, bottom
        attributes, y = {"border": [1, 2, 3, 0]}, x[:, :, 2:7, 1:5]
    else:
        attributes, y = {"border": [1, 2, 0, 0], "scale": [4, 5]}, x[:, :, 2:6, 1:6]
    made = case(op, [x], draw.opset(7, 9), expected=[y], **attributes)
    made.note += " (deprecated)"
    return made


@generator
def swish(draw):
    x = draw.floats(draw.shape(), draw.float_dtype(), -6, 6)
    alpha = draw.choice([None, 0.5, 2.0])
    y = x / (1 + np.exp(-x.astype(np.float64) * (1 if alpha is None else alpha)))
    return case("Swish", [x], 24, alpha=alpha, expected=[y.astype(x.dtype)])
