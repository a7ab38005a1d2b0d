// Attention beside sums over the keys written plainly, for heads apart and packed.
#include "leat/tensor/ops_attention.h"

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr int64_t kBatch = 2, kQueries = 3, kSize = 4, kValueSize = 5;

struct Case {
  bool packed = false;
  int64_t q_heads = 2, kv_heads = 2;
  int64_t own = 5, past = 0;
  Shape mask = {};  // bool
  Shape bias = {};  // float
  Numbers counts = {};
  AttentionOptions options = {};

  int64_t keys() const { return past + own; }
};

/// A small tensor and how its heads lie.
struct Rows {
  Numbers values;
  int64_t heads, length, size;
  bool packed;

  Shape shape() const {
    return packed ? Shape{kBatch, length, heads * size} : Shape{kBatch, heads, length, size};
  }
  double at(int64_t n, int64_t head, int64_t place, int64_t element) const {
    const int64_t outer =
        packed ? (n * length + place) * heads + head : (n * heads + head) * length + place;
    return values[static_cast<size_t>(outer * size + element)];
  }
};

Rows rows_of(int64_t heads, int64_t length, int64_t size, bool packed, uint32_t seed) {
  Rows rows = {{}, heads, length, size, packed};
  for (const double value : Probe::noise(rows.shape(), seed)) rows.values.push_back(value / 4);
  return rows;
}

/// The element that broadcasting finds; keys behind a short mask give `behind`.
double broadcast_at(const Shape& shape, const Numbers& values, const std::array<int64_t, 4>& at,
                    double behind) {
  if (shape.empty()) return 0;
  if (at[3] >= shape.back()) return behind;
  int64_t flat = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    flat = flat * shape[d] + (shape[d] == 1 ? 0 : at[4 - shape.size() + d]);
  }
  return values[static_cast<size_t>(flat)];
}

struct Computed {
  Numbers y, product, capped, biased, probabilities;
};

Computed computed(const Case& test, const Rows& q, const Rows& k, const Rows& v, const Rows& past_k,
                  const Rows& past_v, const Numbers& mask, const Numbers& bias) {
  Computed c;
  const AttentionOptions& options = test.options;
  const int64_t group = test.q_heads / test.kv_heads;
  const auto row = [&](const Rows& past, const Rows& own, int64_t n, int64_t h, int64_t j,
                       int64_t e) {
    return j < test.past ? past.at(n, h, j, e) : own.at(n, h, j - test.past, e);
  };
  const Rows y = {{}, test.q_heads, kQueries, kValueSize, test.packed};
  c.y.resize(static_cast<size_t>(element_count(y.shape())));
  for (int64_t n = 0; n < kBatch; ++n) {
    for (int64_t h = 0; h < test.q_heads; ++h) {
      for (int64_t i = 0; i < kQueries; ++i) {
        const int64_t count = test.counts.empty()
                                  ? test.keys()
                                  : static_cast<int64_t>(test.counts[static_cast<size_t>(n)]);
        const int64_t here = i + (test.counts.empty() ? test.past : count - kQueries);
        Numbers weights;
        double sum = 0;
        for (int64_t j = 0; j < test.keys(); ++j) {
          double score = 0;
          for (int64_t e = 0; e < kSize; ++e) {
            score += q.at(n, h, i, e) * row(past_k, k, n, h / group, j, e);
          }
          score *= options.scale.value_or(0.5);  // 1 / sqrt(kSize)
          c.product.push_back(score);
          if (options.softcap > 0) score = options.softcap * std::tanh(score / options.softcap);
          c.capped.push_back(score);
          const bool is_seen =
              (test.mask.empty() || broadcast_at(test.mask, mask, {n, h, i, j}, 0) != 0) &&
              j < count && (!options.causal || j <= here) &&
              (options.left_window < 0 || here - options.left_window <= j) &&
              (options.right_window < 0 || j <= here + options.right_window);
          score += broadcast_at(test.bias, bias, {n, h, i, j}, -INFINITY);
          if (!is_seen) score = -INFINITY;
          c.biased.push_back(score);
          weights.push_back(std::exp(score));
          sum += weights.back();
        }
        for (int64_t j = 0; j < test.keys(); ++j) {
          const double weight = sum > 0 ? weights[static_cast<size_t>(j)] / sum : 0;
          c.probabilities.push_back(weight);
          for (int64_t e = 0; e < kValueSize; ++e) {
            const int64_t outer = test.packed ? (n * kQueries + i) * test.q_heads + h
                                              : (n * test.q_heads + h) * kQueries + i;
            c.y[static_cast<size_t>(outer * kValueSize + e)] +=
                weight * row(past_v, v, n, h / group, j, e);
          }
        }
      }
    }
  }
  return c;
}

void expect_attention(Case test) {
  Probe probe;
  const Rows q = rows_of(test.q_heads, kQueries, kSize, test.packed, 1);
  const Rows k = rows_of(test.kv_heads, test.own, kSize, test.packed, 2);
  const Rows v = rows_of(test.kv_heads, test.own, kValueSize, test.packed, 3);
  const Rows past_k = rows_of(test.kv_heads, test.past, kSize, false, 4);
  const Rows past_v = rows_of(test.kv_heads, test.past, kValueSize, false, 5);
  Numbers mask, bias;
  for (const double value : Probe::noise(test.mask, 6)) mask.push_back(value > -3 ? 1 : 0);
  for (const double value : Probe::noise(test.bias, 7)) bias.push_back(value / 4);
  AttentionInputs inputs = {.q = probe.feed(q.shape(), q.values),
                            .k = probe.feed(k.shape(), k.values),
                            .v = probe.feed(v.shape(), v.values)};
  if (!test.mask.empty()) inputs.mask = probe.feed(test.mask, mask, DType::boolean);
  if (!test.bias.empty()) inputs.bias = probe.feed(test.bias, bias);
  if (test.past > 0) {
    inputs.past_key = probe.feed(past_k.shape(), past_k.values);
    inputs.past_value = probe.feed(past_v.shape(), past_v.values);
  }
  if (!test.counts.empty()) inputs.key_counts = probe.feed({kBatch}, test.counts, DType::i64);
  if (test.packed) {
    test.options.q_heads = test.q_heads;
    test.options.kv_heads = test.kv_heads;
  }
  const Computed want = computed(test, q, k, v, past_k, past_v, mask, bias);
  using enum AttentionScores;
  const std::pair<AttentionScores, const Numbers*> modes[] = {{none, nullptr},
                                                              {product, &want.product},
                                                              {capped, &want.capped},
                                                              {biased, &want.biased},
                                                              {probabilities, &want.probabilities}};
  for (const auto& [mode, scores] : modes) {
    SCOPED_TRACE(static_cast<int>(mode));
    test.options.scores = mode;
    const auto result = attention(probe.graph, "", inputs, test.options);
    ASSERT_TRUE(result) << result.error().message();
    expect_close(probe.numbers(result->y), want.y, 4 * kRounding);
    if (scores != nullptr) expect_close(probe.numbers(result->scores), *scores, 4 * kRounding);
  }
}

TEST(Attention, EqualsItsSums) {
  for (const bool packed : {false, true}) {
    SCOPED_TRACE(packed);
    expect_attention({.packed = packed});
    expect_attention({.packed = packed, .q_heads = 6, .options = {.scale = 0.1, .softcap = 0.5}});
    expect_attention(
        {.packed = packed, .q_heads = 4, .kv_heads = 1, .past = 4, .options = {.causal = true}});
    expect_attention({.packed = packed, .options = {.left_window = 1, .right_window = 0}});
    expect_attention({.packed = packed, .own = 1, .past = 6, .options = {.left_window = 2}});
  }
}

TEST(Attention, HasMasks) {
  for (const Shape& shape : {Shape{5}, Shape{3, 5}, Shape{2, 1, 5}, Shape{2, 2, 3, 5},
                             Shape{2, 1, 1, 5}, Shape{3, 4}, Shape{1, 1, 1, 1}}) {
    SCOPED_TRACE(to_string(shape));
    expect_attention({.mask = shape});
    expect_attention({.bias = shape, .options = {.causal = true}});
    expect_attention({.mask = shape, .bias = {3, 5}});
  }
}

/// A count below that of the queries leaves the first ones without a key.
TEST(Attention, KnowsHowManyKeysThereAre) {
  for (const bool causal : {false, true}) {
    expect_attention({.counts = {5, 2}, .options = {.causal = causal}});
    expect_attention({.counts = {0, 4}, .options = {.causal = causal, .left_window = 1}});
  }
}

TEST(Attention, TakesQueriesAndKeysThatLieOtherwise) {
  Probe probe;
  const Numbers q = Probe::noise({2, 3, 4}, 1), k = Probe::noise({2, 2, 5, 2}, 2);
  const TensorId apart = probe.feed({2, 2, 5, 2}, k);
  const TensorId packed = probe.feed({2, 3, 4}, q);
  const auto turned = transpose(probe.graph, "", apart, {0, 2, 1, 3});
  ASSERT_TRUE(turned);
  const auto rows = reshape(probe.graph, "", *turned, {2, 5, 4});
  ASSERT_TRUE(rows);
  const AttentionOptions options = {.q_heads = 2, .kv_heads = 2, .causal = true, .first_place = 1};
  const auto mixed = attention(probe.graph, "", {.q = packed, .k = apart, .v = apart}, options);
  const auto alike = attention(probe.graph, "", {.q = packed, .k = *rows, .v = *rows}, options);
  ASSERT_TRUE(mixed) << mixed.error().message();
  ASSERT_TRUE(alike) << alike.error().message();
  EXPECT_EQ(probe.numbers(mixed->y), probe.numbers(alike->y));
}

TEST(Attention, KeepsThePresent) {
  Probe probe;
  const Shape shape = {1, 2, 2};
  const TensorId x = probe.feed(shape, {1, 2, 3, 4});
  const TensorId past = probe.feed({1, 2, 1, 1}, {8, 9});
  const AttentionOptions options = {.q_heads = 2, .kv_heads = 2, .keeps_present = true};
  const auto result = attention(
      probe.graph, "", {.q = x, .k = x, .v = x, .past_key = past, .past_value = past}, options);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(probe.shape(result->present_key), (Shape{1, 2, 3, 1}));
  EXPECT_EQ(probe.numbers(result->present_key), (Numbers{8, 1, 3, 9, 2, 4}));
  EXPECT_EQ(probe.numbers(result->present_value), (Numbers{8, 1, 3, 9, 2, 4}));
}

TEST(Attention, RefusesWhatDoesNotFit) {
  Probe probe;
  const auto zeros = [&](const Shape& shape, DType dtype = DType::f32) {
    return probe.feed(shape, Numbers(static_cast<size_t>(element_count(shape))), dtype);
  };
  const TensorId x = zeros({1, 2, 3, 4}), packed = zeros({1, 3, 4});
  const auto made = [&](AttentionInputs inputs, const AttentionOptions& options) {
    if (inputs.k == kNoTensor) inputs.k = inputs.v = inputs.q;
    return attention(probe.graph, "a", inputs, options);
  };
  expect_error(made({.q = zeros({3, 4})}, {}), "(3, 4)");
  expect_error(made({.q = packed}, {}), "0 heads");
  expect_error(made({.q = packed}, {.q_heads = 2, .kv_heads = 3}), "3 heads");
  expect_error(made({.q = x, .k = packed, .v = packed}, {}), "0 heads");
  expect_error(made({.q = x}, {.first_place = -1}), "(-1)");
  expect_error(made({.q = x, .k = zeros({1, 2, 3, 5}), .v = x}, {}), "(1, 2, 3, 5)");
  expect_error(made({.q = x, .k = zeros({1, 2, 0, 4}), .v = zeros({1, 2, 0, 4})}, {}), "no key");
  expect_error(made({.q = x, .mask = zeros({4, 3})}, {}), "(4, 3)");
  expect_error(made({.q = x, .mask = zeros({3, 3}, DType::i32)}, {}), "i32");
  expect_error(made({.q = x, .past_key = x}, {}), "missing");
  expect_error(made({.q = x, .past_key = packed, .past_value = packed}, {}), "(1, 3, 4)");
  expect_error(made({.q = x, .key_counts = zeros({2}, DType::i64)}, {}), "(2)");
  expect_error(
      made({.q = x, .past_key = x, .past_value = x, .key_counts = zeros({1}, DType::i64)}, {}),
      "exclude");
  expect_error(made({.q = x}, {.softcap = -1}), "(-1)");
  expect_error(made({.q = x}, {.left_window = -2}), "-2");
}

TEST(SwiGlu, IsAGate) {
  Probe probe;
  const TensorId a = probe.feed({2}, {1, -2}), b = probe.feed({2}, {3, 4});
  expect_close(probe.numbers(swiglu(probe.graph, "y", a, b, 0.5)),
               {3 / (1 + std::exp(-0.5)), -8 / (1 + std::exp(1.0))}, kRounding);
  expect_error(swiglu(probe.graph, "y", a, probe.feed({1}, {3}), 1), "differ");
}

TEST(CausalConv, LooksBack) {
  for (const bool has_past : {false, true}) {
    Probe probe;
    const TensorId x = probe.feed({1, 2, 3}, {1, 2, 3, 4, 5, 6});
    const TensorId w = probe.constant({2, 1, 3}, {1, 10, 100, 1, 0, 0});
    const TensorId bias = probe.constant({2}, {0.5, 0});
    const TensorId past = has_past ? probe.feed({1, 2, 2}, {7, 8, 9, -1}) : kNoTensor;
    const auto result = causal_conv(probe.graph, "y", x, w, bias, past, false);
    ASSERT_TRUE(result) << result.error().message();
    const Numbers want =
        has_past ? Numbers{187.5, 218.5, 321.5, 9, -1, 4} : Numbers{100.5, 210.5, 321.5, 0, 0, 4};
    EXPECT_EQ(probe.numbers(result->y), want);
    EXPECT_EQ(probe.numbers(result->present), (Numbers{2, 3, 5, 6}));
    const auto gated = causal_conv(probe.graph, "z", x, w, bias, past, true);
    ASSERT_TRUE(gated) << gated.error().message();
    expect_close({probe.numbers(gated->y)[5]}, {4 / (1 + std::exp(-4.0))}, kRounding);
    expect_error(causal_conv(probe.graph, "y", x, bias, bias, past, false), "(2)");
    expect_error(causal_conv(probe.graph, "y", x, w, bias, x, false), "(1, 2, 2)");
  }
}

}  // namespace
}  // namespace leat::ops
