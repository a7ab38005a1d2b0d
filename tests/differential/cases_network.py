"""Small versions of networks as they occur outside, with random weights: their blocks, and the ways
in which exporters write them down. The reference is the evaluator, in double precision.
"""
import numpy as np
from onnx import numpy_helper

from drawn_case import i64
from network_builder import FLOAT, Net

GENERATORS = []
# Rounding grows along a network; what is wrong shows at 1e-1.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-3}


def generator(function):
    GENERATORS.append(function)
    return function


def new_net(draw, name, low=7, high=21):
    dtype = np.float16 if draw.chance(0.15) else np.float32
    return Net(draw, name, draw.opset(low, high), dtype)


def finish(net, x, named=None, **options):
    net.output(x)
    tolerance = TOLERANCE if net.dtype == np.float32 else {"rtol": 3e-2, "atol": 3e-2}
    return net.case(named=named, **tolerance, **options)


def classify(net, x, channels, classes=7):
    x = net.node("GlobalAveragePool", x)
    how = net.draw.choice(["flatten", "reshape", "squeeze", "conv"])
    if how == "conv":
        x = net.node("Flatten", net.conv(x, channels, classes, 1))
    else:
        x = {"flatten": lambda: net.node("Flatten", x), "squeeze": lambda: net.squeeze(x, [2, 3]),
             "reshape": lambda: net.reshape(x, [-1, channels])}[how]()
        x = net.dense(x, channels, classes)
    return net.node("Softmax", x, axis=1) if net.draw.chance(0.6) else x


def open_batch(net):
    return {"input": {0: "batch"}} if net.draw.chance(0.4) else None


@generator
def mobilenet_v2(draw):
    net = new_net(draw, "mobilenet_v2")
    x = net.conv_bn(net.feed((draw.integer(1, 3), 3, 24, 24)), 3, 8, 3, 2, act="Relu6")
    channels = 8
    for outputs, stride in ((8, 1), (12, 2), (12, 1), (16, 1)):
        y = net.conv_bn(x, channels, channels * 4, 1, act="Relu6")
        y = net.conv_bn(y, channels * 4, channels * 4, 3, stride, channels * 4, act="Relu6")
        y = net.conv_bn(y, channels * 4, outputs, 1, act=None)
        x = net.node("Add", x, y) if stride == 1 and outputs == channels else y
        channels = outputs
    return finish(net, classify(net, x, channels), open_batch(net))


@generator
def shufflenet(draw):
    net = new_net(draw, "shufflenet")
    n, groups, side = draw.integer(1, 2), draw.choice([2, 4]), 12
    x = net.conv_bn(net.feed((n, 3, side, side)), 3, 16, 3)
    for _ in range(2):
        y = net.conv_bn(x, 16, 16, 1, group=groups)
        y = net.reshape(y, [n, groups, 16 // groups, side, side])
        y = net.node("Transpose", y, perm=[0, 2, 1, 3, 4])
        y = net.reshape(y, [n, 16, side, side])
        y = net.conv_bn(y, 16, 16, 3, group=16, act=None)
        x = net.node("Relu", net.node("Add", x, net.conv_bn(y, 16, 16, 1, group=groups, act=None)))
    pooled = net.average_pool(x, 3, 2, 1)
    y = net.conv_bn(x, 16, 16, 3, 2)
    return finish(net, classify(net, net.concat(pooled, y), 32))


@generator
def shufflenet_v2(draw):
    net = new_net(draw, "shufflenet_v2")
    x = net.conv_bn(net.feed((1, 3, 14, 14)), 3, 12, 3)
    for _ in range(3):
        left, right = net.split(x, [6, 6], 1)
        right = net.conv_bn(right, 6, 6, 1)
        right = net.conv_bn(right, 6, 6, 3, group=6, act=None)
        right = net.conv_bn(right, 6, 6, 1)
        x = net.concat(left, right)
        x = net.reshape(x, [0, 2, 6, 14, 14] if draw.chance(0.5) else [1, 2, 6, 14, -1])
        x = net.node("Transpose", x, perm=[0, 2, 1, 3, 4])
        x = net.reshape(x, [0, -1, 14, 14])
    return finish(net, classify(net, x, 12))


@generator
def densenet(draw):
    net = new_net(draw, "densenet")
    x, channels = net.conv(net.feed((draw.integer(1, 2), 3, 16, 16)), 3, 8), 8
    for block in range(2):
        for _ in range(3):
            y = net.node("Relu", net.batch_norm(x, channels))
            y = net.conv_bn(y, channels, 12, 1)
            x = net.concat(x, net.conv(y, 12, 5, bias=False))
            channels += 5
        if block == 0:
            y = net.node("Relu", net.batch_norm(x, channels))
            x = net.average_pool(net.conv(y, channels, 10, 1, bias=False), 2, 2, 0)
            channels = 10
    x = net.node("Relu", net.batch_norm(x, channels))
    return finish(net, classify(net, x, channels), open_batch(net))


@generator
def densenet_old(draw):
    """BatchNormalization, then Mul and Add per channel through Unsqueeze: Caffe's Scale layer."""
    net = new_net(draw, "densenet_old", 7, 12)
    x, channels = net.conv(net.feed((1, 3, 12, 12)), 3, 8), 8
    for _ in range(3):
        y = net.batch_norm(x, channels)
        y = net.node("Mul", y, net.unsqueeze(net.random((channels,)), [1, 2]))
        y = net.node("Add", y, net.unsqueeze(net.random((channels,)), [1, 2]))
        x = net.concat(x, net.conv(net.node("Relu", y), channels, 4, bias=False))
        channels += 4
    return finish(net, classify(net, x, channels))


@generator
def inception(draw):
    net = new_net(draw, "inception")
    x = net.conv_bn(net.feed((1, 3, 21, 19)), 3, 8, 3, 2, pad=[0, 0])
    x = net.node("LRN", x, size=5, alpha=1e-2, beta=0.75, bias=1.0)
    x = net.max_pool(x, 3, 1, 1)
    for _ in range(2):
        a = net.conv_bn(x, 8, 4, 1)
        b = net.conv_bn(net.conv_bn(net.conv_bn(x, 8, 6, 1), 6, 6, (1, 7)), 6, 4, (7, 1))
        c = net.conv_bn(x, 8, 5, 1)
        c = net.concat(net.conv_bn(c, 5, 2, (1, 3)), net.conv_bn(c, 5, 2, (3, 1)))
        extra = {"count_include_pad": draw.integer(0, 1)}
        d = net.conv_bn(net.average_pool(x, 3, 1, 1, **extra), 8, 4, 1)
        x = net.conv_bn(net.concat(a, b, c, d), 16, 8, 1)
    x = net.concat(net.max_pool(x, 3, 2, 0), net.conv_bn(x, 8, 8, 3, 2, pad=[0, 0]))
    return finish(net, classify(net, x, 16))


@generator
def zfnet(draw):
    net = new_net(draw, "zfnet", 7, 12)
    x = net.node("Relu", net.conv(net.feed((1, 3, 47, 47)), 3, 12, 7, 2, pad=[1, 1]))
    x = net.node("LRN", x, size=3, alpha=5e-3, beta=0.75, bias=1.0)
    x = net.max_pool(x, 3, 2, 0)
    x = net.node("Relu", net.conv(x, 12, 16, 5, 2, pad=[0, 0]))
    x = net.max_pool(net.node("LRN", x, size=3, alpha=5e-3), 3, 2, 0)
    x = net.node("Relu", net.conv(x, 16, 24, 3))
    flat = 24 * 1 * 1
    x = net.reshape(x, [1, -1])
    sizes = (flat * 1, 20, 10)
    x = net.node("Relu", net.node("Gemm", x, net.random((20, sizes[0])), net.random((20,)),
                                  transB=1, alpha=1.0, beta=1.0))
    x = net.node("Dropout", x, ratio=0.5) if net.opset < 12 else net.node("Dropout", x)
    return finish(net, net.node("Softmax", net.dense(x, 20, 10)))


@generator
def efficientnet(draw):
    net = new_net(draw, "efficientnet")
    act = draw.choice(["SiLU", "SiLU", "Mish"])
    x = net.conv_bn(net.feed((draw.integer(1, 2), 3, 16, 16)), 3, 8, 3, 2, act=act)
    for kernel in (3, 5):
        y = net.conv_bn(x, 8, 32, 1, act=act)
        y = net.conv_bn(y, 32, 32, kernel, 1, 32, act=act)
        y = net.squeeze_excite(y, 32, 4)
        x = net.node("Add", net.conv_bn(y, 32, 8, 1, act=None), x)
    return finish(net, classify(net, x, 8), open_batch(net))


@generator
def mobilenet_v3(draw):
    net = new_net(draw, "mobilenet_v3")
    act = "HardSwish" if net.opset >= 14 and draw.chance(0.6) else "HardSwishParts"
    x = net.conv_bn(net.feed((1, 3, 20, 20)), 3, 8, 3, 2, act=act)
    for stride in (1, 2, 1):
        y = net.conv_bn(x, 8, 24, 1, act=act)
        y = net.conv_bn(y, 24, 24, 5, stride, 24, act=None)
        y = net.activation(net.squeeze_excite(y, 24, 6, "HardSigmoid"), act)
        y = net.conv_bn(y, 24, 8, 1, act=None)
        x = net.node("Add", y, x) if stride == 1 else y
    return finish(net, classify(net, x, 8))


@generator
def resnet(draw):
    net = new_net(draw, "resnet")
    x = net.conv_bn(net.feed((draw.integer(1, 3), 3, 32, 32)), 3, 8, 7, 2)
    x, channels = net.max_pool(x), 8
    for outputs, stride in ((8, 1), (16, 2), (16, 1)):
        if draw.chance(0.5):
            y = net.conv_bn(x, channels, outputs, 3, stride)
            y = net.conv_bn(y, outputs, outputs, 3, act=None)
        else:
            y = net.conv_bn(x, channels, 4, 1)
            y = net.conv_bn(net.conv_bn(y, 4, 4, 3, stride), 4, outputs, 1, act=None)
        if stride != 1 or outputs != channels:
            x = net.conv_bn(x, channels, outputs, 1, stride, act=None)
        total = net.node("Sum" if draw.chance(0.3) else "Add", *draw.choice([(x, y), (y, x)]))
        x, channels = net.node("Relu", total), outputs
    return finish(net, classify(net, x, channels), open_batch(net))


@generator
def resnet_pre_activation(draw):
    """The sum is read twice: by the next norm, and by the next sum."""
    net = new_net(draw, "resnet_pre_activation")
    x = net.conv(net.feed((1, 3, 12, 12)), 3, 8)
    for _ in range(3):
        y = net.node("Relu", net.batch_norm(x, 8))
        y = net.conv(y, 8, 8, bias=False)
        y = net.conv(net.node("Relu", net.batch_norm(y, 8)), 8, 8, bias=False)
        x = net.node("Add", x, y)
    net.output(x)
    return finish(net, classify(net, net.node("Relu", net.batch_norm(x, 8)), 8))


@generator
def unet(draw):
    net = new_net(draw, "unet")
    x = net.feed((draw.integer(1, 2), 1, 24, 16))
    skips, channels = [], 1
    for outputs in (4, 8):
        x = net.conv_bn(net.conv_bn(x, channels, outputs), outputs, outputs)
        skips.append((x, outputs))
        x, channels = net.max_pool(x, 2, 2, 0), outputs
    x = net.conv_bn(x, channels, 12)
    channels = 12
    for skip, outputs in reversed(skips):
        if draw.chance(0.7):
            w = net.random((channels, outputs, 2, 2), -0.5, 0.5)
            x = net.node("ConvTranspose", x, w, net.random((outputs,)), kernel_shape=[2, 2],
                         strides=[2, 2])
        else:
            x = net.conv(net.upsample(x), channels, outputs, 1)
        x = net.conv_bn(net.concat(skip, x), outputs * 2, outputs)
        channels = outputs
    x = net.conv(x, channels, 2, 1)
    return finish(net, net.node("Sigmoid", x) if draw.chance(0.5) else x)


@generator
def yolo_tiny(draw):
    net = new_net(draw, "yolo_tiny")
    side, anchors, classes = 32, 3, 4
    x, channels, middle = net.feed((1, 3, side, side)), 3, None
    for outputs in (8, 12, 16):
        x = net.conv_bn(x, channels, outputs, act="LeakyRelu")
        x, channels = net.max_pool(x, 2, 2, 0), outputs
        middle = x if outputs == 12 else middle
    same = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_UPPER")
    x = net.conv_bn(same, 16, 16, act="LeakyRelu")
    wide = anchors * (5 + classes)
    heads = [(net.conv(x, 16, wide, 1), 4)]
    y = net.upsample(net.conv_bn(x, 16, 8, 1, act="LeakyRelu"))
    y = net.conv_bn(net.concat(y, middle), 20, 16, act="LeakyRelu")
    heads.append((net.conv(y, 16, wide, 1), 8))
    rows = []
    for head, extent in heads:
        head = net.reshape(head, [1, anchors, 5 + classes, extent, extent])
        head = net.node("Transpose", head, perm=[0, 1, 3, 4, 2])
        xy = net.node("Sigmoid", net.slice(head, 0, 2, 4))
        size = net.node("Exp", net.slice(head, 2, 4, 4))
        grid = np.stack(np.meshgrid(np.arange(extent), np.arange(extent)), -1)
        xy = net.node("Add", xy, net.constant(grid.astype(net.dtype)))
        size = net.node("Mul", size, net.random((1, anchors, 1, 1, 2), 1, 3))
        rest = net.node("Sigmoid", net.slice(head, 4, 2**31 - 1, 4))
        row = net.concat(xy, size, rest, axis=4)
        rows.append(net.reshape(row, [1, -1, 5 + classes]))
    return finish(net, net.concat(*rows, axis=1))


def layer_norm_parts(net, x, width):
    if net.opset >= 17 and net.draw.chance(0.4):
        return net.node("LayerNormalization", x, net.random((width,)), net.random((width,)))
    axes = {"axes": [-1]} if net.opset < 18 else {}
    more = [] if net.opset < 18 else [net.constant(i64([-1]))]
    centred = net.node("Sub", x, net.node("ReduceMean", x, *more, **axes))
    two = net.constant(np.asarray(2, net.dtype))
    variance = net.node("ReduceMean", net.node("Pow", centred, two), *more, **axes)
    epsilon = net.constant(np.asarray(1e-3, net.dtype))
    y = net.node("Div", centred, net.node("Sqrt", net.node("Add", variance, epsilon)))
    return net.node("Add", net.node("Mul", y, net.random((width,))), net.random((width,)))


def gelu_parts(net, x):
    if net.opset >= 20 and net.draw.chance(0.4):
        return net.node("Gelu", x)
    root, one, half = (net.constant(np.asarray(v, net.dtype)) for v in (np.sqrt(2), 1, 0.5))
    y = net.node("Add", net.node("Erf", net.node("Div", x, root)), one)
    return net.node("Mul", net.node("Mul", x, y), half)


@generator
def transformer(draw):
    net = new_net(draw, "transformer", low=11)
    n, length, heads, per = draw.integer(1, 2), draw.integer(3, 9), 2, 4
    width = heads * per
    ids = net.input("ids", draw.integers((n, length), np.int64, 0, 19))
    x = net.node("Gather", net.random((20, width)), ids)
    x = net.node("Add", x, net.random((1, length, width)))
    mask = net.input("mask", draw.floats((n, 1, 1, length), net.dtype, -9, 0)) \
        if draw.chance(0.5) else None
    for _ in range(2):
        parts = []
        for _ in range(3):
            y = net.node("MatMul", x, net.random((width, width), -0.5, 0.5))
            y = net.node("Add", y, net.random((width,)))
            y = net.reshape(y, [0, 0, heads, per] if draw.chance(0.5) else [n, length, heads, per])
            parts.append(y)
        q = net.node("Transpose", parts[0], perm=[0, 2, 1, 3])
        k = net.node("Transpose", parts[1], perm=[0, 2, 3, 1])
        v = net.node("Transpose", parts[2], perm=[0, 2, 1, 3])
        scores = net.node("Div", net.node("MatMul", q, k),
                          net.constant(np.asarray(np.sqrt(per), net.dtype)))
        if mask:
            scores = net.node("Add", scores, mask)
        attention = net.node("MatMul", net.node("Softmax", scores, axis=-1 if net.opset >= 13
                                                else 3), v)
        y = net.node("Transpose", attention, perm=[0, 2, 1, 3])
        y = net.reshape(y, [n, length, width])
        x = layer_norm_parts(net, net.node("Add", x, net.node(
            "MatMul", y, net.random((width, width), -0.5, 0.5))), width)
        y = gelu_parts(net, net.node("MatMul", x, net.random((width, 16), -0.5, 0.5)))
        y = net.node("MatMul", y, net.random((16, width), -0.5, 0.5))
        x = layer_norm_parts(net, net.node("Add", x, y), width)
    first = net.node("Gather", x, net.constant(np.asarray(0, np.int64)), axis=1)
    return finish(net, net.node("Tanh", net.dense(first, width, 5)))


@generator
def style_transfer(draw):
    net = new_net(draw, "style_transfer")

    def block(x, channels, outputs, kernel, stride=1):
        x = net.conv(net.pad_reflect(x, kernel // 2), channels, outputs, kernel, stride,
                     pad=[0, 0])
        return net.node("InstanceNormalization", x, net.random((outputs,), 0.5, 1.5),
                        net.random((outputs,)), epsilon=1e-3)

    x = net.node("Relu", block(net.feed((1, 3, 24, 20)), 3, 6, 9))
    x = net.node("Relu", block(x, 6, 8, 3, 2))
    for _ in range(2):
        y = block(net.node("Relu", block(x, 8, 8, 3)), 8, 8, 3)
        x = net.node("Add", x, y)
    x = net.node("Relu", block(net.upsample(x), 8, 6, 3))
    x = net.conv(net.pad_reflect(x, 4), 6, 3, 9, pad=[0, 0])
    return finish(net, net.node("Tanh", x) if draw.chance(0.5) else x)


@generator
def pytorch_views(draw):
    """x.view(x.size(0), -1) and its kin: shapes computed by nodes, with open sizes."""
    net = new_net(draw, "pytorch_views", low=11)
    n, height, width = draw.integer(1, 3), draw.integer(6, 9), draw.integer(6, 9)
    x = net.conv_bn(net.feed((n, 3, height, width)), 3, 6)

    def extent(value, axis):
        shape = net.node("Shape", value)
        return net.node("Gather", shape, net.constant(np.asarray(axis, np.int64)), axis=0)

    # A padding chosen at export time: ConstantOfShape, Concat, Reshape, Slice, Transpose, Cast.
    zeros = net.node("ConstantOfShape", net.constant(i64([4])))
    pads = net.concat(net.constant(i64([1, 0, 0, 2])), net.node("Cast", zeros, to=7), axis=0)
    pads = net.reshape(pads, [-1, 2])
    pads = net.slice(pads, -1, -2**63, 0, -1)
    pads = net.reshape(net.node("Transpose", pads, perm=[1, 0]), [-1])
    x = net.node("Pad", x, net.node("Cast", pads, to=7),
                 net.constant(np.asarray(0.5, net.dtype)), mode="constant")
    # Sizes of an Upsample made of halves and floors.
    twice = [net.node("Mul", extent(x, a), net.constant(np.asarray(2, np.int64))) for a in (2, 3)]
    sizes = net.concat(net.slice(net.node("Shape", x), 0, 2, 0),
                       *[net.unsqueeze(v, [0]) for v in twice], axis=0)
    mode = draw.choice(["nearest", "linear"])
    roi = net.constant(np.float32([])) if net.opset < 13 else ""
    scales = net.constant(np.float32([])) if net.opset < 13 else ""
    x = net.node("Resize", x, roi, scales, sizes, mode=mode, nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric" if mode == "nearest"
                 else "pytorch_half_pixel")
    # Expand of a parameter to the batch, as a class token.
    flat = net.concat(net.unsqueeze(extent(x, 0), [0]), net.constant(i64([6, -1])), axis=0)
    rows = net.node("Transpose", net.node("Reshape", x, flat), perm=[0, 2, 1])
    target = net.concat(net.unsqueeze(extent(x, 0), [0]), net.constant(i64([1, 6])), axis=0)
    if draw.chance(0.5):  # expand(-1, ...) becomes Where(Equal(shape, -1), ones, shape)
        wanted = net.constant(i64([-1, 1, 6]))
        ones = net.node("ConstantOfShape", net.constant(i64([3])),
                        value=numpy_helper.from_array(i64([1])))
        equal = net.node("Equal", wanted, net.constant(i64([-1, -1, -1])))
        target = net.node("Where", equal, target, net.node("Mul", wanted, ones))
    token = net.node("Expand", net.random((1, 1, 6)), target)
    x = net.concat(token, rows, axis=1)
    if net.opset < 18:
        mean = net.node("ReduceMean", x, axes=[1], keepdims=0)
    else:
        mean = net.node("ReduceMean", x, net.constant(i64([1])), keepdims=0)
    first = net.node("Gather", x, net.constant(np.asarray(0, np.int64)), axis=1)
    x = net.node("Add", first, mean)
    count = net.node("Cast", extent(rows, 1), to=FLOAT if net.dtype == np.float32 else 10)
    x = net.node("Div", x, net.node("Sqrt", count))
    named = {"input": {0: "batch", 2: "height", 3: "width"}}
    return finish(net, net.dense(x, 6, 4), named if draw.chance(0.6) else None)


@generator
def caffe2_old(draw):
    """Opsets 7 to 9: weights among the inputs, old attributes, 4-D biases, shapes in weights."""
    net = Net(draw, "caffe2_old", draw.integer(7, 9))
    x = net.conv(net.feed((1, 3, 25, 25)), 3, 8, 5, 2, pad=[0, 0], bias=False)
    x = net.node("Add", x, net.random((1, 8, 1, 1)))
    x = net.node("LRN", net.node("Relu", x), size=5, alpha=1e-3, beta=0.75, bias=2.0)
    x = net.max_pool(x, 3, 2, 0)
    y = net.conv(x, 8, 8, 3, group=2)
    spatial = {"spatial": 1} if net.opset < 9 else {}
    y = net.batch_norm(y, 8, momentum=0.9, **spatial)
    x = net.node("Sum", x, y, net.random((1,)))
    x = net.node("PRelu", x, net.random((8, 1, 1)))
    x = net.node("Pad", x, mode=draw.choice(["constant", "edge"]), pads=[0, 0, 0, 0, 0, 0, 1, 1])
    x = net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Dropout", x, ratio=0.4)
    net.weights["shape"] = i64([1, 72])
    x = net.node("Reshape", x, "shape")
    x = net.node("MatMul", x, net.random((72, 9)))
    x = net.node("Add", x, net.random((1, 9)))
    return finish(net, net.node("Softmax", x), ir_version=3, listed_weights=True)


@generator
def tensorflow_style(draw):
    """NHWC inside transposes, SAME padding, a bias as a separate Add, Squeeze of pooled values."""
    net = new_net(draw, "tensorflow_style")
    x = net.node("Transpose", net.feed((draw.integer(1, 2), 17, 15, 3)), perm=[0, 3, 1, 2])
    channels = 3
    for outputs, stride in ((8, 2), (8, 1), (12, 2)):
        w = net.random((outputs, channels, 3, 3), -0.4, 0.4)
        x = net.node("Conv", x, w, auto_pad="SAME_UPPER", strides=[stride] * 2)
        x = net.node("Add", x, net.random((outputs, 1, 1)))
        x = net.activation(x, draw.choice(["Relu", "Relu6", "Elu", "Tanh"]))
        channels = outputs
        if draw.chance(0.4):  # there and back, as a converter leaves it
            x = net.node("Transpose", x, perm=[0, 2, 3, 1])
            x = net.node("Mul", x, net.random((outputs,)))
            x = net.node("Transpose", x, perm=[0, 3, 1, 2])
    x = net.node("Transpose", x, perm=[0, 2, 3, 1])
    if net.opset < 18:
        x = net.node("ReduceMean", x, axes=[1, 2], keepdims=0)
    else:
        x = net.node("ReduceMean", x, net.constant(i64([1, 2])), keepdims=0)
    x = net.node("MatMul", x, net.random((12, 6)))
    return finish(net, net.node("Softmax", net.node("Add", x, net.random((6,))), axis=-1
                                if net.opset >= 13 else 1), open_batch(net))


@generator
def branches(draw):
    """Random chains that split and meet: what fusion may not merge, because it is read twice."""
    net = new_net(draw, "branches")
    values = [net.conv(net.feed((1, 4, 9, 10)), 4, 8)]
    for _ in range(draw.integer(4, 10)):
        x, y = draw.choice(values), draw.choice(values)
        op = draw.choice(["conv", "bn", "act", "act", "add", "mul", "concat", "slice", "pool",
                          "max", "scale", "where"])
        if op == "conv":
            v = net.conv(x, 8, 8, draw.choice([1, 3]), group=draw.choice([1, 2, 8]))
        elif op == "bn":
            v = net.batch_norm(x, 8)
        elif op == "act":
            v = net.activation(x, draw.choice(["Relu", "Sigmoid", "Tanh", "Relu6", "LeakyRelu",
                                               "SiLU", "Softplus", "Elu"]))
        elif op in ("add", "mul", "max"):
            v = net.node({"add": "Add", "mul": "Mul", "max": "Max"}[op], x, y)
        elif op == "concat":
            v = net.conv(net.concat(x, y), 16, 8, 1)
        elif op == "slice":
            v = net.concat(net.slice(x, 0, 3, 1), net.slice(y, 3, 8, 1))
        elif op == "pool":
            v = net.max_pool(x, 3, 1, 1) if draw.chance(0.5) else net.average_pool(x, 3, 1, 1)
        elif op == "scale":
            v = net.node("Mul", x, net.random((1, 8, 1, 1) if draw.chance(0.5) else (10,)))
        else:
            zero = net.constant(np.asarray(0, net.dtype))
            v = net.node("Where", net.node("Greater", x, zero), x, y) if net.opset >= 9 else x
        values.append(v)
    for v in values[1:-1]:
        if draw.chance(0.15):
            net.output(net.node("Identity", v) if draw.chance(0.5) else v)
    used = {name for name, _ in net.outputs}
    last = values[-1] if values[-1] not in used else net.node("Relu", values[-1])
    return finish(net, last)


@generator
def odd_graphs(draw):
    """Frames that are valid and rare: a value read or given out twice, an input that is an output,
    weights that are shared, given out, computed, or passed through Identity and Transpose."""
    net = Net(draw, "odd_graphs", draw.opset(13))
    x = net.feed((2, 4, 6, 5))
    if draw.chance(0.3):
        net.feed((3,), "unused")
    if draw.chance(0.3):
        net.output(x)
    w = net.random((4, 4, 3, 3), -0.4, 0.4)
    values = [x]
    for _ in range(draw.integer(3, 8)):
        v = draw.choice(values[-3:])
        how = draw.choice(["shared", "turned", "computed", "twice", "doubled", "square", "identity",
                           "views", "scalar", "given"])
        if how == "shared":
            v = net.node("Conv", v, w, pads=[1, 1, 1, 1])
        elif how == "turned":
            turned = net.node("Transpose", net.node("Identity", w), perm=[1, 0, 3, 2])
            v = net.node("Conv", v, turned, pads=[1, 1, 1, 1])
        elif how == "computed":  # weights made of the input
            pooled = net.node("GlobalAveragePool", v)
            made = net.node("Mul", w, net.slice(pooled, 0, 1, 0))
            v = net.node("Conv", v, made, pads=[1, 1, 1, 1])
        elif how == "twice":
            v = net.conv(net.concat(v, v, v), 12, 4, 1)
        elif how == "doubled":
            v = net.node("Add", v, v)
        elif how == "square":
            v = net.node("Tanh", net.node("Mul", v, v))
        elif how == "identity":
            v = net.node("Identity", net.node("Identity", v))
        elif how == "views":
            v = net.reshape(net.reshape(v, [2, -1]), [2, 4, 6, 5])
            v = net.squeeze(net.unsqueeze(v, [0]), [0])
        elif how == "scalar":
            v = net.node("Mul", v, net.constant(np.asarray(0.5, net.dtype)))
        else:
            net.output(v)
        values.append(v)
    given = [name for name, _ in net.outputs]
    net.outputs = [(name, net.dtype) for name in dict.fromkeys(given)]
    if draw.chance(0.3):
        net.output(net.node("Identity", w))
    if draw.chance(0.2):
        net.output(net.constant(draw.floats((2, 3))))
    last = values[-1] if values[-1] not in given else net.node("Neg", values[-1])
    return finish(net, last)
