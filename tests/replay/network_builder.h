// NetworkBuilder: layers in a line each. Weights are drawn, the same ones in every run; their
// values do not reach a kernel's text, save of those with one element.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "leat/tensor/ops.h"

namespace leat::replay {

using ops::Ints;

struct ConvShape {
  int64_t features = 1;
  Ints kernel = {3, 3};
  int64_t stride = 1;
  int64_t pad = 0;
  int64_t groups = 1;
  int64_t dilation = 1;
};

/// Every function appends to the graph and gives the new tensor. The first failure is kept and told
/// by finish(); what is appended after it does not matter.
class NetworkBuilder {
 public:
  explicit NetworkBuilder(DType dtype = DType::f32) : dtype_(dtype) {}

  TensorId input(Shape shape) { return input(std::move(shape), dtype_); }
  TensorId input(Shape shape, DType dtype);
  TensorId weights(const Shape& shape) { return weights(shape, dtype_); }
  TensorId weights(const Shape& shape, DType dtype);

  TensorId conv(TensorId x, const ConvShape& shape);
  TensorId batch_norm(TensorId x);
  TensorId activation(TensorId x, ops::Activation kind);
  TensorId relu(TensorId x) { return activation(x, ops::Activation::relu); }
  TensorId conv_relu(TensorId x, const ConvShape& shape) { return relu(conv(x, shape)); }
  /// Convolution, batch normalisation, rectifier.
  TensorId conv_block(TensorId x, const ConvShape& shape) {
    return relu(batch_norm(conv(x, shape)));
  }
  TensorId add(TensorId a, TensorId b);
  TensorId mul(TensorId a, TensorId b);
  TensorId matmul(TensorId a, TensorId b);
  /// Matrix product with weights, and a bias.
  TensorId linear(TensorId x, int64_t features);
  TensorId max_pool(TensorId x, int64_t kernel, int64_t stride, int64_t pad = 0);
  TensorId average_pool(TensorId x, int64_t kernel, int64_t stride);
  TensorId global_average(TensorId x);
  TensorId concat(std::span<const TensorId> parts, int64_t axis = 1);
  TensorId reshape(TensorId x, const Ints& shape);
  TensorId transpose(TensorId x, const Ints& permutation);
  TensorId softmax(TensorId x);
  TensorId layer_norm(TensorId x);

  Graph& graph() { return graph_; }
  /// A name that no other node has.
  std::string name(std::string_view op);
  TensorId keep(Result<TensorId> result);
  const Shape& shape_of(TensorId tensor) const { return graph_.tensors[tensor].shape; }

  Result<Graph> finish(std::vector<TensorId> outputs);

 private:
  Graph graph_;
  DType dtype_;
  uint32_t state_ = 1;
  uint32_t count_ = 0;
  std::optional<Error> failure_;
};

}  // namespace leat::replay
