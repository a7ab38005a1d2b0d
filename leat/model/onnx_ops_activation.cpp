// ONNX activations. Source: ONNX operator schemas; defaults are those of ops::default_options.
#include <fmt/format.h>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

using ops::Activation;

template <Activation kind>
Result<TensorId> plain(OnnxNode& node) {
  return ops::activation(node.graph(), node.name(), kind, node.input(0));
}

/// alpha, and beta where the operator has one under the name `second`.
Result<TensorId> with_options(OnnxNode& node, Activation kind, std::string_view first,
                              std::string_view second = {}) {
  ops::ActivationOptions options = ops::default_options(kind);
  options.alpha = node.number(first, options.alpha);
  if (!second.empty()) options.beta = node.number(second, options.beta);
  return ops::activation(node.graph(), node.name(), kind, node.input(0), options);
}

template <Activation kind>
Result<TensorId> with_alpha(OnnxNode& node) {
  return with_options(node, kind, "alpha");
}

Result<TensorId> import_selu(OnnxNode& node) {
  return with_options(node, Activation::selu, "alpha", "gamma");
}

Result<TensorId> import_hard_sigmoid(OnnxNode& node) {
  return with_options(node, Activation::hard_sigmoid, "alpha", "beta");
}

Result<TensorId> import_shrink(OnnxNode& node) {
  return with_options(node, Activation::shrink, "lambd", "bias");
}

Result<TensorId> import_gelu(OnnxNode& node) {
  const std::string mode = node.text("approximate", "none");
  if (mode != "none" && mode != "tanh") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"approximate\" (\"{}\") is not a known mode.", mode));
  }
  const Activation kind = mode == "tanh" ? Activation::gelu_tanh : Activation::gelu_erf;
  return ops::activation(node.graph(), node.name(), kind, node.input(0));
}

Result<TensorId> import_prelu(OnnxNode& node) {
  TensorId slope = node.input(1);
  const Shape shape = node.shape(1);
  if (node.opset() < 7 && shape.size() == 1 && shape[0] > 1 && node.rank(0) > 2) {
    // Before opset 7 a list of slopes belonged to the channels, axis 1.
    Shape per_channel(node.shape(0).size() - 1, 1);
    per_channel[0] = shape[0];
    TRY_ASSIGN(slope, ops::reshape(node.graph(), node.name() + "/slope", slope, per_channel));
  }
  return ops::prelu(node.graph(), node.name(), node.input(0), slope);
}

constexpr OnnxOperator kOperators[] = {
    {"Relu", 6, 1, 1, 1, "float, int", plain<Activation::relu>},
    {"LeakyRelu", 6, 1, 1, 1, "float", with_alpha<Activation::leaky_relu>},
    {"PRelu", 6, 2, 2, 1, "float", import_prelu},
    {"Elu", 6, 1, 1, 1, "float", with_alpha<Activation::elu>},
    {"Selu", 6, 1, 1, 1, "float", import_selu},
    {"Celu", 12, 1, 1, 1, "float", with_alpha<Activation::celu>},
    {"Sigmoid", 6, 1, 1, 1, "float", plain<Activation::sigmoid>},
    {"HardSigmoid", 6, 1, 1, 1, "float", import_hard_sigmoid},
    {"HardSwish", 14, 1, 1, 1, "float", plain<Activation::hard_swish>},
    {"Softplus", 6, 1, 1, 1, "float", plain<Activation::softplus>},
    {"Softsign", 6, 1, 1, 1, "float", plain<Activation::softsign>},
    {"Gelu", 20, 1, 1, 1, "float", import_gelu},
    {"Mish", 18, 1, 1, 1, "float", plain<Activation::mish>},
    {"Swish", 24, 1, 1, 1, "float", with_alpha<Activation::swish>},
    {"ThresholdedRelu", 6, 1, 1, 1, "float", with_alpha<Activation::thresholded_relu>},
    {"Shrink", 9, 1, 1, 1, "float, int", import_shrink},
    {"Reciprocal", 6, 1, 1, 1, "float", plain<Activation::reciprocal>},
    {"Sign", 9, 1, 1, 1, "float, int", plain<Activation::sign>},
};

}  // namespace

std::span<const OnnxOperator> activation_operators() { return kOperators; }

}  // namespace leat::onnx_ops
