"""Writes ONNX networks node by node, with the spellings that exporters use."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from drawn_case import Case, code_of, i64


class Net:
    """Values are their names; every method appends nodes and returns a name."""

    def __init__(self, draw, name, opset, dtype=np.float32):
        self.draw, self.name, self.opset, self.dtype = draw, name, opset, dtype
        self.nodes, self.weights, self.inputs, self.outputs = [], {}, {}, []
        self.count = 0

    def fresh(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def input(self, name, array):
        self.inputs[name] = array
        return name

    def feed(self, shape, name="input"):
        return self.input(name, self.draw.floats(shape, self.dtype, -1, 1))

    def constant(self, array):
        """An initializer, or now and then a Constant node."""
        name = self.fresh("c")
        if self.draw.chance(0.25):
            value = numpy_helper.from_array(array)
            self.nodes.append(helper.make_node("Constant", [], [name], value=value))
        else:
            self.weights[name] = array
        return name

    def random(self, shape, low=-1.0, high=1.0):
        return self.constant(self.draw.floats(shape, self.dtype, low, high))

    def node(self, op, *inputs, outputs=1, **attributes):
        names = [self.fresh(op.lower()) for _ in range(outputs)]
        attributes = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def output(self, value, dtype=None):
        self.outputs.append((value, dtype or self.dtype))

    # --- layers

    def conv(self, x, channels, outputs, kernel=3, stride=1, group=1, pad=None, bias=True,
             dilation=1):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        if pad is None:
            pad = [k // 2 * dilation for k in kernel]
        scale = 1.5 / np.sqrt(kernel[0] * kernel[1] * channels / group)
        w = self.random((outputs, channels // group, *kernel), -scale, scale)
        inputs = [x, w] + ([self.random((outputs,), -0.2, 0.2)] if bias else [])
        return self.node("Conv", *inputs, kernel_shape=list(kernel), strides=[stride] * 2,
                         pads=list(pad) * 2, group=group, dilations=[dilation] * 2)

    def batch_norm(self, x, channels, **attributes):
        parameters = [self.random((channels,), 0.5, 1.5), self.random((channels,), -0.3, 0.3),
                      self.random((channels,), -0.3, 0.3), self.random((channels,), 0.5, 1.5)]
        return self.node("BatchNormalization", x, *parameters, epsilon=1e-3, **attributes)

    def conv_bn(self, x, channels, outputs, kernel=3, stride=1, group=1, act="Relu", pad=None):
        x = self.conv(x, channels, outputs, kernel, stride, group, pad, bias=False)
        x = self.batch_norm(x, outputs)
        return self.activation(x, act)

    def activation(self, x, act):
        if act is None:
            return x
        if act == "Relu6":
            if self.opset < 11:
                return self.node("Clip", x, min=0.0, max=6.0)
            low, high = (self.constant(np.asarray(v, self.dtype)) for v in (0, 6))
            return self.node("Clip", x, low, high)
        if act == "SiLU":
            return self.node("Mul", x, self.node("Sigmoid", x))
        if act == "HardSwishParts":  # as PyTorch wrote it before opset 14
            three, six = (self.constant(np.asarray(v, self.dtype)) for v in (3, 6))
            y = self.activation(self.node("Add", x, three), "Relu6")
            return self.node("Div", self.node("Mul", x, y), six)
        if act == "LeakyRelu":
            return self.node("LeakyRelu", x, alpha=0.1)
        if act == "Mish" and self.opset < 18:
            return self.node("Mul", x, self.node("Tanh", self.node("Softplus", x)))
        return self.node(act, x)

    def dense(self, x, size, outputs):
        w = self.random((outputs, size), -1.5 / np.sqrt(size), 1.5 / np.sqrt(size))
        return self.node("Gemm", x, w, self.random((outputs,)), transB=1)

    def max_pool(self, x, kernel=3, stride=2, pad=1, **attributes):
        return self.node("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                         pads=[pad] * 4, **attributes)

    def average_pool(self, x, kernel=3, stride=1, pad=1, **attributes):
        return self.node("AveragePool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                         pads=[pad] * 4, **attributes)

    def concat(self, *values, axis=1):
        return self.node("Concat", *values, axis=axis)

    def reshape(self, x, shape, **attributes):
        return self.node("Reshape", x, self.constant(i64(shape)), **attributes)

    def squeeze_excite(self, x, channels, inner, gate="Sigmoid"):
        s = self.node("GlobalAveragePool", x)
        s = self.activation(self.conv(s, channels, inner, 1), "Relu")
        return self.node("Mul", x, self.activation(self.conv(s, inner, channels, 1), gate))

    def slice(self, x, start, end, axis, step=None):
        if self.opset < 10:
            return self.node("Slice", x, starts=[start], ends=[end], axes=[axis])
        inputs = [self.constant(i64([v])) for v in (start, end, axis)]
        if step is not None:
            inputs.append(self.constant(i64([step])))
        return self.node("Slice", x, *inputs)

    def unsqueeze(self, x, axes):
        if self.opset < 13:
            return self.node("Unsqueeze", x, axes=axes)
        return self.node("Unsqueeze", x, self.constant(i64(axes)))

    def squeeze(self, x, axes):
        if self.opset < 13:
            return self.node("Squeeze", x, axes=axes)
        return self.node("Squeeze", x, self.constant(i64(axes)))

    def split(self, x, sizes, axis):
        if self.opset < 13:
            return self.node("Split", x, outputs=len(sizes), axis=axis, split=sizes)
        return self.node("Split", x, self.constant(i64(sizes)), outputs=len(sizes), axis=axis)

    def upsample(self, x, factor=2, mode="nearest"):
        scales = np.float32([1, 1, factor, factor])
        if self.opset < 9:
            return self.node("Upsample", x, mode=mode, scales=[float(s) for s in scales])
        if self.opset < 11:
            op = "Upsample" if self.opset == 9 else "Resize"
            return self.node(op, x, self.constant(scales), mode=mode)
        roi = self.constant(np.float32([])) if self.opset < 13 else ""
        return self.node("Resize", x, roi, self.constant(scales), mode=mode,
                         coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    def pad_reflect(self, x, width):
        pads = [0, 0, width, width] * 2
        if self.opset < 11:
            return self.node("Pad", x, mode="reflect", pads=pads)
        return self.node("Pad", x, self.constant(i64(pads)), mode="reflect")

    # --- the case

    def case(self, ir_version=8, listed_weights=False, named=None, rtol=None, atol=None):
        """listed_weights: initializers stand among the inputs, as before IR version 4.
        named: input -> {dimension: name} of dimensions left open."""
        infos = []
        for name, array in self.inputs.items():
            dims = list(array.shape)
            for at, symbol in (named or {}).get(name, {}).items():
                dims[at] = symbol
            infos.append(helper.make_tensor_value_info(name, code_of(array.dtype), dims))
        if listed_weights:
            infos += [helper.make_tensor_value_info(n, code_of(a.dtype), list(a.shape))
                      for n, a in self.weights.items()]
        out = [helper.make_tensor_value_info(n, code_of(t), None) for n, t in self.outputs]
        constants = [numpy_helper.from_array(np.ascontiguousarray(a).reshape(a.shape), n)
                     for n, a in self.weights.items()]
        graph = helper.make_graph(self.nodes, self.name, infos, out, constants)
        model = helper.make_model(graph, ir_version=ir_version,
                                  opset_imports=[helper.make_opsetid("", self.opset)])
        note = f"{self.name} opset {self.opset} {np.dtype(self.dtype).name} {len(self.nodes)} nodes"
        return Case(self.name, model, self.inputs, None, rtol, atol, note)


FLOAT = TensorProto.FLOAT
