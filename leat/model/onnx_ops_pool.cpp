// ONNX pooling. Source: ONNX operator schemas MaxPool 1/8/10/11/12/22, AveragePool 1/7/10/11/19/22,
// LpPool 2/11/18/22, Global*Pool 1/2/22.
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_window.h"

namespace leat::onnx_ops {
namespace {

ops::Window read_pool_window(OnnxNode& node) {
  ops::Window window = read_window(node);
  window.ceil_mode = node.integer("ceil_mode", 0) != 0;
  if (window.kernel.empty()) {
    node.fail(ErrorKind::invalid_argument, "Attribute \"kernel_shape\" is missing.");
  }
  return window;
}

Result<TensorId> import_max_pool(OnnxNode& node) {
  const ops::Window window = read_pool_window(node);
  const bool column_major = node.integer("storage_order", 0) != 0;
  TRY_ASSIGN(const TensorId pooled,
             ops::max_pool(node.graph(), node.name(), node.input(0), window));
  if (node.wants_output(1)) {
    TRY_ASSIGN(const TensorId indices,
               ops::max_pool_indices(node.graph(), node.name() + "/indices", node.input(0), pooled,
                                     window, column_major));
    node.set_output(1, indices);
  }
  return pooled;
}

Result<TensorId> import_average_pool(OnnxNode& node) {
  const ops::Window window = read_pool_window(node);
  const bool count_include_pad = node.integer("count_include_pad", 0) != 0;
  return ops::average_pool(node.graph(), node.name(), node.input(0), window, count_include_pad);
}

Result<TensorId> import_lp_pool(OnnxNode& node) {
  const ops::Window window = read_pool_window(node);
  const double p = static_cast<double>(node.integer("p", 2));
  return ops::lp_pool(node.graph(), node.name(), node.input(0), window, p);
}

Result<TensorId> import_global_max_pool(OnnxNode& node) {
  return ops::global_max_pool(node.graph(), node.name(), node.input(0));
}

Result<TensorId> import_global_average_pool(OnnxNode& node) {
  return ops::global_average_pool(node.graph(), node.name(), node.input(0));
}

Result<TensorId> import_global_lp_pool(OnnxNode& node) {
  const double p = static_cast<double>(node.integer("p", 2));
  return ops::global_lp_pool(node.graph(), node.name(), node.input(0), p);
}

constexpr OnnxOperator kOperators[] = {
    {"MaxPool", 6, 1, 1, 2, "float, i8, u8", import_max_pool},
    {"AveragePool", 6, 1, 1, 1, "float", import_average_pool},
    {"LpPool", 6, 1, 1, 1, "float", import_lp_pool},
    {"GlobalMaxPool", 6, 1, 1, 1, "float", import_global_max_pool},
    {"GlobalAveragePool", 6, 1, 1, 1, "float", import_global_average_pool},
    {"GlobalLpPool", 6, 1, 1, 1, "float", import_global_lp_pool},
};

}  // namespace

std::span<const OnnxOperator> pool_operators() { return kOperators; }

}  // namespace leat::onnx_ops
