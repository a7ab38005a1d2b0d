// ONNX operators that only rearrange dimensions or speak of shapes. Every shape is known at import,
// so Shape and Size are constants. Source: ONNX operator schemas Reshape 5/13/14, Squeeze and
// Unsqueeze 1/11/13, Flatten, Transpose, Shape 1/13/15, Size, Expand 8/13.
#include <algorithm>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

Result<TensorId> import_shape(OnnxNode& node) {
  const Shape shape = node.shape(0);
  const int64_t rank = node.rank(0);
  const auto bound = [&](int64_t value) {
    return std::clamp<int64_t>(value < 0 && value >= -rank ? value + rank : value, 0, rank);
  };
  const int64_t start = bound(node.integer("start", 0));
  const int64_t end = bound(node.integer("end", rank));
  std::span<const int64_t> part;
  if (start < end) {
    part = std::span(shape).subspan(static_cast<size_t>(start), static_cast<size_t>(end - start));
  }
  return ops::vector_i64(node.graph(), node.name(), part);
}

Result<TensorId> import_size(OnnxNode& node) {
  HostTensor size = HostTensor::zeros(DType::i64, {});
  size.set_integer(0, element_count(node.shape(0)));
  return node.graph().add_constant(node.name(), std::move(size));
}

Result<TensorId> import_reshape(OnnxNode& node) {
  const Ints target = node.constant_integers(1, "shape");
  const bool allow_zero = node.integer("allowzero", 0) != 0;
  if (node.failure()) return *node.failure();
  return ops::reshape(node.graph(), node.name(), node.input(0), target, allow_zero);
}

Result<TensorId> import_flatten(OnnxNode& node) {
  const int64_t axis = node.integer("axis", 1);
  return ops::flatten(node.graph(), node.name(), node.input(0), axis);
}

/// An attribute before opset 13, an input from there on.
Ints read_axes(OnnxNode& node) {
  if (node.opset() >= 13) return node.constant_integers(1, "axes");
  if (node.input_count() > 1) {
    node.fail(ErrorKind::invalid_argument,
              node.op() + " has its axes as an attribute in this opset version.");
  }
  return node.integers("axes");
}

Result<TensorId> import_squeeze(OnnxNode& node) {
  const Ints axes = read_axes(node);
  return ops::squeeze(node.graph(), node.name(), node.input(0), axes);
}

Result<TensorId> import_unsqueeze(OnnxNode& node) {
  const Ints axes = read_axes(node);
  return ops::unsqueeze(node.graph(), node.name(), node.input(0), axes);
}

Result<TensorId> import_transpose(OnnxNode& node) {
  const Ints permutation = node.integers("perm");
  return ops::transpose(node.graph(), node.name(), node.input(0), permutation);
}

Result<TensorId> import_expand(OnnxNode& node) {
  const Ints shape = node.constant_integers(1, "shape");
  if (node.failure()) return *node.failure();
  return ops::expand(node.graph(), node.name(), node.input(0), shape);
}

constexpr OnnxOperator kOperators[] = {
    {"Shape", 6, 1, 1, 1, "all", import_shape, "a constant"},
    {"Size", 6, 1, 1, 1, "all", import_size, "a constant"},
    {"Reshape", 6, 2, 2, 1, "all", import_reshape, "constant shape"},
    {"Flatten", 6, 1, 1, 1, "all", import_flatten},
    {"Squeeze", 6, 1, 2, 1, "all", import_squeeze, "constant axes"},
    {"Unsqueeze", 6, 1, 2, 1, "all", import_unsqueeze, "constant axes"},
    {"Transpose", 6, 1, 1, 1, "all", import_transpose},
    {"Expand", 8, 2, 2, 1, "all", import_expand, "constant shape"},
};

}  // namespace

std::span<const OnnxOperator> shape_operators() { return kOperators; }

}  // namespace leat::onnx_ops
