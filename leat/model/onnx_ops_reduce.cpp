// ONNX reductions, soft-max and its kin. Source: ONNX operator schemas. Axes moved from an
// attribute to an input at opset 13 (ReduceSum) and 18 (the others); both places are read.
#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

template <ops::Reduction reduction>
Result<TensorId> reduce(OnnxNode& node) {
  const int64_t axes_input_since = reduction == ops::Reduction::sum ? 13 : 18;
  ops::ReduceOptions options;
  options.keep_dims = node.integer("keepdims", 1) != 0;
  Ints axes;
  bool noop = false;
  if (node.opset() < axes_input_since) {
    axes = node.integers("axes");
    if (node.input_count() > 1) {
      node.fail(ErrorKind::invalid_argument,
                node.op() + " has its axes as an attribute in this opset version.");
    }
  } else {
    axes = node.constant_integers(1, "axes");
    noop = node.integer("noop_with_empty_axes", 0) != 0;
  }
  if (!axes.empty() || noop) options.axes = axes;
  return ops::reduce(node.graph(), node.name(), reduction, node.input(0), options);
}

ops::ArgOptions read_arg_options(OnnxNode& node) {
  ops::ArgOptions options;
  options.axis = node.integer("axis", 0);
  options.keep_dims = node.integer("keepdims", 1) != 0;
  options.select_last_index = node.integer("select_last_index", 0) != 0;
  return options;
}

Result<TensorId> import_arg_max(OnnxNode& node) {
  const ops::ArgOptions options = read_arg_options(node);
  return ops::arg_max(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_arg_min(OnnxNode& node) {
  const ops::ArgOptions options = read_arg_options(node);
  return ops::arg_min(node.graph(), node.name(), node.input(0), options);
}

/// Before opset 13 the default axis is 1, and all dimensions from the axis on are one.
ops::SoftmaxOptions read_softmax_options(OnnxNode& node) {
  ops::SoftmaxOptions options;
  options.flatten = node.opset() < 13;
  options.axis = node.integer("axis", options.flatten ? 1 : -1);
  return options;
}

Result<TensorId> import_softmax(OnnxNode& node) {
  const ops::SoftmaxOptions options = read_softmax_options(node);
  return ops::softmax(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_log_softmax(OnnxNode& node) {
  const ops::SoftmaxOptions options = read_softmax_options(node);
  return ops::log_softmax(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_hardmax(OnnxNode& node) {
  const ops::SoftmaxOptions options = read_softmax_options(node);
  return ops::hardmax(node.graph(), node.name(), node.input(0), options);
}

ops::ScanOptions read_scan_options(OnnxNode& node) {
  ops::ScanOptions options;
  options.axis = node.constant_integer(1, "axis", 0);
  options.exclusive = node.integer("exclusive", 0) != 0;
  options.reverse = node.integer("reverse", 0) != 0;
  return options;
}

Result<TensorId> import_cumsum(OnnxNode& node) {
  return ops::cumsum(node.graph(), node.name(), node.input(0), read_scan_options(node));
}

Result<TensorId> import_cumprod(OnnxNode& node) {
  return ops::cumprod(node.graph(), node.name(), node.input(0), read_scan_options(node));
}

// Before opset 10 k is an attribute. What is not to be sorted may still be.
Result<TensorId> import_top_k(OnnxNode& node) {
  ops::TopKOptions options;
  options.k = node.opset() < 10 ? node.integer("k", 1) : node.constant_integer(1, "k", 1);
  options.axis = node.integer("axis", -1);
  options.largest = node.integer("largest", 1) != 0;
  node.ignore({"sorted"});
  TRY_ASSIGN(const ops::TopKResult found,
             ops::top_k(node.graph(), node.name(), node.input(0), options));
  node.set_output(1, found.indices);
  return found.values;
}

constexpr OnnxOperator kOperators[] = {
    {"ReduceSum", 6, 1, 2, 1, "float, int", reduce<ops::Reduction::sum>, "constant axes"},
    {"ReduceMean", 6, 1, 2, 1, "float, int", reduce<ops::Reduction::mean>, "constant axes"},
    {"ReduceMax", 6, 1, 2, 1, "float, int, bool", reduce<ops::Reduction::max>, "constant axes"},
    {"ReduceMin", 6, 1, 2, 1, "float, int, bool", reduce<ops::Reduction::min>, "constant axes"},
    {"ReduceProd", 6, 1, 2, 1, "float, int", reduce<ops::Reduction::product>, "constant axes"},
    {"ReduceL1", 6, 1, 2, 1, "float, int", reduce<ops::Reduction::l1>, "constant axes"},
    {"ReduceL2", 6, 1, 2, 1, "float, int", reduce<ops::Reduction::l2>, "constant axes"},
    {"ReduceLogSum", 6, 1, 2, 1, "float", reduce<ops::Reduction::log_sum>, "constant axes"},
    {"ReduceLogSumExp", 6, 1, 2, 1, "float", reduce<ops::Reduction::log_sum_exp>, "constant axes"},
    {"ReduceSumSquare", 6, 1, 2, 1, "float, int", reduce<ops::Reduction::sum_square>,
     "constant axes"},
    {"ArgMax", 6, 1, 1, 1, "float, int", import_arg_max},
    {"ArgMin", 6, 1, 1, 1, "float, int", import_arg_min},
    {"Softmax", 6, 1, 1, 1, "float", import_softmax},
    {"LogSoftmax", 6, 1, 1, 1, "float", import_log_softmax},
    {"Hardmax", 6, 1, 1, 1, "float", import_hardmax},
    {"CumSum", 11, 2, 2, 1, "float, int", import_cumsum, "constant axis"},
    {"CumProd", 26, 2, 2, 1, "float, int", import_cumprod, "constant axis"},
    {"TopK", 6, 1, 2, 2, "float, int", import_top_k, "constant k"},
};

}  // namespace

std::span<const OnnxOperator> reduce_operators() { return kOperators; }

}  // namespace leat::onnx_ops
