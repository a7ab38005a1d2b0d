// Operators that ONNX Runtime adds to the standard, domain "com.microsoft" version 1, as far as its
// exporters write them. Source: ONNX Runtime's documentation of its contrib operators, and what it
// computes where that is silent. Those of attention stand in onnx_ops_contrib_attention.cpp.
#include <fmt/format.h>

#include "leat/model/onnx_contrib.h"
#include "leat/model/onnx_window.h"
#include "leat/tensor/ops_attention_parts.h"

namespace leat::onnx_ops {
namespace {

// --- Activations ---------------------------------------------------------------------------------

Result<TensorId> biased(OnnxNode& node) {
  if (!node.has_input(1)) return node.input(0);
  return ops::binary(node.graph(), node.name() + "/biased", ScalarOp::add, node.input(0),
                     node.input(1));
}

template <ops::Activation kKind>
Result<TensorId> import_gelu(OnnxNode& node) {
  TRY_ASSIGN(const TensorId x, biased(node));
  return ops::activation(node.graph(), node.name(), kKind, x);
}

Result<TensorId> import_quick_gelu(OnnxNode& node) {
  const double alpha = node.number("alpha", 1.702);
  return ops::activation(node.graph(), node.name(), ops::Activation::swish, node.input(0),
                         {.alpha = alpha});
}

// --- Products ------------------------------------------------------------------------------------

/// Vectors stay as they are.
Result<TensorId> transposed(OnnxNode& node, size_t input, bool is_wanted) {
  const int64_t rank = node.rank(input);
  if (!is_wanted || rank < 2) return node.input(input);
  Ints order;
  for (int64_t d = 0; d < rank; ++d) order.push_back(d);
  std::swap(order[order.size() - 2], order[order.size() - 1]);
  return ops::transpose(node.graph(), fmt::format("{}/{}", node.name(), input), node.input(input),
                        order);
}

Result<TensorId> import_fused_matmul(OnnxNode& node) {
  const double alpha = node.number("alpha", 1);
  const bool a_is_turned = node.flag("transA", false), b_is_turned = node.flag("transB", false);
  for (const std::string_view attribute : {"transBatchA", "transBatchB"})
    refuse(node, attribute, 0);
  TRY_ASSIGN(const TensorId a, transposed(node, 0, a_is_turned));
  TRY_ASSIGN(const TensorId b, transposed(node, 1, b_is_turned));
  Graph& graph = node.graph();
  if (alpha == 1) return ops::matmul(graph, node.name(), a, b);
  TRY_ASSIGN(const TensorId product, ops::matmul(graph, node.name() + "/product", a, b));
  const TensorId factor = ops::scalar(graph, node.name() + "/alpha", node.dtype(0), alpha);
  return ops::binary(graph, node.name(), ScalarOp::mul, product, factor);
}

Result<TensorId> fused_activation(OnnxNode& node, const std::string& activation,
                                  const std::vector<double>& parameters, TensorId x) {
  using enum ops::Activation;
  Graph& graph = node.graph();
  const auto parameter = [&](size_t i, double fallback) {
    return i < parameters.size() ? parameters[i] : fallback;
  };
  if (activation == "Relu") return ops::activation(graph, node.name(), relu, x);
  if (activation == "Sigmoid") return ops::activation(graph, node.name(), sigmoid, x);
  if (activation == "Tanh") return ops::unary(graph, node.name(), ScalarOp::tanh, x);
  if (activation == "LeakyRelu") {
    return ops::activation(graph, node.name(), leaky_relu, x, {.alpha = parameter(0, 0.01)});
  }
  if (activation == "HardSigmoid") {
    return ops::activation(graph, node.name(), hard_sigmoid, x,
                           {.alpha = parameter(0, 0.2), .beta = parameter(1, 0.5)});
  }
  if (activation == "Clip" && parameters.size() == 2) {
    return ops::clip_to(graph, node.name(), x, parameters[0], parameters[1]);
  }
  return Error(ErrorKind::unsupported,
               fmt::format("Attribute \"activation\" ({}) with ({}) parameters is not supported.",
                           activation, parameters.size()));
}

Result<TensorId> import_fused_conv(OnnxNode& node) {
  ops::ConvOptions options;
  options.window = read_window(node);
  options.groups = node.integer("group", 1);
  const std::string activation = node.text("activation", "");
  const std::vector<double> parameters = node.numbers("activation_params");
  Graph& graph = node.graph();
  TRY_ASSIGN(TensorId y, ops::conv(graph, node.name() + "/conv", node.input(0), node.input(1),
                                   node.input(2), options));
  if (node.has_input(3)) {
    TRY_ASSIGN(y, ops::binary(graph, node.name() + "/sum", ScalarOp::add, y, node.input(3)));
  }
  if (activation.empty()) return y;
  return fused_activation(node, activation, parameters, y);
}

// --- Normalisations ------------------------------------------------------------------------------

Result<TensorId> import_simplified_layer_norm(OnnxNode& node) {
  refuse(node, "stash_type", 1);
  const int64_t axis = node.integer("axis", -1);
  const double epsilon = node.number("epsilon", 1e-5);
  return ops::rms_norm(node.graph(), node.name(), node.input(0), node.input(1), axis, epsilon);
}

/// x + skip + bias, which is output 3.
Result<TensorId> skip_sum(OnnxNode& node, size_t bias) {
  Graph& graph = node.graph();
  const std::string name = node.name() + "/sum";
  TRY_ASSIGN(TensorId sum, ops::binary(graph, name, ScalarOp::add, node.input(0), node.input(1)));
  if (graph.tensors[sum].shape != node.shape(0)) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The shape {} of the skip does not broadcast to {}.",
                             to_string(node.shape(1)), to_string(node.shape(0))));
  }
  if (node.has_input(bias)) {
    TRY_ASSIGN(sum, ops::binary(graph, name + "/biased", ScalarOp::add, sum, node.input(bias)));
  }
  node.set_output(3, sum);
  return sum;
}

Result<TensorId> import_skip_layer_norm(OnnxNode& node) {
  const double epsilon = node.number("epsilon", 1e-12);
  TRY_ASSIGN(const TensorId sum, skip_sum(node, 4));
  TRY_ASSIGN(
      const ops::LayerNormResult result,
      ops::layer_norm(node.graph(), node.name(), sum, node.input(2), node.input(3), -1, epsilon));
  node.set_output(1, result.mean);
  node.set_output(2, result.inverse_deviation);
  return result.y;
}

Result<TensorId> import_skip_simplified_layer_norm(OnnxNode& node) {
  const double epsilon = node.number("epsilon", 1e-12);
  TRY_ASSIGN(const TensorId sum, skip_sum(node, 3));
  return ops::rms_norm(node.graph(), node.name(), sum, node.input(2), -1, epsilon);
}

Result<TensorId> import_embed_layer_norm(OnnxNode& node) {
  Graph& graph = node.graph();
  const double epsilon = node.number("epsilon", 1e-12);
  node.ignore({"mask_index_type"});
  for (const size_t input : {2u, 3u, 5u, 6u}) {
    if (node.has_input(input)) continue;
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Input {} of EmbedLayerNormalization is missing.", input));
  }
  const Shape ids = node.shape(0);
  if (ids.size() != 2) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The word ids have shape {} instead of (B, S).", to_string(ids)));
  }
  if (node.has_input(1) != node.has_input(4)) {
    return Error(ErrorKind::invalid_argument,
                 "Of segment_ids and segment_embedding one is missing.");
  }
  const std::string name = node.name();
  TensorId places = node.input(8);
  if (places == kNoTensor) {
    TRY_ASSIGN(places, ops::places_from(graph, name + "/places", kNoTensor, 1, ids[1]));
  }
  TRY_ASSIGN(TensorId sum, ops::gather(graph, name + "/words", node.input(2), node.input(0)));
  TRY_ASSIGN(const TensorId position,
             ops::gather(graph, name + "/positions", node.input(3), places));
  TRY_ASSIGN(sum, ops::binary(graph, name + "/placed", ScalarOp::add, sum, position));
  if (node.has_input(1)) {
    TRY_ASSIGN(const TensorId segment,
               ops::gather(graph, name + "/segments", node.input(4), node.input(1)));
    TRY_ASSIGN(sum, ops::binary(graph, name + "/sum", ScalarOp::add, sum, segment));
  }
  if (node.wants_output(1)) {
    TRY_ASSIGN(const TensorId mask_index,
               ops::first_zero(graph, name + "/mask", node.input(7), ids[0]));
    node.set_output(1, mask_index);
  }
  node.set_output(2, sum);
  TRY_ASSIGN(const ops::LayerNormResult result,
             ops::layer_norm(graph, name, sum, node.input(5), node.input(6), -1, epsilon));
  return result.y;
}

constexpr std::string_view kDomain = "com.microsoft";
constexpr OnnxOperator kOperators[] = {
    {"Gelu", 1, 1, 1, 1, "float", import_gelu<ops::Activation::gelu_erf>, {}, kDomain},
    {"BiasGelu", 1, 2, 2, 1, "float", import_gelu<ops::Activation::gelu_erf>, {}, kDomain},
    {"FastGelu", 1, 1, 2, 1, "float", import_gelu<ops::Activation::gelu_tanh>, {}, kDomain},
    {"QuickGelu", 1, 1, 1, 1, "float", import_quick_gelu, {}, kDomain},
    {"FusedMatMul", 1, 2, 2, 1, "float", import_fused_matmul, {}, kDomain},
    {"FusedConv", 1, 2, 4, 1, "float", import_fused_conv, {}, kDomain},
    {"SimplifiedLayerNormalization", 1, 2, 2, 2, "float", import_simplified_layer_norm,
     "of ONNX Runtime"},
    {"SimplifiedLayerNormalization",
     1,
     2,
     2,
     2,
     "float",
     import_simplified_layer_norm,
     {},
     kDomain},
    {"SkipLayerNormalization", 1, 3, 5, 4, "float", import_skip_layer_norm, {}, kDomain},
    {"SkipSimplifiedLayerNormalization",
     1,
     3,
     4,
     4,
     "float",
     import_skip_simplified_layer_norm,
     {},
     kDomain},
    {"EmbedLayerNormalization", 1, 1, 9, 3, "float", import_embed_layer_norm, {}, kDomain},
};

}  // namespace

void refuse(OnnxNode& node, std::string_view attribute, int64_t usual) {
  const int64_t value = node.integer(attribute, usual);
  if (value == usual) return;
  node.fail(ErrorKind::unsupported, fmt::format("Attribute \"{}\" ({}) other than ({}) is not "
                                                "supported.",
                                                attribute, value, usual));
}

std::span<const OnnxOperator> contrib_operators() { return kOperators; }

}  // namespace leat::onnx_ops
