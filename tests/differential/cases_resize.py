"""Resize in all its modes. The reference is written from the schema's formulas: one axis after
another, as a matrix of weights in double precision.
"""
import math

import numpy as np

from drawn_case import case, i64

GENERATORS = []


def generator(function):
    GENERATORS.append(function)
    return function


def source_coordinate(mode, out_at, extent, out_extent, scale, start, end):
    if mode == "align_corners":
        # ONNX' own test data take the resized length before it is rounded down.
        length = scale * extent
        return 0.0 if length == 1 else out_at * (extent - 1) / (length - 1)
    if mode == "asymmetric":
        return out_at / scale
    if mode == "tf_half_pixel_for_nn":
        return (out_at + 0.5) / scale
    if mode == "tf_crop_and_resize":
        if out_extent == 1:
            return 0.5 * (start + end) * (extent - 1)
        return start * (extent - 1) + out_at * (end - start) * (extent - 1) / (out_extent - 1)
    if mode == "pytorch_half_pixel" and out_extent == 1:
        return 0.0
    if mode == "half_pixel_symmetric":
        adjustment = out_extent / (scale * extent)
        center = extent / 2
        return center * (1 - adjustment) + (out_at + 0.5) / scale - 0.5
    return (out_at + 0.5) / scale - 0.5


def rounded(mode, x):
    if mode == "floor":
        return math.floor(x)
    if mode == "ceil":
        return math.ceil(x)
    if mode == "round_prefer_ceil":
        return math.floor(x + 0.5)
    return math.ceil(x - 0.5)


def cubic_weight(distance, a):
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    if d < 2:
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return 0.0


def taps(kind, x, extent, scale, options):
    """The positions that x is made of, and their weights; positions may lie outside."""
    if kind == "nearest":
        return [(rounded(options["nearest_mode"], x), 1.0)]
    reach = 1.0 if kind == "linear" else 2.0
    stretch = max(1.0, 1 / scale) if options["antialias"] else 1.0
    first = math.floor(x - reach * stretch)
    pairs = []
    for p in range(first, math.ceil(x + reach * stretch) + 1):
        d = (p - x) / stretch
        weight = max(0.0, 1 - abs(d)) if kind == "linear" else \
            cubic_weight(d, options["cubic_coeff_a"])
        pairs.append((p, weight))
    # Weights are normed, antialiased ones and those that leave out what lies outside.
    if options["exclude_outside"] and kind != "nearest":
        pairs = [(p, w if 0 <= p < extent else 0.0) for p, w in pairs]
    if options["antialias"] or options["exclude_outside"]:
        total = sum(w for _, w in pairs)
        pairs = [(p, w / total) for p, w in pairs]
    return pairs


def axis_matrix(kind, extent, out_extent, scale, start, end, options):
    matrix = np.zeros((out_extent, extent))
    outside = np.zeros(out_extent, bool)
    crop = options["mode"] == "tf_crop_and_resize"
    for o in range(out_extent):
        x = source_coordinate(options["mode"], o, extent, out_extent, scale, start, end)
        if crop and (x < 0 or x > extent - 1):
            outside[o] = True
            continue
        for p, weight in taps(kind, x, extent, scale, options):
            matrix[o, min(max(p, 0), extent - 1)] += weight
    return matrix, outside


def resize_array(x, kind, out_shape, scales, roi, options):
    y = x.astype(np.float64)
    rank = x.ndim
    outside_any = np.zeros(out_shape, bool)
    for a in range(rank):
        start, end = (roi[a], roi[rank + a]) if roi is not None else (0.0, 1.0)
        if out_shape[a] == x.shape[a] and scales[a] == 1 and \
                (options["mode"] != "tf_crop_and_resize" or (start, end) == (0.0, 1.0)):
            continue
        matrix, outside = axis_matrix(kind, x.shape[a], out_shape[a], scales[a], start, end,
                                      options)
        y = np.moveaxis(np.tensordot(matrix, y, (1, a)), 0, a)
        outside_any |= outside.reshape([-1 if i == a else 1 for i in range(rank)])
    return np.where(outside_any, options["extrapolation_value"], y)


COORDINATES = ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel",
               "tf_crop_and_resize"]
NEAREST = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def draw_options(draw, kind, opset):
    coordinates = COORDINATES + (["half_pixel_symmetric"] if opset >= 19 else [])
    if opset < 13 and kind == "nearest":
        coordinates = coordinates + ["tf_half_pixel_for_nn"]
    antialias = 1 if opset >= 18 and kind != "nearest" and draw.chance(0.3) else 0
    outside = 1 if kind == "cubic" and draw.chance(0.4) else 0
    return {"mode": draw.choice(coordinates),
            "nearest_mode": draw.choice(NEAREST), "antialias": antialias,
            "exclude_outside": outside,
            "cubic_coeff_a": draw.choice([-0.75, -0.5]) if kind == "cubic" else -0.75,
            "extrapolation_value": draw.choice([0.0, 7.5])}


def attributes_of(options, kind, draw):
    attributes = {"mode": kind if kind != "nearest" or draw.chance(0.5) else None}
    if options["mode"] != "half_pixel" or draw.chance(0.5):
        attributes["coordinate_transformation_mode"] = options["mode"]
    if kind == "nearest" and (options["nearest_mode"] != NEAREST[0] or draw.chance(0.5)):
        attributes["nearest_mode"] = options["nearest_mode"]
    for name in ("antialias", "exclude_outside"):
        attributes[name] = options[name] or None
    if kind == "cubic" and options["cubic_coeff_a"] != -0.75:
        attributes["cubic_coeff_a"] = options["cubic_coeff_a"]
    attributes["extrapolation_value"] = options["extrapolation_value"] or None
    return attributes


def draw_input(draw, kind):
    spatial = 2 if kind == "cubic" else draw.choice([1, 2, 2, 3])
    lead = draw.integer(0, 2)
    shape = [draw.integer(1, 2) for _ in range(lead)]
    shape += [draw.integer(1, 7) for _ in range(spatial)]
    return shape, list(range(lead, lead + spatial))


@generator
def resize(draw):
    kind = draw.choice(["nearest", "nearest", "linear", "linear", "cubic"])
    opset = draw.opset(11)
    shape, axes = draw_input(draw, kind)
    dtype = draw.float_dtype()
    if kind == "nearest" and draw.chance(0.2):
        dtype = draw.choice([np.uint8, np.int32, np.int8])
    x = draw.values(shape, dtype)
    rank = len(shape)
    options = draw_options(draw, kind, opset)
    attributes = attributes_of(options, kind, draw)
    listed = None
    if opset >= 18 and draw.chance(0.3):
        listed = [int(a) for a in draw.rng.permutation(axes)]
        attributes["axes"] = [a - rank if draw.chance(0.3) else a for a in listed]
    over = listed if listed is not None else list(range(rank))
    out_shape, scales = list(shape), [1.0] * rank
    # With a crop and scales the schema leaves open which length the coordinates are made with.
    by_sizes = draw.chance(0.5) or options["mode"] == "tf_crop_and_resize"
    policy = None
    for a in axes:
        if by_sizes:
            out_shape[a] = draw.integer(1, 12)
            scales[a] = out_shape[a] / shape[a]
        else:
            scales[a] = float(np.float32(draw.choice([0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 2.6, 3.0])))
            out_shape[a] = int(math.floor(shape[a] * scales[a]))
    if 0 in out_shape:
        return None
    sizes = [out_shape[a] for a in over]
    if by_sizes and opset >= 18 and listed is not None and draw.chance(0.5):
        policy = draw.choice(["not_larger", "not_smaller"])
        pick = min if policy == "not_larger" else max
        scale = pick(out_shape[a] / shape[a] for a in over)
        for a in over:
            scales[a] = scale
            out_shape[a] = int(math.floor(shape[a] * scale + 0.5))
        if 0 in out_shape:
            return None
    roi, roi_array = None, None
    if options["mode"] == "tf_crop_and_resize":
        roi = [0.0] * rank + [1.0] * rank
        for a in axes:
            roi[a] = float(np.float32(draw.rng.uniform(-0.2, 0.4)))
            roi[rank + a] = float(np.float32(draw.rng.uniform(0.5, 1.2)))
        roi_array = np.float32([roi[a] for a in over] + [roi[rank + a] for a in over])
    elif opset < 13 and draw.chance(0.5):
        roi_array = np.float32([])
    y = resize_array(x, kind, out_shape, scales, roi, options)
    arrays = [x, roi_array]
    if by_sizes:
        arrays += [np.float32([]) if opset < 13 else None, i64(sizes)]
    else:
        arrays += [np.float32([scales[a] for a in over])]
    if opset < 13 and arrays[1] is None:
        arrays[1] = np.float32([])
    return case("Resize", arrays, opset, constant=(1, 2, 3), expected=[y.astype(dtype)],
                keep_aspect_ratio_policy=policy, atol=1e-5 if dtype != np.float16 else 2e-3,
                **attributes)


@generator
def resize_old(draw):
    """Opset 10: scales only; asymmetric, and round down."""
    kind = draw.choice(["nearest", "linear"])
    shape, axes = draw_input(draw, kind)
    x = draw.values(shape, draw.float_dtype())
    scales = [1.0] * len(shape)
    for a in axes:
        scales[a] = float(np.float32(draw.choice([0.5, 1.0, 1.5, 2.0, 3.0])))
    out_shape = [int(math.floor(e * s)) for e, s in zip(shape, scales)]
    if 0 in out_shape:
        return None
    options = {"mode": "asymmetric", "nearest_mode": "floor", "antialias": 0,
               "exclude_outside": 0, "cubic_coeff_a": -0.75, "extrapolation_value": 0.0}
    y = resize_array(x, kind, out_shape, scales, None, options)
    return case("Resize", [x, np.float32(scales)], 10, constant=(1,), mode=kind,
                expected=[y.astype(x.dtype)])
