// ONNX operators of linear algebra by name. Source: ONNX operator schemas Einsum 12/28, Det 11/22.
#include "leat/tensor/ops_einsum.h"

#include <fmt/format.h>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

Result<TensorId> import_einsum(OnnxNode& node) {
  const std::string equation = node.text("equation", "");
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (node.has_input(i)) continue;
    return Error(ErrorKind::invalid_argument, fmt::format("Input {} is left out.", i));
  }
  return ops::einsum(node.graph(), node.name(), equation, node.inputs());
}

Result<TensorId> import_det(OnnxNode& node) {
  return ops::det(node.graph(), node.name(), node.input(0));
}

constexpr OnnxOperator kOperators[] = {
    {"Einsum", 12, 1, kAnyNumber, 1, "float, int", import_einsum},
    {"Det", 11, 1, 1, 1, "float", import_det, "at most 64 rows"},
};

}  // namespace

std::span<const OnnxOperator> einsum_operators() { return kOperators; }

}  // namespace leat::onnx_ops
