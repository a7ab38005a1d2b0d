"""Convolutions, matrix products and pooling. The reference is window_reference.py."""
import numpy as np

import window_reference as reference
from drawn_case import case

GENERATORS = []


def generator(function):
    GENERATORS.append(function)
    return function


def draw_window(draw, spatial, ceil_mode=False, dilations=True):
    """Kernel, strides, dilations, pads and auto_pad; some of them left to their defaults."""
    kernel = [draw.integer(1, 4 if spatial < 3 else 3) for _ in range(spatial)]
    window = {"kernel_shape": kernel, "strides": None, "dilations": None, "pads": None,
              "auto_pad": None}
    if draw.chance(0.6):
        window["strides"] = [draw.integer(1, 3) for _ in range(spatial)]
    if dilations and draw.chance(0.4):
        window["dilations"] = [draw.integer(1, 3) for _ in range(spatial)]
    how = draw.choice(["none", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    if how in ("pads", "NOTSET"):
        window["pads"] = [draw.integer(0, kernel[i % spatial] - 1) for i in range(2 * spatial)]
    if how not in ("none", "pads"):
        window["auto_pad"] = how
    return window


def numbers_of(window, spatial):
    """strides, dilations, pads, auto_pad with the defaults filled in."""
    return (window["strides"] or [1] * spatial, window["dilations"] or [1] * spatial,
            window["pads"], window["auto_pad"] or "NOTSET")


def spatial_extents(draw, window, spatial, largest):
    dilations = window["dilations"] or [1] * spatial
    return [(k - 1) * d + 1 + draw.integer(0, largest) for k, d in
            zip(window["kernel_shape"], dilations)]


def draw_groups(draw):
    kind = draw.choice(["one", "one", "groups", "depthwise", "multiplier"])
    if kind == "one":
        return 1, draw.integer(1, 7), draw.integer(1, 9)
    groups = draw.integer(2, 9 if kind != "groups" else 3)
    if kind == "depthwise":
        return groups, groups, groups
    if kind == "multiplier":
        return groups, groups, groups * 2
    return groups, groups * draw.integer(1, 3), groups * draw.integer(1, 5)


@generator
def conv(draw):
    spatial = draw.choice([1, 2, 2, 2, 3])
    window = draw_window(draw, spatial)
    if window["auto_pad"] and draw.chance(0.5):
        window["dilations"] = None
    groups, channels, outputs = draw_groups(draw)
    dtype = draw.float_dtype()
    batch = 0 if draw.chance(0.03) else draw.integer(1, 3)
    x = draw.floats((batch, channels, *spatial_extents(draw, window, spatial, 9)), dtype)
    w = draw.floats((outputs, channels // groups, *window["kernel_shape"]), dtype, -1, 1)
    bias = draw.floats((outputs,), dtype) if draw.chance(0.6) else None
    strides, dilations, pads, auto_pad = numbers_of(window, spatial)
    expected = reference.conv(x, w, bias, strides, dilations, pads, auto_pad, groups)
    if draw.chance(0.3):
        window["kernel_shape"] = None
    constant = (1, 2) if draw.chance(0.8) else ()
    return case("Conv", [x, w, bias], draw.opset(), constant=constant, dynamic=draw.chance(0.3),
                expected=[expected.astype(dtype)], group=groups if groups > 1 else None, **window)


@generator
def conv_large(draw):
    """Extents around the sizes of tiles and vectors."""
    channels, outputs = draw.integer(1, 70), draw.integer(1, 70)
    kernel = draw.choice([1, 3, 5])
    side = draw.integer(5, 20)
    dtype = draw.float_dtype()
    x = draw.floats((draw.integer(1, 2), channels, side, side + draw.integer(-2, 3)), dtype)
    w = draw.floats((outputs, channels, kernel, kernel), dtype, -0.3, 0.3)
    bias = draw.floats((outputs,), dtype)
    strides = [draw.integer(1, 2)] * 2
    pads = [draw.integer(0, kernel // 2) for _ in range(4)]
    expected = reference.conv(x, w, bias, strides, [1, 1], pads, "NOTSET", 1)
    return case("Conv", [x, w, bias], draw.opset(), constant=(1, 2), strides=strides, pads=pads,
                expected=[expected.astype(dtype)], name="Conv")


@generator
def conv_transpose(draw):
    spatial = draw.choice([1, 2, 2, 2, 3])
    window = draw_window(draw, spatial)
    groups, channels, outputs = draw_groups(draw)
    dtype = draw.float_dtype()
    x = draw.floats((draw.integer(1, 2), channels,
                     *[draw.integer(1, 6 if spatial < 3 else 4) for _ in range(spatial)]), dtype)
    w = draw.floats((channels, outputs // groups, *window["kernel_shape"]), dtype, -1, 1)
    bias = draw.floats((outputs,), dtype) if draw.chance(0.6) else None
    strides, dilations, pads, auto_pad = numbers_of(window, spatial)
    padding, shape = None, None
    if draw.chance(0.3):
        padding = [draw.integer(0, max(s, d) - 1) for s, d in zip(strides, dilations)]
    if draw.chance(0.25):
        full = [(e - 1) * s + (k - 1) * d + 1 for e, s, k, d in
                zip(x.shape[2:], strides, window["kernel_shape"], dilations)]
        shape = [max(1, f - draw.integer(0, 3)) for f in full]
        padding = None
        window["pads"] = None
    y = reference.conv_transpose(x, w, bias, strides, dilations, pads if shape is None else None,
                                 auto_pad, groups, padding or [0] * spatial, shape)
    if min(y.shape) <= 0 or (auto_pad.startswith("SAME") and shape is None
                             and any(k < s for k, s in zip(window["kernel_shape"], strides))):
        return None
    if draw.chance(0.3):
        window["kernel_shape"] = None
    return case("ConvTranspose", [x, w, bias], draw.opset(), expected=[y.astype(dtype)],
                constant=(1, 2) if draw.chance(0.8) else (), group=groups if groups > 1 else None,
                output_padding=padding, output_shape=shape, **window)


@generator
def pooling(draw):
    kind = draw.choice(["max", "max", "average", "average", "average", "lp"])
    op = {"max": "MaxPool", "average": "AveragePool", "lp": "LpPool"}[kind]
    spatial = draw.choice([1, 2, 2, 2, 3])
    window = draw_window(draw, spatial, dilations=False)
    opset = draw.opset()
    since = {"max": 10, "average": 19, "lp": 18}[kind]
    if opset >= since and draw.chance(0.4):
        window["dilations"] = [draw.integer(1, 3) for _ in range(spatial)]
    ceil_mode = draw.integer(0, 1) if opset >= (18 if kind == "lp" else 10) else 0
    dtype = draw.float_dtype()
    if kind == "max" and opset >= 12 and draw.chance(0.2):
        dtype = draw.choice([np.int8, np.uint8])
    shape = (draw.integer(1, 2), draw.integer(1, 4), *spatial_extents(draw, window, spatial, 7))
    x = draw.values(shape, dtype)
    strides, dilations, pads, auto_pad = numbers_of(window, spatial)
    extra = {}
    if kind == "average" and draw.chance(0.5):
        extra["count_include_pad"] = draw.integer(0, 1)
    if kind == "lp" and draw.chance(0.5):
        extra["p"] = draw.integer(1, 3)
    expected = reference.pool(x, kind, window["kernel_shape"], strides, dilations, pads, auto_pad,
                              ceil_mode, extra.get("count_include_pad", 0), extra.get("p", 2))
    if not np.all(np.isfinite(expected)):
        return None  # a window that lies in the padding altogether
    if ceil_mode:
        if window["auto_pad"] == "VALID":
            return None  # the schema's formula rounds down, its shape inference up
        extra["ceil_mode"] = 1
    return case(op, [x], opset, expected=[expected.astype(dtype)], dynamic=draw.chance(0.3),
                **window, **extra)


@generator
def max_pool_indices(draw):
    """Where the maxima stand; all values differ, so that there is one answer."""
    spatial = draw.choice([1, 2, 2, 3])
    window = draw_window(draw, spatial, dilations=False)
    shape = (draw.integer(1, 2), draw.integer(1, 3), *spatial_extents(draw, window, spatial, 5))
    x = draw.rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.float32)
    strides, dilations, pads, auto_pad = numbers_of(window, spatial)
    y = reference.pool(x, "max", window["kernel_shape"], strides, dilations, pads, auto_pad, 0)
    if not np.all(np.isfinite(y)):
        return None
    order = draw.integer(0, 1) if spatial == 2 else 0
    places = np.arange(x.size, dtype=np.int64).reshape(shape)
    if order:  # within each picture, column by column
        n, c, h, w = shape
        grid = np.arange(h * w).reshape(w, h).T
        places = (np.arange(n * c) * h * w).reshape(n, c, 1, 1) + grid
    place_of = np.zeros(x.size, np.int64)
    place_of[x.astype(np.int64).ravel()] = places.ravel()
    indices = place_of[y.astype(np.int64)]
    return case("MaxPool", [x], draw.opset(8), outputs=2, out=[np.float32, np.int64],
                storage_order=order or None, expected=[y.astype(np.float32), indices], **window)


@generator
def global_pooling(draw):
    op = draw.choice(["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
    x = draw.floats(draw.shape(rank_min=3, rank_max=5, zero=0), draw.float_dtype())
    axes = tuple(range(2, x.ndim))
    wide = x.astype(np.float64)
    p = draw.integer(1, 3) if op == "GlobalLpPool" and draw.chance(0.5) else None
    if op == "GlobalAveragePool":
        y = wide.mean(axes, keepdims=True)
    elif op == "GlobalMaxPool":
        y = wide.max(axes, keepdims=True)
    else:
        y = (np.abs(wide) ** (p or 2)).sum(axes, keepdims=True) ** (1 / (p or 2))
    return case(op, [x], draw.opset(), expected=[y.astype(x.dtype)], p=p, dynamic=draw.chance(0.3))


@generator
def matmul(draw):
    dtype = draw.float_dtype()
    if draw.chance(0.2):
        dtype = draw.choice([np.int32, np.int64, np.uint32])
    m, n, k = (draw.integer(1, 9) for _ in range(3))
    if draw.chance(0.3):
        m, n, k = (draw.integer(1, 70) for _ in range(3))
    if draw.chance(0.03):
        k = 0
    batch = draw.shape(rank_max=3, extent_max=3)
    a_shape = () if draw.chance(0.15) else draw.broadcastable(batch) + (m,)
    b_shape = (k,) if draw.chance(0.15) else draw.broadcastable(batch) + (k, n)
    a_shape = a_shape + (k,)
    try:
        np.matmul(np.zeros(a_shape), np.zeros(b_shape))
    except ValueError:
        return None
    a, b = (draw.values(s, dtype) for s in (a_shape, b_shape))
    wide = np.float64 if np.issubdtype(dtype, np.floating) else np.int64
    y = np.matmul(a.astype(wide), b.astype(wide)).astype(dtype)
    opset = draw.opset(9 if wide is np.int64 else 7)
    constant = draw.choice([(), (), (0,), (1,)])
    return case("MatMul", [a, b], opset, expected=[y], constant=constant)


@generator
def gemm(draw):
    dtype = draw.float_dtype()
    m, n, k = (draw.integer(1, 9) for _ in range(3))
    if draw.chance(0.3):
        m, n, k = (draw.integer(1, 70) for _ in range(3))
    trans_a, trans_b = draw.integer(0, 1), draw.integer(0, 1)
    a = draw.floats((k, m) if trans_a else (m, k), dtype)
    b = draw.floats((n, k) if trans_b else (k, n), dtype)
    opset = draw.opset()
    c_shape = draw.choice([(m, n), (1, n), (m, 1), (n,), (1,), (), (1, 1), None])
    c = None if c_shape is None else draw.floats(c_shape, dtype)
    if c is None and opset < 11:
        c = draw.floats((n,), dtype)
    attributes = {name: float(np.float32(draw.rng.uniform(-2, 2)))
                  for name in ("alpha", "beta") if draw.chance(0.5)}
    wide_a, wide_b = (v.astype(np.float64) for v in (a, b))
    y = (wide_a.T if trans_a else wide_a) @ (wide_b.T if trans_b else wide_b)
    y = y * attributes.get("alpha", 1.0)
    if c is not None:
        y = y + attributes.get("beta", 1.0) * c.astype(np.float64)
    return case("Gemm", [a, b, c], opset, expected=[y.astype(dtype)],
                constant=draw.choice([(), (1,), (1, 2)]), transA=trans_a or None,
                transB=trans_b or None, **attributes)
