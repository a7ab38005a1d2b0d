"""Element-by-element operators, comparisons, casts."""
import math

import numpy as np

from drawn_case import case, code_of

GENERATORS = []


def generator(function):
    GENERATORS.append(function)
    return function


# name, first opset, low, high of the argument
UNARY = [
    ("Abs", 6, -3, 3), ("Neg", 6, -3, 3), ("Ceil", 6, -3, 3), ("Floor", 6, -3, 3),
    ("Round", 11, -3, 3), ("Sqrt", 6, 0, 9), ("Exp", 6, -6, 6), ("Log", 6, 0.01, 20),
    ("Erf", 9, -4, 4), ("Sin", 7, -20, 20), ("Cos", 7, -20, 20), ("Tan", 7, -1.4, 1.4),
    ("Asin", 7, -1, 1), ("Acos", 7, -1, 1), ("Atan", 7, -9, 9), ("Sinh", 9, -4, 4),
    ("Cosh", 9, -4, 4), ("Tanh", 6, -6, 6), ("Asinh", 9, -9, 9), ("Acosh", 9, 1, 9),
    ("Atanh", 9, -0.95, 0.95), ("Reciprocal", 6, 0.2, 5), ("Sign", 9, -2, 2),
    ("Relu", 6, -3, 3), ("Sigmoid", 6, -9, 9), ("Softplus", 6, -30, 30),
    ("Softsign", 6, -9, 9), ("HardSwish", 14, -6, 6), ("Mish", 18, -9, 9),
]


def unary_maker(row):
    op, since, low, high = row

    def make(draw):
        x = draw.floats(draw.shape(), draw.float_dtype(), low, high)
        if op in ("Ceil", "Floor", "Round", "Sign") and draw.chance(0.7):
            x = draw.eighths(x.shape, x.dtype)
        expected = None
        if op == "Softsign":  # the evaluator fails on rank 0
            expected = [(x / (1 + np.abs(x.astype(np.float64)))).astype(x.dtype)]
        return case(op, [x], draw.opset(since), dynamic=draw.chance(0.3), expected=expected)
    make.__name__ = f"unary_{op}"
    return make


for entry in UNARY:
    GENERATORS.append(unary_maker(entry))

# name, first opset, attributes with their ranges
ACTIVATIONS = [
    ("LeakyRelu", 6, {"alpha": (-1, 2)}), ("Elu", 6, {"alpha": (-1, 2)}),
    ("Selu", 6, {"alpha": (0.1, 2), "gamma": (0.5, 2)}), ("Celu", 12, {"alpha": (0.3, 3)}),
    ("HardSigmoid", 6, {"alpha": (0.05, 1), "beta": (-0.5, 1)}),
    ("ThresholdedRelu", 10, {"alpha": (-1, 1.5)}),
    ("Shrink", 9, {"lambd": (0, 2), "bias": (-1, 1)}),
]


def activation_maker(row):
    op, since, ranges = row

    def make(draw):
        attributes = {k: float(np.float32(draw.rng.uniform(*r))) for k, r in ranges.items()
                      if draw.chance(0.75)}
        x = draw.floats(draw.shape(), draw.float_dtype())
        return case(op, [x], draw.opset(since), dynamic=draw.chance(0.3), **attributes)
    make.__name__ = f"activation_{op}"
    return make


for entry in ACTIVATIONS:
    GENERATORS.append(activation_maker(entry))


@generator
def gelu(draw):
    x = draw.floats(draw.shape(), draw.float_dtype(), -5, 5)
    mode = draw.choice([None, "none", "tanh"])
    return case("Gelu", [x], draw.opset(20), approximate=mode)


@generator
def prelu(draw):
    x = draw.floats(draw.shape(rank_min=1), draw.float_dtype())
    slope = [1 if draw.chance(0.4) else e for e in x.shape]
    slope = tuple(slope[draw.integer(0, len(slope)):])
    array = draw.floats(slope, x.dtype)
    fixed = (1,) if draw.chance(0.5) else ()
    return case("PRelu", [x, array], draw.opset(7), constant=fixed)


INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


@generator
def unary_integers(draw):
    op, since, types = draw.choice([
        ("Abs", 6, INTEGERS), ("Neg", 6, [np.int8, np.int16, np.int32, np.int64]),
        ("Sign", 9, INTEGERS), ("Relu", 14, [np.int8, np.int16, np.int32, np.int64]),
        ("BitwiseNot", 18, INTEGERS)])
    dtype = draw.choice(types)
    x = draw.integers(draw.shape(), dtype, -100, 100)
    return case(op, [x], draw.opset(since))


@generator
def binary_floats(draw):
    op = draw.choice(["Add", "Sub", "Mul", "Div"])
    dtype = draw.float_dtype()
    shape = draw.shape()
    a = draw.floats(shape, dtype)
    b = draw.floats(draw.broadcastable(shape), dtype)
    if op == "Div":
        b = (np.sign(b) * (np.abs(b) + 0.25)).astype(dtype)
    if draw.chance(0.5) and op != "Div":
        a, b = b, a
    return case(op, [a, b], draw.opset(), constant=(1,) if draw.chance(0.3) else ())


@generator
def binary_integers(draw):
    op = draw.choice(["Add", "Sub", "Mul", "Div"])
    dtype = draw.choice([np.int32, np.int64, np.uint32, np.uint64] * 2 + INTEGERS)
    shape = draw.shape()
    a = draw.integers(shape, dtype, -120, 120)
    b = draw.integers(draw.broadcastable(shape), dtype, -11, 11)
    since = 7 if dtype in (np.int32, np.int64, np.uint32, np.uint64) else 14
    expected = None
    if op == "Div":
        b = np.where(b == 0, b + 3, b).astype(dtype)
        wide = np.trunc(a.astype(np.float64) / b.astype(np.float64))  # |a|, |b| are small
        expected = [wide.astype(np.int64).astype(dtype)]
    return case(op, [a, b], draw.opset(since), expected=expected)


@generator
def mod(draw):
    shape = draw.shape()
    fmod = draw.integer(0, 1)
    if fmod and draw.chance(0.5):
        dtype = draw.float_dtype()
        a, b = draw.eighths(shape, dtype), draw.eighths(draw.broadcastable(shape), dtype)
        b = np.where(b == 0, 1.5, b).astype(dtype)
    else:
        dtype = draw.choice(INTEGERS)
        a = draw.integers(shape, dtype, -60, 60)
        b = draw.integers(draw.broadcastable(shape), dtype)
        b = np.where(b == 0, 5, b).astype(dtype)
    expected = [(np.fmod if fmod else np.mod)(a, b)]
    return case("Mod", [a, b], draw.opset(10), expected=expected, fmod=fmod)


@generator
def power(draw):
    shape = draw.shape()
    opset = draw.opset()
    dtype = draw.float_dtype()
    a = draw.floats(shape, dtype, 0.1, 3)
    b = draw.floats(draw.broadcastable(shape), dtype, -2, 2)
    if opset >= 12 and draw.chance(0.5):  # a base below 0 with whole exponents of any type
        a = draw.eighths(shape, dtype)
        kind = draw.choice([np.int32, np.int64, np.float32])
        b = draw.integers(draw.broadcastable(shape), np.int64, 0, 4).astype(kind)
    elif opset >= 12 and draw.chance(0.3):
        a = draw.integers(shape, draw.choice([np.int32, np.int64]), -5, 5)
        b = draw.integers(draw.broadcastable(shape), np.int64, 0, 4)
        b = b.astype(draw.choice([np.int32, np.int64, np.float32]))
    wide = np.int64 if np.issubdtype(a.dtype, np.integer) else np.float64
    expected = [np.power(a.astype(wide), b.astype(wide)).astype(a.dtype)]
    return case("Pow", [a, b], opset, expected=expected)


@generator
def comparisons(draw):
    op, since, equal = draw.choice([
        ("Equal", 7, True), ("Less", 7, False), ("LessOrEqual", 12, False),
        ("Greater", 7, False), ("GreaterOrEqual", 12, False)])
    opset = draw.opset(since)
    types = [np.int32, np.int64] + ([np.bool_] if equal else [])
    if opset >= 9:
        types += INTEGERS if opset >= 13 or not equal else []
    if opset >= 11 or not equal:
        types += [np.float32, np.float16] * 3
    if not equal and opset < 9:
        types = [np.float32, np.float16]
    dtype = draw.choice(types)
    shape = draw.shape()
    a, b = draw.values(shape, dtype), draw.values(draw.broadcastable(shape), dtype)
    if np.issubdtype(dtype, np.floating) and a.size and draw.chance(0.2):
        a.flat[0] = np.nan
    return case(op, [a, b], opset, out=np.bool_)


@generator
def logic(draw):
    op = draw.choice(["And", "Or", "Xor"])
    shape = draw.shape()
    a, b = draw.values(shape, np.bool_), draw.values(draw.broadcastable(shape), np.bool_)
    return case(op, [a, b], draw.opset())


@generator
def logical_not(draw):
    return case("Not", [draw.values(draw.shape(), np.bool_)], draw.opset())


@generator
def bitwise(draw):
    dtype = draw.choice(INTEGERS)
    op = draw.choice(["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
    shape = draw.shape()
    a = draw.integers(shape, dtype, -100, 100)
    b = draw.integers(draw.broadcastable(shape), dtype, -100, 100)
    return case(op, [a, b], draw.opset(18))


@generator
def bit_shift(draw):
    dtype = draw.choice([np.uint8, np.uint16, np.uint32, np.uint64])
    shape = draw.shape()
    a = draw.integers(shape, dtype, 0, 255)
    b = draw.integers(draw.broadcastable(shape), dtype, 0, 7)
    return case("BitShift", [a, b], draw.opset(11), direction=draw.choice(["LEFT", "RIGHT"]))


@generator
def where(draw):
    opset = draw.opset(9)
    dtype = draw.choice([np.float32, np.float16, np.int64, np.int32, np.uint8, np.bool_])
    shape = draw.shape()
    condition = draw.values(draw.broadcastable(shape), np.bool_)
    a, b = draw.values(shape, dtype), draw.values(draw.broadcastable(shape), dtype)
    if draw.chance(0.5):
        a, b = b, a
    return case("Where", [condition, a, b], opset, out=dtype)


@generator
def variadic(draw):
    op = draw.choice(["Sum", "Mean", "Min", "Max"])
    opset = draw.opset(8)
    dtype = draw.float_dtype()
    if op in ("Min", "Max") and opset >= 12 and draw.chance(0.5):
        dtype = draw.choice(INTEGERS)
    shape = draw.shape()
    arrays = [draw.values(draw.broadcastable(shape) if i else shape, dtype)
              for i in range(draw.integer(1, 4))]
    # Both sides may be of larger rank; a third must fit the first two.
    try:
        np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        arrays = arrays[:1]
    expected = None
    if op == "Mean":  # the evaluator fails where the first input does not have the largest shape
        total = sum(a.astype(np.float64) for a in arrays)
        expected = [np.asarray(total / len(arrays)).astype(dtype)]
    return case(op, arrays, opset, expected=expected)


@generator
def clip(draw):
    opset = draw.opset()
    dtype = draw.float_dtype()
    if opset >= 12 and draw.chance(0.3):
        dtype = draw.choice(INTEGERS)
    x = draw.values(draw.shape(), dtype)
    low = float(draw.integer(-2, 0)) if draw.chance(0.6) else None
    high = float(draw.integer(-1, 2)) if draw.chance(0.6) else None
    if dtype in INTEGERS and np.iinfo(dtype).min == 0:
        low, high = (None if v is None else abs(v) for v in (low, high))
    expected = x
    if low is not None:
        expected = np.maximum(expected, dtype(low))
    if high is not None:
        expected = np.minimum(expected, dtype(high))
    if opset < 11:
        return case("Clip", [x], opset, expected=[expected], min=low, max=high)
    limits = [None if v is None else np.asarray(v, dtype) for v in (low, high)]
    constant = (1, 2) if draw.chance(0.5) else ()
    return case("Clip", [x] + limits, opset, constant=constant, expected=[expected])


@generator
def nan_and_infinity(draw):
    x = draw.floats(draw.shape(), draw.choice([np.float32, np.float16]))
    for i in range(x.size):
        if draw.chance(0.5):
            x.flat[i] = draw.choice([np.nan, np.inf, -np.inf])
    if draw.chance(0.4):
        return case("IsNaN", [x], draw.opset(9), out=np.bool_)
    x = x.astype(np.float32)
    return case("IsInf", [x], draw.opset(10), out=np.bool_,
                detect_positive=draw.choice([None, 0, 1]),
                detect_negative=draw.choice([None, 0, 1]))


CASTABLE = INTEGERS + [np.float32, np.float16, np.bool_]


def cast_reference(x, dtype):
    """Whole numbers wrap, floats truncate; what does not fit is not tested: it is undefined."""
    if dtype == np.bool_:
        return x != 0
    if np.issubdtype(x.dtype, np.floating) and np.issubdtype(dtype, np.integer):
        return np.trunc(x.astype(np.float64)).astype(np.int64).astype(dtype)
    return x.astype(dtype)


@generator
def cast(draw):
    source, target = draw.choice(CASTABLE), draw.choice(CASTABLE)
    shape = draw.shape()
    if np.issubdtype(source, np.floating):
        x = draw.floats(shape, source, -100, 100)
        if np.issubdtype(target, np.unsignedinteger):
            x = np.abs(x)
        elif target == np.float16 and draw.chance(0.5):
            x = draw.floats(shape, source, -7e4, 7e4)
    elif source == np.bool_:
        x = draw.values(shape, source)
    else:
        # Devices compute whole numbers in 32 bits with a sign; others are refused at the input.
        info, wide = np.iinfo(source), np.iinfo(np.int32)
        low, high = max(info.min, wide.min), min(info.max, wide.max)
        x = draw.rng.integers(low, high, shape, np.int64, endpoint=True).astype(source)
    with np.errstate(over="ignore"):
        expected = [cast_reference(x, target)]
    return case("Cast", [x], draw.opset(), out=target, to=code_of(target), expected=expected,
                rtol=0, atol=0)


@generator
def cast_like(draw):
    source, target = draw.choice(CASTABLE), draw.choice(CASTABLE)
    x = draw.values(draw.shape(), source)
    like = draw.values((2,), target)
    if np.issubdtype(target, np.unsignedinteger) and np.issubdtype(source, np.floating):
        x = np.abs(x)
    return case("CastLike", [x, like], draw.opset(15), out=target,
                expected=[cast_reference(x, target)])


@generator
def copies(draw):
    opset = draw.opset()
    dtype = draw.choice(CASTABLE)
    x = draw.values(draw.shape(), dtype)
    if draw.chance(0.5):
        return case("Identity", [x], opset, expected=[x])
    x = draw.values(x.shape, np.float32)
    if opset < 12:
        outputs = draw.integer(1, 2)
        mask = np.bool_ if opset >= 10 else x.dtype
        expected = [x, np.ones(x.shape, mask)][:outputs]
        return case("Dropout", [x], opset, ratio=0.3, outputs=outputs,
                    out=[x.dtype, mask][:outputs], expected=expected)
    arrays = [x, np.asarray(0.4, np.float32), np.asarray(False)][:draw.integer(1, 3)]
    return case("Dropout", arrays, opset, constant=(1, 2), expected=[x])


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-30, -1e-30, 88.0, -88.0, 100.0, -100.0,
           1e4, -1e4, 3e38, -3e38, 0.5, -0.5, 2.5, -2.5, 1e-3, 8388609.0, -16777216.0]


def special_reference(op, x):
    root = np.sqrt(2.0)
    formulas = {
        "Sigmoid": lambda: 1 / (1 + np.exp(-x)), "Tanh": lambda: np.tanh(x),
        "Exp": lambda: np.exp(x), "Log": lambda: np.log(x), "Sqrt": lambda: np.sqrt(x),
        "Relu": lambda: np.maximum(x, 0), "Abs": lambda: np.abs(x), "Neg": lambda: -x,
        "Ceil": lambda: np.ceil(x), "Floor": lambda: np.floor(x), "Round": lambda: np.rint(x),
        "Reciprocal": lambda: 1 / x, "Softplus": lambda: np.logaddexp(x, 0),
        "Softsign": lambda: x / (1 + np.abs(x)), "Sign": lambda: np.sign(x),
        "Atan": lambda: np.arctan(x), "Sinh": lambda: np.sinh(x), "Cosh": lambda: np.cosh(x),
        "Asinh": lambda: np.arcsinh(x), "Erf": lambda: np.array(
            [math.erf(v) for v in x.ravel()]).reshape(x.shape),
        "Elu": lambda: np.where(x < 0, np.expm1(x), x),
        "LeakyRelu": lambda: np.where(x < 0, 0.01 * x, x),
        "HardSigmoid": lambda: np.clip(0.2 * x + 0.5, 0, 1),
        "Asin": lambda: np.arcsin(x), "Acos": lambda: np.arccos(x), "Atanh": lambda: np.arctanh(x),
        "Gelu": lambda: 0.5 * x * (1 + special_reference("Erf", x / root)),
    }
    return formulas[op]()


@generator
def special_values(draw):
    """What stands at the ends of the number line; NaN is expected where the formula gives it."""
    op = draw.choice(["Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Relu", "Abs", "Neg", "Ceil",
                      "Floor", "Round", "Reciprocal", "Softplus", "Softsign", "Sign", "Atan",
                      "Sinh", "Cosh", "Asinh", "Erf", "Elu", "LeakyRelu", "HardSigmoid", "Asin",
                      "Acos", "Atanh", "Gelu"])
    x = np.float32(SPECIAL)
    if op in ("Softsign", "Gelu", "Asinh"):  # inf / inf and 0 * inf are left to the device
        x = x[np.isfinite(x) & (np.abs(x) < 1e30)]
    if op in ("Relu", "HardSigmoid"):  # maxima and minima with NaN: docs/kernel-format.md
        x = x[~np.isnan(x)]
    wide = special_reference(op, x.astype(np.float64))
    return case(op, [x], draw.opset(20 if op == "Gelu" else 11),
                expected=[wide.astype(np.float32)], rtol=2e-5, atol=0)


@generator
def special_pairs(draw):
    """Minima, maxima, comparisons and selections with NaN and infinities."""
    x = np.float32(SPECIAL)
    a, b = np.meshgrid(x, x)
    op = draw.choice(["Add", "Sub", "Mul", "Div", "Less", "Greater", "Equal", "Where"])
    wide = {"Add": lambda: a + b, "Sub": lambda: a - b, "Mul": lambda: a * b, "Div": lambda: a / b,
            "Less": lambda: a < b, "Greater": lambda: a > b, "Equal": lambda: a == b,
            "Where": lambda: np.where(a < b, a, b)}
    y = wide[op]()
    if op == "Where":
        return case(op, [a < b, a, b], 16, out=np.float32, expected=[y])
    return case(op, [a, b], draw.opset(13), out=y.dtype, expected=[y], rtol=2e-6, atol=0)


@generator
def rotary_embedding(draw):
    batch, heads, length, pairs = (draw.integer(1, 4) for _ in range(4))
    turned, rest = 2 * pairs, draw.choice([0, 0, 3])
    dtype, packed = draw.float_dtype(), draw.chance(0.5)
    interleaved, rows = draw.choice([None, 0, 1]), draw.integer(1, 9)
    x = draw.floats((batch, length, heads, turned + rest), dtype)
    has_positions = draw.chance(0.5)
    table = (rows, pairs) if has_positions else (batch, length, pairs)
    cosine, sine = draw.floats(table, dtype, -1, 1), draw.floats(table, dtype, -1, 1)
    inputs, c, s = [cosine, sine], cosine, sine
    if has_positions:
        positions = draw.integers((batch, length), np.int64, 0, rows - 1)
        inputs, c, s = inputs + [positions], cosine[positions], sine[positions]
    c, s = (t.astype(np.float64)[:, :, None] for t in (c, s))
    first, second = (slice(0, turned, 2), slice(1, turned, 2)) if interleaved else (
        slice(0, pairs), slice(pairs, turned))
    y = x.astype(np.float64)
    y[..., first], y[..., second] = (c * x[..., first] - s * x[..., second],
                                     s * x[..., first] + c * x[..., second])
    places = [a.reshape(batch, length, -1) if packed else a.transpose(0, 2, 1, 3) for a in (x, y)]
    return case("RotaryEmbedding", [np.ascontiguousarray(places[0])] + inputs, 23,
                constant=draw.choice([(), (1, 2)]), interleaved=interleaved,
                num_heads=heads if packed else None,
                rotary_embedding_dim=turned if rest else None,
                expected=[np.ascontiguousarray(places[1]).astype(dtype)])
