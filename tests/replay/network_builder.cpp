// See network_builder.h.
#include "tests/replay/network_builder.h"

namespace leat::replay {

std::string NetworkBuilder::name(std::string_view op) {
  return std::string(op) + "_" + std::to_string(count_++);
}

TensorId NetworkBuilder::keep(Result<TensorId> result) {
  if (result) return *result;
  if (!failure_) failure_ = result.error();
  return 0;
}

TensorId NetworkBuilder::input(Shape shape, DType dtype) {
  const TensorId id = graph_.add_tensor(name("input"), dtype, std::move(shape));
  graph_.inputs.push_back(id);
  return id;
}

TensorId NetworkBuilder::weights(const Shape& shape, DType dtype) {
  HostTensor value = HostTensor::zeros(dtype, shape);
  for (int64_t i = 0; i < element_count(shape); ++i) {
    state_ = state_ * 1664525u + 1013904223u;
    value.set_number(i, static_cast<double>(state_ >> 8) / (1 << 24) - 0.5);
  }
  return graph_.add_constant(name("weights"), std::move(value));
}

TensorId NetworkBuilder::conv(TensorId x, const ConvShape& shape) {
  Shape extents = {shape.features, shape_of(x)[1] / shape.groups};
  extents.insert(extents.end(), shape.kernel.begin(), shape.kernel.end());
  const size_t rank = shape.kernel.size();
  const ops::ConvOptions options = {.window = {.strides = Ints(rank, shape.stride),
                                               .dilations = Ints(rank, shape.dilation),
                                               .pads = Ints(2 * rank, shape.pad)},
                                    .groups = shape.groups};
  const TensorId w = weights(extents);
  const TensorId bias = weights({shape.features});
  return keep(ops::conv(graph_, name("conv"), x, w, bias, options));
}

TensorId NetworkBuilder::batch_norm(TensorId x) {
  const Shape channels = {shape_of(x)[1]};
  HostTensor variance = HostTensor::zeros(dtype_, channels);
  for (int64_t i = 0; i < channels[0]; ++i) variance.set_number(i, 1);
  const ops::BatchNormInputs inputs = {
      .scale = weights(channels),
      .bias = weights(channels),
      .mean = weights(channels),
      .variance = graph_.add_constant(name("variance"), std::move(variance))};
  return keep(ops::batch_norm(graph_, name("norm"), x, inputs));
}

TensorId NetworkBuilder::activation(TensorId x, ops::Activation kind) {
  return keep(ops::activation(graph_, name("activation"), kind, x));
}

TensorId NetworkBuilder::add(TensorId a, TensorId b) {
  return keep(ops::binary(graph_, name("add"), ScalarOp::add, a, b));
}

TensorId NetworkBuilder::mul(TensorId a, TensorId b) {
  return keep(ops::binary(graph_, name("mul"), ScalarOp::mul, a, b));
}

TensorId NetworkBuilder::matmul(TensorId a, TensorId b) {
  return keep(ops::matmul(graph_, name("matmul"), a, b));
}

TensorId NetworkBuilder::linear(TensorId x, int64_t features) {
  const TensorId bias = weights({features});
  return add(matmul(x, weights({shape_of(x).back(), features})), bias);
}

TensorId NetworkBuilder::max_pool(TensorId x, int64_t kernel, int64_t stride, int64_t pad) {
  return keep(ops::max_pool(
      graph_, name("max_pool"), x,
      {.kernel = {kernel, kernel}, .strides = {stride, stride}, .pads = {pad, pad, pad, pad}}));
}

TensorId NetworkBuilder::average_pool(TensorId x, int64_t kernel, int64_t stride) {
  return keep(ops::average_pool(graph_, name("average_pool"), x,
                                {.kernel = {kernel, kernel}, .strides = {stride, stride}}, false));
}

TensorId NetworkBuilder::global_average(TensorId x) {
  return keep(ops::global_average_pool(graph_, name("global"), x));
}

TensorId NetworkBuilder::concat(std::span<const TensorId> parts, int64_t axis) {
  return keep(ops::concat(graph_, name("concat"), parts, axis));
}

TensorId NetworkBuilder::reshape(TensorId x, const Ints& shape) {
  return keep(ops::reshape(graph_, name("reshape"), x, shape));
}

TensorId NetworkBuilder::transpose(TensorId x, const Ints& permutation) {
  return keep(ops::transpose(graph_, name("transpose"), x, permutation));
}

TensorId NetworkBuilder::softmax(TensorId x) {
  return keep(ops::softmax(graph_, name("softmax"), x, {}));
}

TensorId NetworkBuilder::layer_norm(TensorId x) {
  const Shape width = {shape_of(x).back()};
  const TensorId scale = weights(width), bias = weights(width);
  const auto result = ops::layer_norm(graph_, name("layer_norm"), x, scale, bias, -1, 1e-5);
  if (result) return result->y;
  return keep(result.error());
}

Result<Graph> NetworkBuilder::finish(std::vector<TensorId> outputs) {
  if (failure_) return *failure_;
  graph_.outputs = std::move(outputs);
  return std::move(graph_);
}

}  // namespace leat::replay
