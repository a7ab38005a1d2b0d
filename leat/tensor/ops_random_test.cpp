// Random numbers: the generator against a plain one, whose words are those that its authors
// publish; what is drawn against the distributions' means and spreads.
#include "leat/tensor/ops_random.h"

#include <array>
#include <bit>
#include <cmath>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

using Four = std::array<uint32_t, 4>;

Four philox(Four counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xd2511f53} * counter[0];
    const uint64_t b = uint64_t{0xcd9e8d57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9e3779b9u, key[1] + 0xbb67ae85u};
  }
  return counter;
}

Four words_of(size_t number, uint64_t key) {
  return philox({static_cast<uint32_t>(number), 0, 0, 0},
                {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
}

TEST(Random, PhiloxIsThatOfItsAuthors) {
  // Source: Random123, kat_vectors, "philox4x32 10".
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Random, UniformIsTheGeneratorsWords) {
  constexpr uint64_t kKey = 0x123456789abcdef0;
  Probe probe;
  const Numbers narrow =
      probe.numbers(random_uniform(probe.graph, "", {3, 5}, {-1, 3}, {DType::f32, kKey}));
  const Numbers wide =
      probe.numbers(random_uniform(probe.graph, "", {15}, {0, 1}, {DType::f64, kKey}));
  for (size_t i = 0; i < 15; ++i) {
    const Four words = words_of(i, kKey);
    EXPECT_NEAR(narrow[i], (words[0] >> 8) * 0x1p-24 * 4 - 1, 1e-6);
    EXPECT_EQ(wide[i], ((words[0] >> 5) * 0x1p26 + (words[1] >> 6)) * 0x1p-53);
  }
}

struct Spread {
  double mean = 0;
  double deviation = 0;
};

Spread spread_of(const Numbers& values) {
  Spread spread;
  for (double value : values) spread.mean += value / static_cast<double>(values.size());
  for (double value : values) {
    spread.deviation += std::pow(value - spread.mean, 2) / static_cast<double>(values.size());
  }
  spread.deviation = std::sqrt(spread.deviation);
  return spread;
}

TEST(Random, NormalHasItsMeanAndDeviation) {
  Probe probe;
  const Numbers values =
      probe.numbers(random_normal(probe.graph, "", {10000}, {5, 2}, {DType::f32, 7}));
  const Spread spread = spread_of(values);
  EXPECT_NEAR(spread.mean, 5, 0.08);  // four of its deviations, 2 / 100
  EXPECT_NEAR(spread.deviation, 2, 0.06);
}

TEST(Random, KeysTellNodesApartAndSeedsAreTheirBits) {
  EXPECT_NE(random_key({}, "a"), random_key({}, "b"));
  EXPECT_EQ(random_key({}, "a"), random_key({}, "a"));
  EXPECT_EQ(random_key(1.5f, "a"), std::bit_cast<uint32_t>(1.5f));
}

TEST(Random, BernoulliFollowsItsChances) {
  Probe probe;
  Numbers chances(4000, 0.25);
  for (size_t i = 0; i < 1000; ++i) chances[i] = 0;
  for (size_t i = 1000; i < 2000; ++i) chances[i] = 1;
  const TensorId x = probe.feed({4000}, chances);
  const Numbers drawn = probe.numbers(bernoulli(probe.graph, "", x, {DType::i32, 3}));
  double hits = 0;
  for (size_t i = 0; i < 4000; ++i) {
    if (i < 2000) {
      EXPECT_EQ(drawn[i], i < 1000 ? 0 : 1);
    } else {
      hits += drawn[i];
    }
  }
  EXPECT_NEAR(hits / 2000, 0.25, 0.04);  // four deviations
}

TEST(Random, MultinomialFollowsItsClasses) {
  Probe probe;
  const double never = -std::numeric_limits<double>::infinity();
  const TensorId x =
      probe.feed({2, 4}, {std::log(1), never, std::log(3), never, never, 0, never, never});
  const auto drawn = multinomial(probe.graph, "", x, 2000, {DType::i64, 11});
  ASSERT_TRUE(drawn);
  EXPECT_EQ(probe.shape(*drawn), (Shape{2, 2000}));
  const Numbers classes = probe.numbers(*drawn);
  std::array<double, 4> counts = {};
  for (size_t i = 0; i < 2000; ++i) counts[static_cast<size_t>(classes[i])] += 1;
  EXPECT_EQ(counts[1] + counts[3], 0);
  EXPECT_NEAR(counts[2] / 2000, 0.75, 0.04);
  for (size_t i = 2000; i < 4000; ++i) EXPECT_EQ(classes[i], 1);
}

TEST(Random, DropoutScalesWhatItKeeps) {
  Probe probe;
  const Numbers values = Probe::noise({1000}, 5);
  const TensorId x = probe.feed({1000}, values);
  const auto result = dropout(probe.graph, "d", x, probe.constant({}, {0.75}), {.key = 9});
  ASSERT_TRUE(result);
  const Numbers y = probe.numbers(result->y), mask = probe.numbers(result->mask);
  double kept = 0;
  for (size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(y[i], mask[i] == 0 ? 0 : values[i] * 4);
    kept += mask[i];
  }
  EXPECT_NEAR(kept / 1000, 0.25, 0.06);
  const auto all = dropout(probe.graph, "", x, probe.feed({1}, {0}), {.key = 9});
  ASSERT_TRUE(all);
  EXPECT_EQ(probe.numbers(all->y), values);
}

TEST(Random, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId x = probe.feed({2, 2}, Numbers(4));
  const TensorId whole = probe.feed({2, 2}, Numbers(4), DType::i32);
  expect_error(random_uniform(probe.graph, "u", {2}, {}, {DType::i32, 0}), "(i32)");
  expect_error(random_normal(probe.graph, "n", {-1}, {}, {DType::f32, 0}), "-1");
  expect_error(bernoulli(probe.graph, "b", whole, {}), "not a float");
  expect_error(multinomial(probe.graph, "m", x, 0, {DType::i32, 0}), "(0)");
  expect_error(multinomial(probe.graph, "m", x, 3, {DType::f32, 0}), "(f32)");
  expect_error(dropout(probe.graph, "d", x, probe.constant({}, {1}), {}), "(1, ");
  expect_error(dropout(probe.graph, "d", x, x, {}), "(2, 2)");
}

}  // namespace
}  // namespace leat::ops
