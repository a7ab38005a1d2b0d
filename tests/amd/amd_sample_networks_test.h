// Networks with random weights, the same each time, at sizes that an emulator runs in seconds.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "leat/model/onnx_builder.h"

namespace leat {

/// Adds layers to a model in the order in which they are called; each returns its result's name.
class SampleNetwork {
 public:
  explicit SampleNetwork(const Shape& input) { builder_.input("image", input); }

  /// Weights (outputs, inputs, size, size) of a spread that keeps values near 1, a bias, an
  /// activation.
  std::string conv(const std::string& x, int64_t inputs, int64_t outputs, int64_t size,
                   int64_t stride = 1, int64_t pad = 0, bool has_relu = true) {
    const std::string name = next("conv");
    const double spread = std::sqrt(6.0 / static_cast<double>(inputs * size * size));
    random_constant(name + "_w", {outputs, inputs, size, size}, -spread, spread);
    random_constant(name + "_b", {outputs}, -0.1, 0.1);
    builder_.node("Conv", {x, name + "_w", name + "_b"}, {name})
        .set("strides", std::vector<int64_t>{stride, stride})
        .set("pads", std::vector<int64_t>{pad, pad, pad, pad});
    return has_relu ? unary("Relu", name) : name;
  }
  std::string normalise(const std::string& x, int64_t channels) {
    const std::string name = next("norm");
    random_constant(name + "_scale", {channels}, 0.5, 1.5);
    random_constant(name + "_shift", {channels}, -0.5, 0.5);
    random_constant(name + "_mean", {channels}, -0.5, 0.5);
    random_constant(name + "_variance", {channels}, 0.5, 1.5);
    builder_.node("BatchNormalization",
                  {x, name + "_scale", name + "_shift", name + "_mean", name + "_variance"},
                  {name});
    return name;
  }
  std::string max_pool(const std::string& x, bool ceil_mode = true) {
    const std::string name = next("pool");
    builder_.node("MaxPool", {x}, {name})
        .set("kernel_shape", std::vector<int64_t>{3, 3})
        .set("strides", std::vector<int64_t>{2, 2})
        .set("ceil_mode", ceil_mode ? 1 : 0);
    return name;
  }
  std::string unary(const std::string& op, const std::string& x) {
    const std::string name = next(op);
    builder_.node(op, {x}, {name});
    return name;
  }
  std::string join(const std::string& a, const std::string& b) {
    const std::string name = next("concat");
    builder_.node("Concat", {a, b}, {name}).set("axis", 1);
    return name;
  }
  std::string add(const std::string& a, const std::string& b) {
    const std::string name = next("sum");
    builder_.node("Add", {a, b}, {name});
    return name;
  }
  /// Global mean, and a row of `outputs` numbers.
  std::string classify(const std::string& x, int64_t channels, int64_t outputs) {
    const std::string flat = next("flat");
    builder_.node("Flatten", {unary("GlobalAveragePool", x)}, {flat});
    const std::string name = next("classes");
    const double spread = std::sqrt(3.0 / static_cast<double>(channels));
    random_constant(name + "_w", {outputs, channels}, -spread, spread);
    random_constant(name + "_b", {outputs}, -0.1, 0.1);
    builder_.node("Gemm", {flat, name + "_w", name + "_b"}, {name}).set("transB", 1);
    return name;
  }
  /// The model's bytes, with this output.
  std::string finish(const std::string& output) {
    builder_.output(output);
    return builder_.bytes();
  }

 private:
  std::string next(const std::string& kind) { return kind + "_" + std::to_string(count_++); }

  void random_constant(const std::string& name, const Shape& shape, double low, double high) {
    std::uniform_real_distribution<double> any(low, high);
    HostTensor value = HostTensor::zeros(DType::f32, shape);
    for (int64_t i = 0; i < element_count(shape); ++i) value.set_number(i, any(random_));
    builder_.constant(name, value);
  }

  OnnxBuilder builder_;
  std::mt19937 random_{7};
  int count_ = 0;
};

/// SqueezeNet 1.1 (Iandola et al. 2016, and its authors' later table): 26 convolutions.
inline std::string squeezenet(int64_t side) {
  SampleNetwork net({1, 3, side, side});
  const auto fire = [&](const std::string& x, int64_t inputs, int64_t squeeze, int64_t expand) {
    const std::string narrow = net.conv(x, inputs, squeeze, 1);
    return net.join(net.conv(narrow, squeeze, expand, 1),
                    net.conv(narrow, squeeze, expand, 3, 1, 1));
  };
  std::string x = net.max_pool(net.conv("image", 3, 64, 3, 2));
  x = fire(fire(x, 64, 16, 64), 128, 16, 64);
  x = fire(fire(net.max_pool(x), 128, 32, 128), 256, 32, 128);
  x = net.max_pool(x);
  x = fire(fire(x, 256, 48, 192), 384, 48, 192);
  x = fire(fire(x, 384, 64, 256), 512, 64, 256);
  x = net.unary("GlobalAveragePool", net.conv(x, 512, 1000, 1));
  return net.finish(net.unary("Flatten", x));
}

/// ResNet-18's stem, a block with a projection and one without, and a classifier.
inline std::string resnet_blocks(int64_t side, int64_t channels) {
  SampleNetwork net({1, 3, side, side});
  const auto part = [&](const std::string& x, int64_t inputs, int64_t outputs, int64_t size,
                        int64_t stride) {
    return net.normalise(net.conv(x, inputs, outputs, size, stride, size / 2, false), outputs);
  };
  std::string x = net.unary("Relu", part("image", 3, channels, 7, 2));
  x = net.max_pool(x, false);
  const int64_t wide = 2 * channels;
  std::string inner = net.unary("Relu", part(x, channels, wide, 3, 2));
  x = net.unary("Relu", net.add(part(inner, wide, wide, 3, 1), part(x, channels, wide, 1, 2)));
  inner = net.unary("Relu", part(x, wide, wide, 3, 1));
  x = net.unary("Relu", net.add(part(inner, wide, wide, 3, 1), x));
  return net.finish(net.unary("Softmax", net.classify(x, wide, 10)));
}

}  // namespace leat
