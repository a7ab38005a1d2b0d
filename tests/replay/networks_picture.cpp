// The networks that look at pictures.
#include <vector>

#include "leat/model/onnx_import.h"
#include "tests/replay/network_builder.h"
#include "tests/replay/replay_networks.h"

namespace leat::replay {

using ops::Activation;

Result<Graph> build_digits() {
  TRY_ASSIGN(Model model, import_onnx(LEAT_SOURCE_DIR "/examples/digits/digits.onnx"));
  return std::move(model.graph);
}

namespace {

TensorId fire(NetworkBuilder& net, TensorId x, int64_t squeeze, int64_t expand) {
  const TensorId narrow = net.conv_relu(x, {.features = squeeze, .kernel = {1, 1}});
  const TensorId parts[] = {net.conv_relu(narrow, {.features = expand, .kernel = {1, 1}}),
                            net.conv_relu(narrow, {.features = expand, .pad = 1})};
  return net.concat(parts);
}

}  // namespace

/// Halves throughout, as the model of that name has them.
Result<Graph> build_squeezenet() {
  NetworkBuilder net(DType::f16);
  TensorId x = net.input({1, 3, 64, 64});
  x = net.max_pool(net.conv_relu(x, {.features = 64, .stride = 2}), 3, 2);
  x = fire(net, fire(net, x, 16, 64), 16, 64);
  x = fire(net, net.max_pool(x, 3, 2), 32, 128);
  x = net.global_average(net.conv_relu(x, {.features = 1000, .kernel = {1, 1}}));
  return net.finish({net.softmax(net.reshape(x, {1, 1000}))});
}

namespace {

TensorId instance_norm(NetworkBuilder& net, TensorId x) {
  const Shape channels = {net.shape_of(x)[1]};
  const TensorId scale = net.weights(channels), bias = net.weights(channels);
  return net.keep(ops::instance_norm(net.graph(), net.name("norm"), x, scale, bias, 1e-5));
}

TensorId reflected_conv(NetworkBuilder& net, TensorId x, const ConvShape& shape) {
  const int64_t around = shape.kernel[0] / 2;
  const ops::PadOptions options = {.pads = {0, 0, around, around, 0, 0, around, around},
                                   .mode = ops::PadMode::reflect};
  return net.conv(net.keep(ops::pad(net.graph(), net.name("pad"), x, options)), shape);
}

TensorId upsample(NetworkBuilder& net, TensorId x) {
  ops::ResizeOptions options;
  options.scales = {1, 1, 2, 2};
  return net.keep(ops::resize(net.graph(), net.name("upsample"), x, options));
}

}  // namespace

/// Style transfer: reflected padding, instance normalisation, residual blocks, upsampling.
Result<Graph> build_candy() {
  NetworkBuilder net;
  TensorId x = net.input({1, 3, 56, 56});
  const auto block = [&](TensorId in, const ConvShape& shape) {
    return net.relu(instance_norm(net, reflected_conv(net, in, shape)));
  };
  x = block(x, {.features = 32, .kernel = {9, 9}});
  x = block(x, {.features = 64, .stride = 2});
  const TensorId inner = block(x, {.features = 64});
  x = net.add(x, instance_norm(net, reflected_conv(net, inner, {.features = 64})));
  x = block(upsample(net, x), {.features = 32});
  return net.finish({reflected_conv(net, x, {.features = 3, .kernel = {9, 9}})});
}

namespace {

TensorId bottleneck(NetworkBuilder& net, TensorId x, int64_t width, int64_t stride) {
  TensorId y = net.conv_block(x, {.features = width, .kernel = {1, 1}});
  y = net.conv_block(y, {.features = width, .stride = stride, .pad = 1});
  y = net.batch_norm(net.conv(y, {.features = 4 * width, .kernel = {1, 1}}));
  if (stride != 1 || net.shape_of(x)[1] != 4 * width) {
    x = net.batch_norm(net.conv(x, {.features = 4 * width, .kernel = {1, 1}, .stride = stride}));
  }
  return net.relu(net.add(y, x));
}

}  // namespace

/// The stem, two stages at their real size with batch 1 and the classifier of ResNet-50.
Result<Graph> build_resnet() {
  NetworkBuilder net;
  TensorId x = net.input({1, 3, 224, 224});
  x = net.conv_block(x, {.features = 64, .kernel = {7, 7}, .stride = 2, .pad = 3});
  x = net.max_pool(x, 3, 2, 1);
  x = bottleneck(net, bottleneck(net, x, 64, 1), 64, 1);
  x = bottleneck(net, bottleneck(net, net.average_pool(x, 2, 2), 128, 2), 256, 1);
  x = net.reshape(net.global_average(x), {1, 1024});
  return net.finish({net.softmax(net.linear(x, 1000))});
}

/// Layers that read all that came before: concatenations, normalisation before convolution.
Result<Graph> build_densenet() {
  NetworkBuilder net;
  TensorId x = net.conv(net.input({1, 3, 32, 32}), {.features = 24, .pad = 1});
  const auto layer = [&](TensorId in) {
    const TensorId narrow =
        net.conv(net.relu(net.batch_norm(in)), {.features = 48, .kernel = {1, 1}});
    const TensorId grown = net.conv(net.relu(net.batch_norm(narrow)), {.features = 12, .pad = 1});
    const TensorId parts[] = {in, grown};
    return net.concat(parts);
  };
  x = layer(layer(layer(x)));
  x = net.conv(net.relu(net.batch_norm(x)), {.features = 30, .kernel = {1, 1}});
  x = layer(layer(net.average_pool(x, 2, 2)));
  x = net.reshape(net.global_average(net.relu(net.batch_norm(x))), {1, 54});
  return net.finish({net.linear(x, 10)});
}

/// Branches of several widths beside a pooling, and local response normalisation.
Result<Graph> build_inception() {
  NetworkBuilder net;
  TensorId x = net.input({2, 3, 56, 56});
  x = net.max_pool(net.conv_relu(x, {.features = 64, .kernel = {7, 7}, .stride = 2, .pad = 3}), 3,
                   2);
  x = net.keep(ops::lrn(net.graph(), net.name("lrn"), x, {.size = 5}));
  const auto branches = [&](TensorId in, int64_t width) {
    const TensorId three = net.conv_relu(in, {.features = width, .kernel = {1, 1}});
    const TensorId five = net.conv_relu(in, {.features = 16, .kernel = {1, 1}});
    const TensorId parts[] = {
        net.conv_relu(in, {.features = width, .kernel = {1, 1}}),
        net.conv_relu(three, {.features = 2 * width, .pad = 1}),
        net.conv_relu(five, {.features = 32, .kernel = {5, 5}, .pad = 2}),
        net.conv_relu(net.max_pool(in, 3, 1, 1), {.features = 32, .kernel = {1, 1}})};
    return net.concat(parts);
  };
  x = branches(branches(x, 64), 96);
  x = net.reshape(net.global_average(x), {2, 352});
  return net.finish({net.softmax(net.linear(x, 100))});
}

/// Grouped pointwise convolutions between which the channels are shuffled, and depthwise ones.
Result<Graph> build_shufflenet() {
  NetworkBuilder net;
  TensorId x = net.conv_block(net.input({1, 3, 56, 56}), {.features = 24, .stride = 2, .pad = 1});
  const auto unit = [&](TensorId in, int64_t width) {
    TensorId y = net.conv_block(in, {.features = width, .kernel = {1, 1}, .groups = 4});
    const Shape shape = net.shape_of(y);
    y = net.reshape(y, {1, 4, width / 4, shape[2], shape[3]});
    y = net.reshape(net.transpose(y, {0, 2, 1, 3, 4}), shape);
    y = net.batch_norm(net.conv(y, {.features = width, .pad = 1, .groups = width}));
    y = net.batch_norm(net.conv(y, {.features = width, .kernel = {1, 1}, .groups = 4}));
    return net.shape_of(in)[1] == width ? net.relu(net.add(in, y)) : net.relu(y);
  };
  x = unit(unit(x, 112), 112);
  x = net.reshape(net.global_average(x), {1, 112});
  return net.finish({net.linear(x, 10)});
}

/// Depthwise convolutions with strides, squeeze and excite, hard swish.
Result<Graph> build_mobilenet() {
  NetworkBuilder net;
  const auto swish = [&](TensorId x) { return net.activation(x, Activation::hard_swish); };
  const auto conv = [&](TensorId x, const ConvShape& s) { return net.batch_norm(net.conv(x, s)); };
  TensorId x = swish(conv(net.input({1, 3, 64, 64}), {.features = 16, .stride = 2, .pad = 1}));
  const auto block = [&](TensorId in, int64_t wide, int64_t out, int64_t stride) {
    TensorId y = swish(conv(in, {.features = wide, .kernel = {1, 1}}));
    y = swish(
        conv(y, {.features = wide, .kernel = {5, 5}, .stride = stride, .pad = 2, .groups = wide}));
    TensorId gate = net.conv_relu(net.global_average(y), {.features = wide / 4, .kernel = {1, 1}});
    gate = net.conv(gate, {.features = wide, .kernel = {1, 1}});
    y = net.mul(y, net.activation(gate, Activation::hard_sigmoid));
    y = conv(y, {.features = out, .kernel = {1, 1}});
    return net.shape_of(in) == net.shape_of(y) ? net.add(in, y) : y;
  };
  x = block(block(x, 64, 24, 2), 96, 24, 1);
  x = net.global_average(swish(conv(x, {.features = 144, .kernel = {1, 1}})));
  return net.finish({net.linear(net.reshape(x, {1, 144}), 10)});
}

}  // namespace leat::replay
