// Rows of attention: each variant has other addresses, masks and shapes of its two products.
#include "leat/tensor/ops_attention.h"
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

constexpr int64_t kKeys = 21;

struct Variant {
  std::string name;
  bool packed = false;
  int64_t queries = 9, q_heads = 4, kv_heads = 4, past = 0;
  DType dtype = DType::f32;
  Shape mask = {}, bias = {};
  std::vector<double> counts = {};
  AttentionOptions options = {};
};

Result<TensorId> build(OpGraph& g, const Variant& v) {
  const auto heads = [&](int64_t count, int64_t length, int64_t size) {
    return v.packed ? g.feed({2, length, count * size}, v.dtype)
                    : g.feed({2, count, length, size}, v.dtype);
  };
  AttentionInputs inputs = {.q = heads(v.q_heads, v.queries, 8),
                            .k = heads(v.kv_heads, kKeys - v.past, 8),
                            .v = heads(v.kv_heads, kKeys - v.past, 12)};
  if (v.past > 0) {
    inputs.past_key = g.feed({2, v.kv_heads, v.past, 8}, v.dtype);
    inputs.past_value = g.feed({2, v.kv_heads, v.past, 12}, v.dtype);
  }
  if (!v.mask.empty()) inputs.mask = g.feed(v.mask, DType::boolean);
  if (!v.bias.empty()) inputs.bias = g.feed(v.bias, v.dtype);
  if (!v.counts.empty()) inputs.key_counts = g.feed_values({2}, v.counts, DType::i64);
  AttentionOptions options = v.options;
  if (v.packed) options.q_heads = v.q_heads, options.kv_heads = v.kv_heads;
  TRY_ASSIGN(const AttentionResult result, attention(g.graph, "y", inputs, options));
  if (result.scores != kNoTensor) g.graph.outputs.push_back(result.scores);
  return result.y;
}

}  // namespace

void add_attention_cases(OpCases& cases) {
  const Variant variants[] = {
      {.name = "apart"},
      {.name = "packed_groups",
       .packed = true,
       .q_heads = 6,
       .kv_heads = 2,
       .options = {.causal = true}},
      {.name = "past_softcap",
       .packed = true,
       .past = 12,
       .options = {.softcap = 0.7, .causal = true}},
      {.name = "f16_f32",
       .dtype = DType::f16,
       .options = {.softmax_dtype = DType::f32, .scores = AttentionScores::probabilities}},
      {.name = "mask_and_bias",
       .mask = {2, 1, 1, kKeys},
       .bias = {4, 9, kKeys - 2},
       .options = {.scores = AttentionScores::capped}},
      {.name = "counts_window",
       .queries = 8,
       .q_heads = 8,
       .kv_heads = 2,
       .counts = {21, 3},
       .options = {.causal = true, .left_window = 5}},
      {.name = "one_query", .packed = true, .queries = 1, .past = 20},
  };
  for (const Variant& variant : variants) {
    const double tolerance = variant.dtype == DType::f16 ? kHalfRounding : sum_tolerance(kKeys);
    cases.push_back({"attention_" + variant.name,
                     [variant](OpGraph& g) { return build(g, variant); }, tolerance});
  }
  cases.push_back({"causal_conv", [](OpGraph& g) -> Result<TensorId> {
                     TRY_ASSIGN(const CausalConvResult result,
                                causal_conv(g.graph, "y", g.feed({2, 5, 9}), g.constant({5, 1, 4}),
                                            g.constant({5}), g.feed({2, 5, 3}), true));
                     g.graph.outputs.push_back(result.present);
                     return result.y;
                   }});
}

}  // namespace leat
