#!/usr/bin/env python3
"""Writes networks with random weights as ONNX files, to measure what compiling and running cost.

  bench/make_networks.py FOLDER

  chain_10000.onnx       10,000 element-wise nodes, one after the other
  softmax_neg_400.onnx   Softmax and Neg in turns: two distinct kernels
  mobilenet_v2.onnx      224x224, batch-norm folded, 1,000 classes
  transformer.onnx       4 blocks of 12 heads, width 768, 128 tokens, attention written out

Needs no packages: the few messages are written here (source: onnx/onnx.proto, opset 13).
"""
import os
import random
import struct
import sys


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, payload):
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    if isinstance(payload, str):
        payload = payload.encode()
    return varint(number << 3 | 2) + varint(len(payload)) + payload


class Net:
    def __init__(self, name):
        self.name, self.nodes, self.weights, self.ends = name, [], [], []
        self.random = random.Random(name)
        self.count = 0

    def value(self, number, name, shape):
        dims = b"".join(field(1, field(1, extent)) for extent in shape)
        tensor = field(1, 1) + field(2, dims)
        self.ends.append(field(number, field(1, name) + field(2, field(1, tensor))))
        return name

    def input(self, name, shape):
        return self.value(11, name, shape)

    def output(self, name, shape):
        return self.value(12, name, shape)

    def tensor(self, shape, dtype, raw):
        self.count += 1
        name = f"w{self.count}"
        dims = b"".join(field(1, extent) for extent in shape)
        self.weights.append(field(5, dims + field(2, dtype) + field(8, name) + field(9, raw)))
        return name

    def weight(self, *shape):
        count, inputs = 1, 1
        for extent in shape:
            count *= extent
        for extent in shape[1:] if len(shape) > 2 else shape[:1]:
            inputs *= extent
        scale = inputs ** -0.5
        block = [self.random.gauss(0, scale) for _ in range(min(count, 4096))]
        values = (block * (count // len(block) + 1))[:count]
        return self.tensor(shape, 1, struct.pack(f"<{count}f", *values))

    def integers(self, *values):
        return self.tensor([len(values)], 7, struct.pack(f"<{len(values)}q", *values))

    def node(self, op, *inputs, **attributes):
        self.count += 1
        name = f"{op.lower()}_{self.count}"
        body = b"".join(field(1, i) for i in inputs)
        body += field(2, name) + field(3, name) + field(4, op)
        for key, value in attributes.items():
            if isinstance(value, list):
                values = b"".join(field(8, v) for v in value)
                body += field(5, field(1, key) + values + field(20, 7))
            elif isinstance(value, float):
                number = varint(2 << 3 | 5) + struct.pack("<f", value)
                body += field(5, field(1, key) + number + field(20, 1))
            else:
                body += field(5, field(1, key) + field(3, value) + field(20, 2))
        self.nodes.append(field(1, body))
        return name

    def save(self, folder):
        graph = b"".join(self.nodes) + field(2, self.name) + b"".join(self.weights + self.ends)
        model = field(1, 7) + field(7, graph) + field(8, field(1, "") + field(2, 13))
        with open(os.path.join(folder, self.name + ".onnx"), "wb") as file:
            file.write(model)


def chain(count):
    net = Net(f"chain_{count}")
    x = net.input("x", [4, 8])
    for i in range(count):
        x = net.node("Tanh" if i % 2 else "Neg", x)
    net.output(x, [4, 8])
    return net


def softmax_neg(count):
    net = Net(f"softmax_neg_{count}")
    x = net.input("x", [4, 64])
    for i in range(count):
        x = net.node("Neg", x) if i % 2 else net.node("Softmax", x, axis=1)
    net.output(x, [4, 64])
    return net


def mobilenet_v2():
    net = Net("mobilenet_v2")

    def conv(x, inputs, outputs, kernel, stride=1, groups=1, relu6=True):
        pad = kernel // 2
        x = net.node("Conv", x, net.weight(outputs, inputs // groups, kernel, kernel),
                     net.weight(outputs), kernel_shape=[kernel] * 2, strides=[stride] * 2,
                     pads=[pad] * 4, group=groups)
        return net.node("Clip", x, zero, six) if relu6 else x

    zero = net.tensor([], 1, struct.pack("<f", 0))
    six = net.tensor([], 1, struct.pack("<f", 6))
    x = conv(net.input("x", [1, 3, 224, 224]), 3, 32, 3, 2)
    channels = 32
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1)]
    for expand, outputs, repeats, first_stride in rows:
        for i in range(repeats):
            stride, wide = first_stride if i == 0 else 1, channels * expand
            y = conv(x, channels, wide, 1) if expand > 1 else x
            y = conv(y, wide, wide, 3, stride, wide)
            y = conv(y, wide, outputs, 1, relu6=False)
            x = net.node("Add", x, y) if stride == 1 and channels == outputs else y
            channels = outputs
    x = net.node("Flatten", net.node("GlobalAveragePool", conv(x, channels, 1280, 1)), axis=1)
    x = net.node("Gemm", x, net.weight(1280, 1000), net.weight(1000))
    net.output(x, [1, 1000])
    return net


def transformer(blocks=4, tokens=128, width=768, heads=12):
    net = Net("transformer")
    split = net.integers(1, tokens, heads, width // heads)
    joined = net.integers(1, tokens, width)
    scale = net.tensor([], 1, struct.pack("<f", (width // heads) ** -0.5))
    half = net.tensor([], 1, struct.pack("<f", 0.5))
    one = net.tensor([], 1, struct.pack("<f", 1))
    root = net.tensor([], 1, struct.pack("<f", 2 ** -0.5))

    def dense(x, inputs, outputs):
        return net.node("Add", net.node("MatMul", x, net.weight(inputs, outputs)),
                        net.weight(outputs))

    def norm(x):
        mean = net.node("ReduceMean", x, axes=[-1 & (1 << 64) - 1])
        centred = net.node("Sub", x, mean)
        variance = net.node("ReduceMean", net.node("Mul", centred, centred),
                            axes=[-1 & (1 << 64) - 1])
        return net.node("Div", centred, net.node("Sqrt", net.node("Add", variance, small)))

    small = net.tensor([], 1, struct.pack("<f", 1e-5))
    x = net.input("x", [1, tokens, width])
    for _ in range(blocks):
        y = norm(x)
        q, k, v = (net.node("Transpose", net.node("Reshape", dense(y, width, width), split),
                            perm=[0, 2, 1, 3]) for _ in range(3))
        keys = net.node("Transpose", k, perm=[0, 1, 3, 2])
        scores = net.node("Softmax", net.node("Mul", net.node("MatMul", q, keys), scale), axis=3)
        y = net.node("Transpose", net.node("MatMul", scores, v), perm=[0, 2, 1, 3])
        x = net.node("Add", x, dense(net.node("Reshape", y, joined), width, width))
        y = dense(norm(x), width, 4 * width)
        gate = net.node("Add", net.node("Erf", net.node("Mul", y, root)), one)
        y = net.node("Mul", net.node("Mul", y, half), gate)
        x = net.node("Add", x, dense(y, 4 * width, width))
    net.output(x, [1, tokens, width])
    return net


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for net in (chain(10000), softmax_neg(400), mobilenet_v2(), transformer()):
        net.save(sys.argv[1])


if __name__ == "__main__":
    main()
