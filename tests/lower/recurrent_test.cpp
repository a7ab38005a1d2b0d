// Programs along a sequence as lowered for several kinds of target: waves that share a state, units
// that are no multiple of the lanes, numbers that come with the launch.
#include <gtest/gtest.h>

#include "leat/tensor/ops_recurrent.h"
#include "tests/lower/interpreted_network.h"
#include "tests/lower/lowered_case.h"

namespace leat {
namespace {

using namespace testing;
using namespace ops;

struct Layer {
  RecurrentOptions options = {};
  int64_t units = 0;
  bool has_lengths = false;
};

/// Three batch elements, with an initial state.
Case layer_case(const Layer& layer) {
  const bool is_lstm = layer.options.cell == CellKind::lstm;
  const int64_t gates = is_lstm ? 4 : layer.options.cell == CellKind::gru ? 3 : 1;
  const int64_t directions = layer.options.direction == RecurrentDirection::bidirectional ? 2 : 1;
  Case test;
  test.terms = layer.units;
  Graph& g = test.graph;
  const auto feed = [&](const Shape& shape) {
    g.inputs.push_back(g.add_tensor("in", DType::f32, shape));
    test.inputs.push_back(random_tensor(shape, static_cast<uint32_t>(g.inputs.size())));
    return g.inputs.back();
  };
  const auto weights = [&](const Shape& shape) {
    HostTensor value = random_tensor(shape, static_cast<uint32_t>(g.tensors.size()));
    for (int64_t i = 0; i < element_count(shape); ++i) {
      value.set_number(i, value.number(i) / static_cast<double>(layer.units));
    }
    return g.add_constant("weights", value);
  };
  RecurrentInputs inputs = {.x = feed({5, 3, 4}),
                            .w = weights({directions, gates * layer.units, 4}),
                            .r = weights({directions, gates * layer.units, layer.units}),
                            .bias = weights({directions, 2 * gates * layer.units}),
                            .initial_h = feed({directions, 3, layer.units})};
  if (is_lstm) inputs.initial_c = feed({directions, 3, layer.units});
  if (layer.has_lengths) {
    HostTensor lengths = HostTensor::zeros(DType::i32, {3});
    for (int64_t n = 0; n < 3; ++n) lengths.set_integer(n, 5 - 2 * n);
    inputs.lengths = g.add_constant("lengths", lengths);
  }
  const RecurrentResult result = recurrent(g, "layer", inputs, layer.options).value();
  g.outputs = {result.y, result.y_h};
  if (is_lstm) g.outputs.push_back(result.y_c);
  return test;
}

TEST(Recurrent, WavesShareAState) {
  using enum CellKind;
  for (const int64_t units : {5, 70}) {
    for (const CellKind cell : {rnn, gru, lstm}) {
      for (const bool flag : {false, true}) {
        const Layer layer = {.options = {.cell = cell,
                                         .direction = flag ? RecurrentDirection::bidirectional
                                                           : RecurrentDirection::reverse,
                                         .linear_before_reset = cell == gru && flag},
                             .units = units,
                             .has_lengths = flag};
        check_on_all_targets(layer_case(layer), "cell " + std::to_string(static_cast<int>(cell)) +
                                                    ", units " + std::to_string(units) +
                                                    (flag ? ", both ways" : ""));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Recurrent, StateMustFitLocalMemory) {
  Target target = gpu_target(32);
  const Case test = layer_case({.options = {.cell = CellKind::lstm}, .units = 70});
  // Hidden states before and after a step, and cells, of 96 units in full waves.
  target.local_memory_bytes_max = 3 * 96 * 4;
  check(test, target, {}, "just enough");
  target.local_memory_bytes_max -= 1;
  const auto refused = run_interpreted(test.graph, target, {}, test.inputs, Openness::none);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().message().find("(1152) bytes"), std::string::npos)
      << refused.error().message();
}

TEST(LinearAttention, ColumnsGoAlongTheSequence) {
  for (const bool corrects : {false, true}) {
    Case test;
    test.terms = 40;
    Graph& g = test.graph;
    const auto feed = [&](const Shape& shape) {
      g.inputs.push_back(g.add_tensor("in", DType::f32, shape));
      test.inputs.push_back(random_tensor(shape, static_cast<uint32_t>(g.inputs.size())));
      return g.inputs.back();
    };
    LinearAttentionInputs inputs = {
        .q = feed({2, 4, 4 * 6}), .k = feed({2, 4, 2 * 6}), .v = feed({2, 4, 2 * 37})};
    if (corrects) {
      inputs.past = feed({2, 2, 6, 37});
      inputs.decay = feed({2, 4, 2});
      inputs.beta = feed({2, 4, 1});
    }
    const auto result = linear_attention(
        g, "y", inputs, {.q_heads = 4, .kv_heads = 2, .corrects = corrects, .scale = 0});
    ASSERT_TRUE(result.has_value()) << result.error().message();
    g.outputs = {result->y, result->present};
    check_on_all_targets(test, corrects ? "delta" : "linear");
  }
}

}  // namespace
}  // namespace leat
