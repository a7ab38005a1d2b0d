// ONNX operators that write where other tensors say, and their like. Source: ONNX operator schemas
// Scatter 9/11, ScatterElements 11/13/16/18, ScatterND 11/13/16/18, TensorScatter 24, MaxUnpool
// 9/11/22, Col2Im 18, ReverseSequence 10, BitCast 26.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/model/onnx_file.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_window.h"
#include "leat/tensor/index_check.h"
#include "leat/tensor/ops_scatter.h"

namespace leat::onnx_ops {
namespace {

ReduceOp read_reduction(OnnxNode& node) {
  const std::string name = node.text("reduction", "none");
  if (name == "none") return ReduceOp::none;
  if (name == "add") return ReduceOp::sum;
  if (name == "mul") return ReduceOp::product;
  if (name == "max") return ReduceOp::max;
  if (name == "min") return ReduceOp::min;
  node.fail(
      ErrorKind::invalid_argument,
      fmt::format("Attribute \"reduction\" (\"{}\") is not none, add, mul, max or min.", name));
  return ReduceOp::none;
}

/// `y`, which was computed with the indices of input 1.
Result<TensorId> checked(const OnnxNode& node, TensorId y, const std::vector<int64_t>& extents) {
  TRY(ops::check_indices(node.graph(), node.op(), node.name(), y, node.input(1), extents));
  return y;
}

Result<TensorId> import_scatter_elements(OnnxNode& node) {
  const int64_t axis = node.integer("axis", 0);
  const ReduceOp reduction = read_reduction(node);
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const TensorId y,
             ops::scatter_elements(node.graph(), node.name(), node.input(0), node.input(1),
                                   node.input(2), axis, reduction));
  const Shape& shape = node.graph().tensors[node.input(0)].shape;
  const int64_t place = axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis;
  return checked(node, y, {shape[static_cast<size_t>(place)]});
}

Result<TensorId> import_scatter_nd(OnnxNode& node) {
  const ReduceOp reduction = read_reduction(node);
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const TensorId y, ops::scatter_nd(node.graph(), node.name(), node.input(0),
                                               node.input(1), node.input(2), reduction));
  const Shape& shape = node.graph().tensors[node.input(0)].shape;
  const int64_t depth = node.graph().tensors[node.input(1)].shape.back();
  return checked(node, y, std::vector<int64_t>(shape.begin(), shape.begin() + depth));
}

Result<TensorId> import_tensor_scatter(OnnxNode& node) {
  ops::TensorScatterOptions options;
  options.axis = node.integer("axis", -2);
  const std::string mode = node.text("mode", "linear");
  if (mode != "linear" && mode != "circular") {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Attribute \"mode\" (\"{}\") is not linear or circular.", mode));
  }
  options.circular = mode == "circular";
  return ops::tensor_scatter(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                             options);
}

Result<TensorId> import_max_unpool(OnnxNode& node) {
  const ops::Window window = read_window(node);
  const Ints shape = node.has_input(2) ? node.constant_integers(2, "output_shape") : Ints();
  if (node.failure()) return *node.failure();
  return ops::max_unpool(node.graph(), node.name(), node.input(0), node.input(1), window, shape);
}

Result<TensorId> import_col2im(OnnxNode& node) {
  ops::Window window = read_window(node);
  const Ints image = node.constant_integers(1, "image_shape");
  window.kernel = node.constant_integers(2, "block_shape");
  if (node.failure()) return *node.failure();
  return ops::col2im(node.graph(), node.name(), node.input(0), image, window);
}

Result<TensorId> import_reverse_sequence(OnnxNode& node) {
  const ops::ReverseOptions options = {.batch_axis = node.integer("batch_axis", 1),
                                       .time_axis = node.integer("time_axis", 0)};
  return ops::reverse_sequence(node.graph(), node.name(), node.input(0), node.input(1), options);
}

Result<TensorId> import_bit_cast(OnnxNode& node) {
  const int64_t code = node.required_integer("to");
  TRY_ASSIGN(const DType dtype,
             dtype_of_onnx(code >= 0 && code < 1000 ? static_cast<int>(code) : 0));
  return ops::bit_cast(node.graph(), node.name(), node.input(0), dtype);
}

constexpr OnnxOperator kOperators[] = {
    {"Scatter", 9, 3, 3, 1, "all", import_scatter_elements},
    {"ScatterElements", 11, 3, 3, 1, "all", import_scatter_elements},
    {"ScatterND", 11, 3, 3, 1, "all", import_scatter_nd},
    {"TensorScatter", 24, 2, 3, 1, "all", import_tensor_scatter},
    {"MaxUnpool", 9, 2, 3, 1, "float", import_max_unpool, "constant shape"},
    {"Col2Im", 18, 3, 3, 1, "float, int", import_col2im, "constant shapes"},
    {"ReverseSequence", 10, 2, 2, 1, "all", import_reverse_sequence},
    {"BitCast", 26, 1, 1, 1, "int, bool, float16", import_bit_cast,
     "of floats only float16 and bfloat16"},
};

}  // namespace

std::span<const OnnxOperator> scatter_operators() { return kOperators; }

}  // namespace leat::onnx_ops
