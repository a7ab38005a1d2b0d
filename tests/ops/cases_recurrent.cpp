// Rows of layers along a sequence: one workgroup for each, with its state in local memory.
#include "leat/tensor/ops_recurrent.h"
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

struct Variant {
  std::string name;
  RecurrentOptions options;
  int64_t steps = 7, batch = 3, features = 6, units = 21;
  bool has_state = false;
  bool has_lengths = false;
  DType dtype = DType::f32;
};

Result<TensorId> build(OpGraph& g, const Variant& v) {
  const bool is_lstm = v.options.cell == CellKind::lstm;
  const int64_t gates = is_lstm ? 4 : v.options.cell == CellKind::gru ? 3 : 1;
  const int64_t directions = v.options.direction == RecurrentDirection::bidirectional ? 2 : 1;
  const Shape state = v.options.batch_first ? Shape{v.batch, directions, v.units}
                                            : Shape{directions, v.batch, v.units};
  RecurrentInputs inputs;
  inputs.x = g.feed(v.options.batch_first ? Shape{v.batch, v.steps, v.features}
                                          : Shape{v.steps, v.batch, v.features},
                    v.dtype);
  inputs.w = g.constant({directions, gates * v.units, v.features}, v.dtype, -0.4, 0.4);
  inputs.r = g.constant({directions, gates * v.units, v.units}, v.dtype, -0.2, 0.2);
  inputs.bias = g.constant({directions, 2 * gates * v.units}, v.dtype, -0.2, 0.2);
  if (v.has_state) inputs.initial_h = g.feed(state, v.dtype);
  if (v.has_state && is_lstm) {
    inputs.initial_c = g.feed(state, v.dtype);
    inputs.peepholes = g.constant({directions, 3 * v.units}, v.dtype);
  }
  if (v.has_lengths) inputs.lengths = g.feed_whole({v.batch}, {7, 0, 3}, DType::i32);
  TRY_ASSIGN(const RecurrentResult result, recurrent(g.graph, "y", inputs, v.options));
  g.graph.outputs.push_back(result.y_h);
  if (is_lstm) g.graph.outputs.push_back(result.y_c);
  return result.y;
}

Result<TensorId> build_linear(OpGraph& g, bool has_state, int64_t q_heads) {
  LinearAttentionInputs inputs;
  inputs.q = g.feed({2, 5, q_heads * 12});
  inputs.k = g.feed({2, 5, 2 * 12}, DType::f32, -0.4, 0.4);
  inputs.v = g.feed({2, 5, 2 * 19});
  if (has_state) {
    inputs.past = g.feed({2, 2, 12, 19});
    inputs.decay = g.feed({2, 5, 24}, DType::f32, -1, 0);
    inputs.beta = g.feed({2, 5, 2}, DType::f32, 0, 1);
  }
  const LinearAttention options = {
      .q_heads = q_heads, .kv_heads = 2, .corrects = has_state, .scale = 0};
  TRY_ASSIGN(const LinearAttentionResult result, linear_attention(g.graph, "y", inputs, options));
  g.graph.outputs.push_back(result.present);
  return result.y;
}

}  // namespace

void add_recurrent_cases(OpCases& cases) {
  using enum RecurrentDirection;
  const CellActivation hard = {CellFunction::hard_sigmoid, 0.3, 0.4};
  const CellActivation softsign = {CellFunction::softsign}, softplus = {CellFunction::softplus};
  const CellActivation elu = {CellFunction::elu, 0.7}, leaky = {CellFunction::leaky_relu, 0.1};
  const CellActivation affine = {CellFunction::affine, 0.5, 0.1};
  const CellActivation kept = {CellFunction::thresholded_relu, 0.1};
  const Variant variants[] = {
      {.name = "lstm", .options = {.cell = CellKind::lstm}},
      {.name = "lstm_wide", .options = {.cell = CellKind::lstm}, .batch = 1, .units = 300},
      {.name = "lstm_both_ways_state",
       .options = {.cell = CellKind::lstm,
                   .direction = bidirectional,
                   .batch_first = true,
                   .activations = {hard, softsign, elu, leaky, affine, softplus}},
       .has_state = true,
       .has_lengths = true},
      {.name = "lstm_f16",
       .options = {.cell = CellKind::lstm, .input_forget = true, .clip = 0.5},
       .dtype = DType::f16},
      {.name = "gru", .options = {.cell = CellKind::gru, .direction = reverse}, .units = 40},
      {.name = "gru_linear_state",
       .options = {.cell = CellKind::gru, .linear_before_reset = true},
       .has_state = true,
       .has_lengths = true},
      {.name = "rnn",
       .options = {.cell = CellKind::rnn,
                   .direction = bidirectional,
                   .activations = {{CellFunction::tanh}, kept}}},
      {.name = "rnn_f64", .options = {.cell = CellKind::rnn}, .dtype = DType::f64},
  };
  for (const Variant& variant : variants) {
    const double tolerance =
        variant.dtype == DType::f16 ? kHalfRounding : sum_tolerance(variant.units);
    cases.push_back({"recurrent_" + variant.name,
                     [variant](OpGraph& g) { return build(g, variant); }, tolerance});
  }
  cases.push_back({"linear_attention_zero_state",
                   [](OpGraph& g) { return build_linear(g, false, 2); }, sum_tolerance(60)});
  cases.push_back({"linear_attention_delta_state",
                   [](OpGraph& g) { return build_linear(g, true, 6); }, sum_tolerance(60)});
}

}  // namespace leat
