// ONNX operators that look elements up by computed indices. Source: ONNX operator schemas Gather
// 1/11/13, GatherElements 11/13, GatherND 11/12/13, OneHot 9/11.
#include <fmt/format.h>

#include "leat/model/onnx_ops.h"
#include "leat/tensor/index_check.h"

namespace leat::onnx_ops {
namespace {

/// Of an axis that was found to be one.
int64_t extent_of(const OnnxNode& node, int64_t axis) {
  const Shape& shape = node.graph().tensors[node.input(0)].shape;
  return shape[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis)];
}

/// `y`, which was computed with the indices of input 1.
Result<TensorId> checked(const OnnxNode& node, TensorId y, const std::vector<int64_t>& extents) {
  TRY(ops::check_indices(node.graph(), node.op(), node.name(), y, node.input(1), extents));
  return y;
}

Result<TensorId> import_gather(OnnxNode& node) {
  const int64_t axis = node.integer("axis", 0);
  TRY_ASSIGN(const TensorId y,
             ops::gather(node.graph(), node.name(), node.input(0), node.input(1), axis));
  return checked(node, y, {extent_of(node, axis)});
}

Result<TensorId> import_gather_elements(OnnxNode& node) {
  const int64_t axis = node.integer("axis", 0);
  TRY_ASSIGN(const TensorId y,
             ops::gather_elements(node.graph(), node.name(), node.input(0), node.input(1), axis));
  return checked(node, y, {extent_of(node, axis)});
}

Result<TensorId> import_gather_nd(OnnxNode& node) {
  const int64_t batch_dims = node.integer("batch_dims", 0);
  TRY_ASSIGN(const TensorId y,
             ops::gather_nd(node.graph(), node.name(), node.input(0), node.input(1), batch_dims));
  const Shape& shape = node.graph().tensors[node.input(0)].shape;
  const int64_t depth = node.graph().tensors[node.input(1)].shape.back();
  const auto first = shape.begin() + batch_dims;
  return checked(node, y, std::vector<int64_t>(first, first + depth));
}

Result<TensorId> import_one_hot(OnnxNode& node) {
  const int64_t axis = node.integer("axis", -1);
  const double depth = node.constant_number(1, "depth", 0);
  if (!(depth >= 0 && depth <= static_cast<double>(kElementsMax))) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Depth ({}) is not between 0 and {}.", depth, kElementsMax));
  }
  if (node.failure()) return *node.failure();
  return ops::one_hot(node.graph(), node.name(), node.input(0), static_cast<int64_t>(depth),
                      node.input(2), axis);
}

constexpr OnnxOperator kOperators[] = {
    {"Gather", 6, 2, 2, 1, "all", import_gather},
    {"GatherElements", 11, 2, 2, 1, "all", import_gather_elements},
    {"GatherND", 11, 2, 2, 1, "all", import_gather_nd},
    {"OneHot", 9, 3, 3, 1, "all", import_one_hot, "constant depth"},
};

}  // namespace

std::span<const OnnxOperator> gather_operators() { return kOperators; }

}  // namespace leat::onnx_ops
