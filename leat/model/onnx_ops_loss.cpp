// ONNX losses of classifiers. Source: ONNX operator schemas NegativeLogLikelihoodLoss 12/13/22,
// SoftmaxCrossEntropyLoss 12/13.
#include "leat/tensor/ops_loss.h"

#include <fmt/format.h>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

ops::LossOptions read_options(OnnxNode& node) {
  ops::LossOptions options;
  const std::string reduction = node.text("reduction", "mean");
  if (reduction == "none") {
    options.reduction = ops::LossReduction::none;
  } else if (reduction == "sum") {
    options.reduction = ops::LossReduction::sum;
  } else if (reduction != "mean") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"reduction\" (\"{}\") is not none, sum or mean.", reduction));
  }
  if (node.has_attribute("ignore_index")) options.ignore_index = node.integer("ignore_index", 0);
  return options;
}

Result<TensorId> import_log_likelihood(OnnxNode& node) {
  const ops::LossOptions options = read_options(node);
  return ops::negative_log_likelihood(node.graph(), node.name(), node.input(0), node.input(1),
                                      node.input(2), options);
}

Result<TensorId> import_cross_entropy(OnnxNode& node) {
  const ops::LossOptions options = read_options(node);
  TRY_ASSIGN(const ops::CrossEntropyResult result,
             ops::softmax_cross_entropy(node.graph(), node.name(), node.input(0), node.input(1),
                                        node.input(2), options));
  node.set_output(1, result.log_chances);
  return result.loss;
}

constexpr OnnxOperator kOperators[] = {
    {"NegativeLogLikelihoodLoss", 12, 2, 3, 1, "float", import_log_likelihood},
    {"SoftmaxCrossEntropyLoss", 12, 2, 3, 2, "float", import_cross_entropy},
};

}  // namespace

std::span<const OnnxOperator> loss_operators() { return kOperators; }

}  // namespace leat::onnx_ops
