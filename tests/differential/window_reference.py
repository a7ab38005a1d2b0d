"""Convolution, transposed convolution and pooling in double precision, straight from the wording
of the ONNX operator schemas: loops over the kernel's positions, any number of dimensions.
"""
import itertools
import math

import numpy as np


def same_pads(extent, kernel, stride, dilation, upper):
    out = -(-extent // stride)
    total = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - extent)
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)


def resolve_pads(x_shape, kernel, strides, dilations, pads, auto_pad):
    n = len(kernel)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        pairs = [same_pads(x_shape[i], kernel[i], strides[i], dilations[i],
                           auto_pad == "SAME_UPPER") for i in range(n)]
        return [p[0] for p in pairs], [p[1] for p in pairs]
    if auto_pad == "VALID" or pads is None:
        return [0] * n, [0] * n
    return list(pads[:n]), list(pads[n:])


def spans_of(kernel, dilations):
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]


def window_view(padded, position, out, strides, dilations):
    index = [slice(None), slice(None)]
    for p, o, s, d in zip(position, out, strides, dilations):
        index.append(slice(p * d, p * d + (o - 1) * s + 1, s) if o else slice(0, 0))
    return padded[tuple(index)]


def conv(x, w, bias, strides, dilations, pads, auto_pad, groups):
    x, w = x.astype(np.float64), w.astype(np.float64)
    kernel = w.shape[2:]
    begins, ends = resolve_pads(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    padded = np.pad(x, [(0, 0), (0, 0)] + list(zip(begins, ends)))
    spans = spans_of(kernel, dilations)
    out = [(e - s) // st + 1 for e, s, st in zip(padded.shape[2:], spans, strides)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    per_in, per_out = x.shape[1] // groups, w.shape[0] // groups
    for position in itertools.product(*map(range, kernel)):
        part = window_view(padded, position, out, strides, dilations)
        for g in range(groups):
            rows = slice(g * per_out, (g + 1) * per_out)
            weights = w[(rows, slice(None), *position)]
            y[:, rows] += np.einsum("nc...,oc->no...", part[:, g * per_in:(g + 1) * per_in],
                                    weights)
    if bias is not None:
        y += bias.astype(np.float64).reshape(1, -1, *[1] * len(out))
    return y


def conv_transpose(x, w, bias, strides, dilations, pads, auto_pad, groups, output_padding,
                   output_shape):
    x, w = x.astype(np.float64), w.astype(np.float64)
    kernel, n = w.shape[2:], w.ndim - 2
    spans = spans_of(kernel, dilations)
    full = [(e - 1) * s + k for e, s, k in zip(x.shape[2:], strides, spans)]
    begins, ends = [0] * n, [0] * n
    if output_shape is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output_shape = [e * s for e, s in zip(x.shape[2:], strides)]
    if output_shape is not None:
        for i in range(n):
            total = full[i] + output_padding[i] - output_shape[i]
            half = total // 2
            begins[i], ends[i] = (half, total - half) if auto_pad == "SAME_UPPER" \
                else (total - half, half)
    elif auto_pad != "VALID" and pads is not None:
        begins, ends = list(pads[:n]), list(pads[n:])
    out = [f + o - b - e for f, o, b, e in zip(full, output_padding, begins, ends)]
    per_in, per_out = x.shape[1] // groups, w.shape[1]
    # A canvas wide enough for everything, cut to the output at the end.
    margin = [max(0, -b) for b in begins]
    extents = [m + max(f, o + max(0, b)) + 1 for m, f, o, b in zip(margin, full, out, begins)]
    canvas = np.zeros((x.shape[0], per_out * groups, *extents))
    for position in itertools.product(*map(range, kernel)):
        index = [slice(None), None]
        for p, d, s, e, m in zip(position, dilations, strides, x.shape[2:], margin):
            index.append(slice(m + p * d, m + p * d + (e - 1) * s + 1, s) if e else slice(0, 0))
        for g in range(groups):
            weights = w[(slice(g * per_in, (g + 1) * per_in), slice(None), *position)]
            index[1] = slice(g * per_out, (g + 1) * per_out)
            canvas[tuple(index)] += np.einsum(
                "nc...,co->no...", x[:, g * per_in:(g + 1) * per_in], weights)
    cut = [slice(None), slice(None)] + [slice(m + b, m + b + o)
                                        for m, b, o in zip(margin, begins, out)]
    y = canvas[tuple(cut)]
    if bias is not None:
        y = y + bias.astype(np.float64).reshape(1, -1, *[1] * n)
    return y


def pool_extents(x_shape, spans, strides, dilations, begins, ends, auto_pad, ceil_mode):
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return [-(-e // s) for e, s in zip(x_shape, strides)]
    out = []
    for e, k, s, b, a in zip(x_shape, spans, strides, begins, ends):
        steps = (e + b + a - k) / s
        count = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
        if ceil_mode and (count - 1) * s >= e + b:  # a window must start inside
            count -= 1
        out.append(count)
    return out


def pool(x, kind, kernel, strides, dilations, pads, auto_pad, ceil_mode, count_include_pad=0, p=2):
    x = x.astype(np.float64)
    begins, ends = resolve_pads(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    spans = spans_of(kernel, dilations)
    out = pool_extents(x.shape[2:], spans, strides, dilations, begins, ends, auto_pad, ceil_mode)
    # The positions that a window may reach: input, then padding, then what ceil_mode adds.
    reach = [max((o - 1) * s + k, e + b + a) for o, s, k, e, b, a in
             zip(out, strides, spans, x.shape[2:], begins, ends)]
    fill = [(0, 0), (0, 0)] + [(b, r - b - e) for b, r, e in zip(begins, reach, x.shape[2:])]
    start = -np.inf if kind == "max" else 0.0
    padded = np.pad(x, fill, constant_values=start)
    inside = np.pad(np.ones(x.shape), fill)
    if count_include_pad:
        counted = np.zeros(padded.shape)
        counted[(slice(None), slice(None), *[slice(0, e + b + a) for e, b, a in
                                             zip(x.shape[2:], begins, ends)])] = 1
    else:
        counted = inside
    y = np.full((*x.shape[:2], *out), start)
    count = np.zeros(y.shape)
    for position in itertools.product(*map(range, kernel)):
        part = window_view(padded, position, out, strides, dilations)
        if kind == "max":
            y = np.maximum(y, part)
        else:
            y += part if kind == "average" else np.abs(part) ** p
        count += window_view(counted, position, out, strides, dilations)
    if kind == "average":
        return y / count
    return y if kind == "max" else y ** (1 / p)
