// Recurrent layers beside the equations of ONNX, written step by step.
#include "leat/tensor/ops_recurrent.h"

#include <functional>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr int64_t kSteps = 4, kBatch = 2, kFeatures = 3, kUnits = 5;

struct Case {
  RecurrentOptions options = {};
  bool has_bias = true;
  bool has_lengths = false;
  bool has_initial = true;
  bool has_peepholes = false;

  int64_t gates() const {
    return options.cell == CellKind::lstm ? 4 : options.cell == CellKind::gru ? 3 : 1;
  }
  int64_t directions() const {
    return options.direction == RecurrentDirection::bidirectional ? 2 : 1;
  }
};

/// A tensor that is read by its coordinates.
struct Values {
  Shape shape;
  Numbers numbers;

  double at(std::initializer_list<int64_t> place) const {
    if (numbers.empty()) return 0;
    int64_t flat = 0;
    size_t d = 0;
    for (const int64_t coordinate : place) flat = flat * shape[d++] + coordinate;
    return numbers[static_cast<size_t>(flat)];
  }
};

Values values_of(const Shape& shape, uint32_t seed, bool is_there = true) {
  Values values = {shape, {}};
  if (!is_there) return values;
  for (const double number : Probe::noise(shape, seed)) values.numbers.push_back(number / 16);
  return values;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Layer {
  Values x, w, r, bias, h, c, peepholes;
  Numbers lengths;
};

struct Outputs {
  Numbers y, h, c;
};

/// Shapes as without batch_first.
Outputs computed(const Case& test, const Layer& in) {
  using Activation = std::function<double(double)>;
  const auto named = [&](size_t number, double (*usual)(double)) -> Activation {
    if (number >= test.options.activations.size()) return usual;
    const CellActivation& a = test.options.activations[number];
    if (a.function == CellFunction::relu) return [](double v) { return std::max(v, 0.0); };
    if (a.function == CellFunction::scaled_tanh) {
      return [a](double v) { return a.alpha * std::tanh(a.beta * v); };
    }
    if (a.function == CellFunction::hard_sigmoid) {
      return [a](double v) { return std::clamp(a.alpha * v + a.beta, 0.0, 1.0); };
    }
    return usual;
  };
  const int64_t directions = test.directions(), gates = test.gates();
  Outputs out;
  out.y.assign(static_cast<size_t>(kSteps * directions * kBatch * kUnits), 0);
  for (int64_t d = 0; d < directions; ++d) {
    const size_t per = test.options.activations.size() / static_cast<size_t>(directions);
    const size_t first = per * static_cast<size_t>(d);
    const bool is_rnn = test.options.cell == CellKind::rnn;
    const auto clip = [&](double v) {
      const double bound = test.options.clip;
      return bound > 0 ? std::clamp(v, -bound, bound) : v;
    };
    const Activation f =
        named(first, is_rnn ? static_cast<double (*)(double)>(std::tanh) : sigmoid);
    const Activation g = named(first + 1, std::tanh);
    const Activation last = named(first + 2, std::tanh);
    const bool is_reverse = d == 1 || test.options.direction == RecurrentDirection::reverse;
    for (int64_t n = 0; n < kBatch; ++n) {
      Numbers h, c;
      for (int64_t u = 0; u < kUnits; ++u) {
        h.push_back(in.h.at({d, n, u}));
        c.push_back(in.c.at({d, n, u}));
      }
      const auto length =
          in.lengths.empty() ? kSteps : static_cast<int64_t>(in.lengths[static_cast<size_t>(n)]);
      for (int64_t step = 0; step < length; ++step) {
        const int64_t t = is_reverse ? length - 1 - step : step;
        const auto of_x = [&](int64_t gate, int64_t u) {
          double sum = in.bias.at({d, gate * kUnits + u});
          for (int64_t i = 0; i < kFeatures; ++i) {
            sum += in.x.at({t, n, i}) * in.w.at({d, gate * kUnits + u, i});
          }
          return sum;
        };
        const auto of_h = [&](int64_t gate, int64_t u, const Numbers& state) {
          double sum = in.bias.at({d, (gates + gate) * kUnits + u});
          for (int64_t k = 0; k < kUnits; ++k) {
            sum += state[static_cast<size_t>(k)] * in.r.at({d, gate * kUnits + u, k});
          }
          return sum;
        };
        Numbers next = h, next_c = c, scaled = h;
        for (int64_t u = 0; u < kUnits; ++u) {
          if (gates == 3) scaled[static_cast<size_t>(u)] *= f(clip(of_x(1, u) + of_h(1, u, h)));
        }
        for (int64_t u = 0; u < kUnits; ++u) {
          const auto at = static_cast<size_t>(u);
          if (is_rnn) next[at] = f(clip(of_x(0, u) + of_h(0, u, h)));
          if (gates == 3) {
            const double z = f(clip(of_x(0, u) + of_h(0, u, h)));
            const double reset = f(clip(of_x(1, u) + of_h(1, u, h)));
            const double product =
                test.options.linear_before_reset ? reset * of_h(2, u, h) : of_h(2, u, scaled);
            next[at] = (1 - z) * g(clip(of_x(2, u) + product)) + z * h[at];
          }
          if (gates != 4) continue;
          const auto peep = [&](int64_t gate) { return in.peepholes.at({d, gate * kUnits + u}); };
          const double i = f(clip(of_x(0, u) + of_h(0, u, h) + peep(0) * c[at]));
          const double forget = test.options.input_forget
                                    ? 1 - i
                                    : f(clip(of_x(2, u) + of_h(2, u, h) + peep(2) * c[at]));
          next_c[at] = forget * c[at] + i * g(clip(of_x(3, u) + of_h(3, u, h)));
          const double o = f(clip(of_x(1, u) + of_h(1, u, h) + peep(1) * next_c[at]));
          next[at] = o * last(next_c[at]);
        }
        h = next;
        c = next_c;
        for (int64_t u = 0; u < kUnits; ++u) {
          const int64_t flat = ((t * directions + d) * kBatch + n) * kUnits + u;
          out.y[static_cast<size_t>(flat)] = h[static_cast<size_t>(u)];
        }
      }
      if (length == 0) h = c = Numbers(kUnits);
      out.h.insert(out.h.end(), h.begin(), h.end());
      out.c.insert(out.c.end(), c.begin(), c.end());
    }
  }
  return out;
}

void expect_layer(Case test) {
  const int64_t d = test.directions(), rows = test.gates() * kUnits;
  const bool is_lstm = test.options.cell == CellKind::lstm;
  const Layer in = {.x = values_of({kSteps, kBatch, kFeatures}, 1),
                    .w = values_of({d, rows, kFeatures}, 2),
                    .r = values_of({d, rows, kUnits}, 3),
                    .bias = values_of({d, 2 * rows}, 4, test.has_bias),
                    .h = values_of({d, kBatch, kUnits}, 5, test.has_initial),
                    .c = values_of({d, kBatch, kUnits}, 6, test.has_initial && is_lstm),
                    .peepholes = values_of({d, 3 * kUnits}, 7, test.has_peepholes),
                    .lengths = test.has_lengths
                                   ? Numbers{4, static_cast<double>(test.has_initial ? 0 : 2)}
                                   : Numbers{}};
  const Outputs want = computed(test, in);
  Probe probe;
  const bool batch_first = test.options.batch_first;
  const auto fed = [&](const Values& values, bool turns) -> TensorId {
    if (values.numbers.empty()) return kNoTensor;
    const TensorId tensor = probe.feed(values.shape, values.numbers);
    if (!turns || !batch_first) return tensor;
    return *transpose(probe.graph, "", tensor, {1, 0, 2});
  };
  const RecurrentInputs inputs = {
      .x = fed(in.x, true),
      .w = fed(in.w, false),
      .r = fed(in.r, false),
      .bias = fed(in.bias, false),
      .lengths = test.has_lengths ? probe.feed({kBatch}, in.lengths, DType::i32) : kNoTensor,
      .initial_h = fed(in.h, true),
      .initial_c = fed(in.c, true),
      .peepholes = fed(in.peepholes, false)};
  const auto result = recurrent(probe.graph, "", inputs, test.options);
  ASSERT_TRUE(result) << result.error().message();
  const auto numbers = [&](TensorId tensor, const Ints& order) {
    return probe.numbers(batch_first ? transpose(probe.graph, "", tensor, order)
                                     : Result<TensorId>(tensor));
  };
  expect_close(numbers(result->y, {1, 2, 0, 3}), want.y, 4 * kRounding);
  expect_close(numbers(result->y_h, {1, 0, 2}), want.h, 4 * kRounding);
  if (is_lstm) expect_close(numbers(result->y_c, {1, 0, 2}), want.c, 4 * kRounding);
}

TEST(Recurrent, EqualsItsEquations) {
  using enum CellKind;
  for (const CellKind cell : {rnn, gru, lstm}) {
    for (const RecurrentDirection direction :
         {RecurrentDirection::forward, RecurrentDirection::reverse,
          RecurrentDirection::bidirectional}) {
      for (const bool flag : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << static_cast<int>(cell) << static_cast<int>(direction) << flag);
        expect_layer({.options = {.cell = cell,
                                  .direction = direction,
                                  .batch_first = flag,
                                  .linear_before_reset = cell == gru && flag,
                                  .input_forget = cell == lstm && flag},
                      .has_bias = flag,
                      .has_lengths = flag,
                      .has_initial = !flag,
                      .has_peepholes = cell == lstm && !flag});
      }
    }
  }
}

TEST(Recurrent, HasNoStateWhereThereIsNoStep) {
  for (const CellKind cell : {CellKind::rnn, CellKind::gru, CellKind::lstm}) {
    expect_layer({.options = {.cell = cell}, .has_lengths = true});
  }
}

TEST(Recurrent, HasOtherActivations) {
  const CellActivation hard = {CellFunction::hard_sigmoid, 0.3, 0.4};
  const CellActivation relu = {CellFunction::relu};
  const CellActivation scaled = {CellFunction::scaled_tanh, 1.5, 0.5};
  const CellActivation tanh = {CellFunction::tanh};
  const CellActivation sigmoid_like = {CellFunction::sigmoid};
  expect_layer({.options = {.cell = CellKind::rnn, .clip = 0.2, .activations = {relu}}});
  expect_layer({.options = {.cell = CellKind::gru,
                            .linear_before_reset = true,
                            .clip = 0.1,
                            .activations = {hard, relu}}});
  expect_layer({.options = {.cell = CellKind::lstm,
                            .direction = RecurrentDirection::bidirectional,
                            .clip = 0.1,
                            .activations = {hard, scaled, relu, sigmoid_like, tanh, tanh}},
                .has_peepholes = true});
}

TEST(Recurrent, RefusesWhatDoesNotFit) {
  Probe probe;
  const auto zeros = [&](const Shape& shape, DType dtype = DType::f32) {
    return probe.feed(shape, Numbers(static_cast<size_t>(element_count(shape))), dtype);
  };
  const TensorId x = zeros({4, 2, 3}), w = zeros({1, 5, 3}), r = zeros({1, 5, 5});
  const auto made = [&](const RecurrentInputs& inputs, const RecurrentOptions& options = {}) {
    return recurrent(probe.graph, "a", inputs, options);
  };
  EXPECT_TRUE(made({.x = x, .w = w, .r = r}));
  expect_error(made({.x = zeros({4, 3}), .w = w, .r = r}), "(4, 3)");
  expect_error(made({.x = zeros({0, 2, 3}), .w = w, .r = r}), "(0, 2, 3)");
  expect_error(made({.x = x, .w = r, .r = r}), "(1, 5, 3)");
  expect_error(made({.x = x, .w = w, .r = r}, {.cell = CellKind::gru}), "(1, 15, 3)");
  expect_error(made({.x = x, .w = w, .r = r}, {.direction = RecurrentDirection::bidirectional}),
               "(2, 5, 3)");
  expect_error(made({.x = x, .w = w, .r = r, .bias = zeros({1, 5})}), "(1, 10)");
  expect_error(made({.x = x, .w = w, .r = r, .lengths = zeros({2}, DType::i64)}), "i64");
  expect_error(made({.x = x, .w = w, .r = r, .initial_h = zeros({1, 5, 2})}), "(1, 2, 5)");
  expect_error(made({.x = x, .w = w, .r = r, .initial_c = zeros({1, 2, 5})}), "Only an LSTM");
  expect_error(made({.x = x, .w = w, .r = r}, {.clip = -1}), "(-1)");
  expect_error(made({.x = x, .w = w, .r = r}, {.activations = {{}, {}}}), "(2)");
}

// --- Linear attention ----------------------------------------------------------------------------

struct LinearCase {
  int64_t q_heads = 2, kv_heads = 2;
  bool corrects = false, has_past = false;
  int64_t decays = 0, betas = 0;  // columns; 0: none
};

void expect_linear(const LinearCase& test) {
  constexpr int64_t kSize = 3, kColumns = 4;
  const int64_t heads = test.kv_heads, group = test.q_heads / heads;
  const Values q = values_of({kBatch, kSteps, test.q_heads * kSize}, 1);
  const Values k = values_of({kBatch, kSteps, heads * kSize}, 2);
  const Values v = values_of({kBatch, kSteps, heads * kColumns}, 3);
  const Values past = values_of({kBatch, heads, kSize, kColumns}, 4, test.has_past);
  const Values decay = values_of({kBatch, kSteps, test.decays}, 5, test.decays > 0);
  const Values beta = values_of({kBatch, kSteps, test.betas}, 6, test.betas > 0);
  Numbers y(static_cast<size_t>(kBatch * kSteps * test.q_heads * kColumns)), present;
  for (int64_t n = 0; n < kBatch; ++n) {
    for (int64_t h = 0; h < heads; ++h) {
      Values state = {{kSize, kColumns}, Numbers(kSize * kColumns)};
      const auto cell = [&](int64_t i, int64_t e) -> double& {
        return state.numbers[static_cast<size_t>(i * kColumns + e)];
      };
      for (int64_t i = 0; i < kSize * kColumns; ++i) {
        cell(0, i) = past.at({n, h, i / kColumns, i % kColumns});
      }
      for (int64_t t = 0; t < kSteps; ++t) {
        for (int64_t i = 0; i < kSize; ++i) {
          const int64_t column = test.decays == heads ? h : h * kSize + i;
          for (int64_t e = 0; e < kColumns; ++e) cell(i, e) *= std::exp(decay.at({n, t, column}));
        }
        for (int64_t e = 0; e < kColumns; ++e) {
          double known = 0;
          for (int64_t i = 0; i < kSize; ++i) known += k.at({n, t, h * kSize + i}) * cell(i, e);
          double added = v.at({n, t, h * kColumns + e}) - (test.corrects ? known : 0);
          if (test.betas > 0) added *= beta.at({n, t, test.betas == 1 ? 0 : h});
          for (int64_t i = 0; i < kSize; ++i) cell(i, e) += k.at({n, t, h * kSize + i}) * added;
          for (int64_t j = h * group; j < (h + 1) * group; ++j) {
            double sum = 0;
            for (int64_t i = 0; i < kSize; ++i) sum += q.at({n, t, j * kSize + i}) * cell(i, e);
            const int64_t flat = ((n * kSteps + t) * test.q_heads + j) * kColumns + e;
            y[static_cast<size_t>(flat)] = sum / std::sqrt(static_cast<double>(kSize));
          }
        }
      }
      present.insert(present.end(), state.numbers.begin(), state.numbers.end());
    }
  }
  Probe probe;
  const auto fed = [&](const Values& values) {
    return values.numbers.empty() ? kNoTensor : probe.feed(values.shape, values.numbers);
  };
  const LinearAttentionInputs inputs = {.q = fed(q),
                                        .k = fed(k),
                                        .v = fed(v),
                                        .past = fed(past),
                                        .decay = fed(decay),
                                        .beta = fed(beta)};
  const auto result = linear_attention(
      probe.graph, "", inputs,
      {.q_heads = test.q_heads, .kv_heads = heads, .corrects = test.corrects, .scale = 0});
  ASSERT_TRUE(result) << result.error().message();
  expect_close(probe.numbers(result->y), y, 4 * kRounding);
  expect_close(probe.numbers(result->present), present, 4 * kRounding);
}

TEST(LinearAttention, EqualsItsRecurrence) {
  expect_linear({});
  expect_linear({.q_heads = 6, .has_past = true, .decays = 6});
  expect_linear({.corrects = true, .decays = 2, .betas = 2});
  expect_linear(
      {.q_heads = 4, .kv_heads = 1, .corrects = true, .has_past = true, .decays = 3, .betas = 1});
}

TEST(LinearAttention, RefusesWhatDoesNotFit) {
  Probe probe;
  const auto zeros = [&](const Shape& shape) {
    return probe.feed(shape, Numbers(static_cast<size_t>(element_count(shape))));
  };
  const TensorId x = zeros({1, 2, 4});
  const auto made = [&](const LinearAttentionInputs& inputs, const LinearAttention& options) {
    return linear_attention(probe.graph, "a", inputs, options);
  };
  EXPECT_TRUE(made({.q = x, .k = x, .v = x}, {}));
  expect_error(made({.q = x, .k = x, .v = x}, {.q_heads = 3}), "(3) heads");
  expect_error(made({.q = x, .k = x, .v = x}, {.q_heads = 2, .kv_heads = 0}), "(0)");
  expect_error(made({.q = x, .k = zeros({1, 2, 3}), .v = x}, {}), "(1, 2, 3)");
  expect_error(made({.q = x, .k = x, .v = x, .past = x}, {}), "(1, 1, 4, 4)");
  expect_error(made({.q = x, .k = x, .v = x, .decay = zeros({1, 2, 2})}, {}), "(1, 2, 2)");
  expect_error(made({.q = x, .k = x, .v = x, .beta = zeros({1, 3, 1})}, {}), "(1, 3, 1)");
  expect_error(made({.q = x, .k = x, .v = x, .decay = zeros({})}, {}), "The shape () of the decay");
  expect_error(made({.q = x, .k = x, .v = x, .beta = zeros({})}, {}), "The shape () of beta");
}

}  // namespace
}  // namespace leat::ops
