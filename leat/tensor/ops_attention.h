// Attention: what each query takes from the values, by how well it fits the keys. The rules that
// all operators share stand in ops.h.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

/// B batch elements, S queries, T keys (past ones included), D and Dv elements of a head. Heads lie
/// apart, (B, heads, S, D), or packed, (B, S, heads * D); y lies as q does.
struct AttentionInputs {
  TensorId q = kNoTensor;
  TensorId k = kNoTensor;
  TensorId v = kNoTensor;
  /// Each broadcasts to (B, q_heads, S, T), of which the last may be shorter than T: keys behind it
  /// are not seen. bool: which keys are seen; a float is added to the scores. Both may be given.
  TensorId mask = kNoTensor;
  TensorId bias = kNoTensor;
  /// (B, kv_heads, past, D) and (.., Dv): stand before k and v. Both or none.
  TensorId past_key = kNoTensor;
  TensorId past_value = kNoTensor;
  /// (B) whole numbers: how many of the keys there are, the queries' own, the last, among them. Not
  /// together with a past.
  TensorId key_counts = kNoTensor;
};

/// What AttentionResult::scores is.
enum class AttentionScores : uint8_t { none, product, capped, biased, probabilities };

using AttentionChange = std::function<Result<TensorId>(TensorId)>;

struct AttentionOptions {
  int64_t q_heads = 0;  // of packed inputs; a multiple of kv_heads, whose heads groups share
  int64_t kv_heads = 0;
  std::optional<double> scale;  // none: 1 / sqrt(D)
  double softcap = 0;           // above 0: scores become softcap * tanh(scores / softcap)
  /// Query i stands at key p = i + the number of keys before the first query's, or first_place, and
  /// sees keys j with p - left_window <= j <= p + right_window; -1: no limit. causal: j <= p.
  bool causal = false;
  int64_t left_window = -1;
  int64_t right_window = -1;
  std::optional<int64_t> first_place;
  std::optional<DType> softmax_dtype;  // none: q's; of the scores
  AttentionScores scores = AttentionScores::none;
  bool keeps_present = false;
  /// Make of the scores, masked ones, and of the probabilities others of the same shape and dtype.
  AttentionChange change_scores;
  AttentionChange change_probabilities;
};

struct AttentionResult {
  TensorId y = kNoTensor;            // as q, with Dv for D
  TensorId present_key = kNoTensor;  // (B, kv_heads, T, D), if it is kept
  TensorId present_value = kNoTensor;
  TensorId scores = kNoTensor;  // (B, q_heads, S, T) of q's dtype, or none
};

/// softmax(scale * q k' + mask) v. A query that sees no key gets zeros. Source: ONNX operator
/// schemas, Attention 23 to 25, with the errata of ONNX 1.23 (fully masked rows, the place of a
/// causal frontier before which there is a past).
Result<AttentionResult> attention(Graph& graph, std::string_view name,
                                  const AttentionInputs& inputs, const AttentionOptions& options);

/// a * sigmoid(alpha * a) * b of equal shapes.
Result<TensorId> swiglu(Graph& graph, std::string_view name, TensorId a, TensorId b, double alpha);

struct CausalConvResult {
  TensorId y = kNoTensor;        // (N, C, L)
  TensorId present = kNoTensor;  // (N, C, K - 1): the last of past and x
};

/// A convolution of each channel that looks back: x (N, C, L), w (C, 1, K), bias (C) and past
/// (N, C, K - 1) may be left out, the past being zeros then. Source: CausalConvWithState 27.
Result<CausalConvResult> causal_conv(Graph& graph, std::string_view name, TensorId x, TensorId w,
                                     TensorId bias, TensorId past, bool with_silu);

}  // namespace leat::ops
