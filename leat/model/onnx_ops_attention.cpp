// ONNX attention and what stands beside it. Source: ONNX operator schemas Attention 23/24/25,
// SwiGLU 28, CausalConvWithState 27.
#include <fmt/format.h>

#include "leat/model/onnx_file.h"
#include "leat/model/onnx_ops.h"
#include "leat/tensor/ops_attention.h"

namespace leat::onnx_ops {
namespace {

/// Only where they are given; packed inputs must say how many heads they have.
void read_heads(OnnxNode& node, ops::AttentionOptions& options) {
  if (node.rank(0) == 3) {
    options.q_heads = node.required_integer("q_num_heads");
    options.kv_heads = node.required_integer("kv_num_heads");
    return;
  }
  const std::pair<std::string_view, size_t> heads[] = {{"q_num_heads", 0}, {"kv_num_heads", 1}};
  for (const auto& [attribute, input] : heads) {
    if (!node.has_attribute(attribute) || node.rank(input) != 4) continue;
    const int64_t count = node.integer(attribute, 0);
    if (count == node.shape(input)[1]) continue;
    node.fail(
        ErrorKind::invalid_argument,
        fmt::format("Attribute \"{}\" ({}) is not the number of heads in input {} of shape {}.",
                    attribute, count, input, to_string(node.shape(input))));
  }
}

void read_softmax_dtype(OnnxNode& node, ops::AttentionOptions& options) {
  if (!node.has_attribute("softmax_precision")) return;
  const int64_t code = node.integer("softmax_precision", 1);
  const bool fits = code >= 0 && code <= INT32_MAX;
  const Result<DType> dtype = dtype_of_onnx(fits ? static_cast<int>(code) : 0);
  if (dtype && is_float(*dtype)) {
    options.softmax_dtype = *dtype;
    return;
  }
  node.fail(ErrorKind::invalid_argument,
            fmt::format("Attribute \"softmax_precision\" ({}) is not 1, 10, 11 or 16.", code));
}

void read_scores(OnnxNode& node, ops::AttentionOptions& options) {
  using enum ops::AttentionScores;
  constexpr ops::AttentionScores kModes[] = {product, capped, biased, probabilities};
  const int64_t mode = node.integer("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3) {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"qk_matmul_output_mode\" ({}) is outside 0 to 3.", mode));
  } else if (node.wants_output(3)) {
    options.scores = kModes[mode];
  }
}

Result<TensorId> import_attention(OnnxNode& node) {
  ops::AttentionOptions options;
  read_heads(node, options);
  if (node.has_attribute("scale")) options.scale = node.number("scale", 1);
  options.softcap = node.number("softcap", 0);
  options.causal = node.flag("is_causal", false);
  if (node.opset() >= 25) {
    options.left_window = node.integer("left_window_size", -1);
    options.right_window = node.integer("right_window_size", -1);
  }
  read_softmax_dtype(node, options);
  read_scores(node, options);
  options.keeps_present = node.wants_output(1) || node.wants_output(2);
  if (node.has_input(6) && node.opset() < 24) {
    node.fail(ErrorKind::invalid_argument,
              "Input 6 (nonpad_kv_seqlen) of Attention is of opset 24 and later.");
  }
  if (node.failure()) return *node.failure();
  const ops::AttentionInputs inputs = {.q = node.input(0),
                                       .k = node.input(1),
                                       .v = node.input(2),
                                       .mask = node.input(3),
                                       .past_key = node.input(4),
                                       .past_value = node.input(5),
                                       .key_counts = node.input(6)};
  TRY_ASSIGN(const ops::AttentionResult result,
             ops::attention(node.graph(), node.name(), inputs, options));
  node.set_output(1, result.present_key);
  node.set_output(2, result.present_value);
  node.set_output(3, result.scores);
  return result.y;
}

/// The subgraph, if the node has it, as what changes the scores.
ops::AttentionChange read_change(OnnxNode& node, std::string_view attribute, int64_t number) {
  if (!node.has_attribute(attribute)) return {};
  const onnx::GraphProto* body = node.body(attribute);
  if (body == nullptr) return {};
  return [&node, body, attribute, number](TensorId before) -> Result<TensorId> {
    const OnnxValue input(before);
    TRY_ASSIGN(const std::vector<OnnxValue> outputs, node.run(*body, {&input, 1}, number));
    if (outputs.size() == 1 && outputs[0].tensor != kNoTensor) return outputs[0].tensor;
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Attribute \"{}\" of {} has not one tensor as its output.", attribute,
                             node.op()));
  };
}

Result<TensorId> import_flex_attention(OnnxNode& node) {
  ops::AttentionOptions options;
  if (node.has_attribute("scale")) options.scale = node.number("scale", 1);
  if (node.dtype(0) != DType::f64) options.softmax_dtype = DType::f32;
  read_softmax_dtype(node, options);
  options.change_scores = read_change(node, "score_mod", 0);
  options.change_probabilities = read_change(node, "prob_mod", 1);
  for (size_t input = 0; input < 3; ++input) {
    if (node.rank(input) == 4) continue;
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Input {} of FlexAttention has shape {}, not one of rank 4.", input,
                          to_string(node.shape(input))));
  }
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const ops::AttentionResult result,
             ops::attention(node.graph(), node.name(),
                            {.q = node.input(0), .k = node.input(1), .v = node.input(2)}, options));
  return result.y;
}

Result<TensorId> import_swiglu(OnnxNode& node) {
  const double alpha = node.number("alpha", 1);
  return ops::swiglu(node.graph(), node.name(), node.input(0), node.input(1), alpha);
}

Result<TensorId> import_causal_conv(OnnxNode& node) {
  const std::string activation = node.text("activation", "none");
  const bool with_silu = activation == "silu" || activation == "swish";
  if (!with_silu && activation != "none") {
    node.fail(
        ErrorKind::invalid_argument,
        fmt::format("Attribute \"activation\" ({}) is none of silu, swish and none.", activation));
  }
  TRY_ASSIGN(const ops::CausalConvResult result,
             ops::causal_conv(node.graph(), node.name(), node.input(0), node.input(1),
                              node.input(2), node.input(3), with_silu));
  node.set_output(1, result.present);
  return result.y;
}

constexpr OnnxOperator kOperators[] = {
    {"Attention", 23, 3, 7, 4, "float", import_attention},
    {"FlexAttention", 1, 3, 3, 1, "float", import_flex_attention, {}, "ai.onnx.preview"},
    {"SwiGLU", 28, 2, 2, 1, "float", import_swiglu},
    {"CausalConvWithState", 27, 2, 4, 2, "float", import_causal_conv},
};

}  // namespace

std::span<const OnnxOperator> attention_operators() { return kOperators; }

}  // namespace leat::onnx_ops
