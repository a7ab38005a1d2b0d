// Normalisations against a plain two-pass computation over groups of elements.
#include <cmath>

#include "leat/tensor/ops_norm_training.h"
#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr double kEpsilon = 1e-3;

/// Normalises runs of `length` consecutive values.
Numbers normalised(Numbers x, size_t length, double epsilon) {
  for (size_t first = 0; first < x.size(); first += length) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < length; ++i) mean += x[first + i] / static_cast<double>(length);
    for (size_t i = 0; i < length; ++i) {
      variance += std::pow(x[first + i] - mean, 2) / static_cast<double>(length);
    }
    for (size_t i = 0; i < length; ++i) {
      x[first + i] = (x[first + i] - mean) / std::sqrt(variance + epsilon);
    }
  }
  return x;
}

TEST(BatchNorm, ScalesEachChannelAndFoldsItsConstants) {
  const Numbers x = Probe::noise({2, 3, 2}, 2);
  const Numbers scale = {1, 2, -1}, bias = {0.5, 0, 3}, mean = {1, -2, 0}, variance = {4, 1, 9};
  Probe probe;
  const TensorId t = probe.feed({2, 3, 2}, x);
  const BatchNormInputs inputs = {probe.constant({3}, scale), probe.constant({3}, bias),
                                  probe.constant({3}, mean), probe.constant({3}, variance)};
  Numbers expected;
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i / 2 % 3;
    expected.push_back((x[i] - mean[c]) / std::sqrt(variance[c] + kEpsilon) * scale[c] + bias[c]);
  }
  expect_close(probe.numbers(batch_norm(probe.graph, "bn", t, inputs, kEpsilon)), expected,
               kRounding);
  EXPECT_EQ(probe.graph.nodes.size(), 1u);
  const BatchNormInputs computed = {probe.feed({3}, scale), probe.feed({3}, bias),
                                    probe.feed({3}, mean), probe.feed({3}, variance)};
  expect_close(probe.numbers(batch_norm(probe.graph, "bn2", t, computed, kEpsilon)), expected,
               kRounding);
  BatchNormInputs wrong = computed;
  wrong.mean = probe.feed({2}, {1, 2});
  expect_error(batch_norm(probe.graph, "bn3", t, wrong), "(3)");
}

TEST(BatchNorm, TrainingTakesTheStatisticsOfTheBatch) {
  const Numbers x = Probe::noise({2, 2, 3}, 2), mean = {1, -2}, variance = {4, 1};
  Probe probe;
  const BatchNormInputs inputs = {probe.feed({2}, {1, 2}), probe.feed({2}, {0.5, 0}),
                                  probe.feed({2}, mean), probe.feed({2}, variance)};
  const auto trained = batch_norm_training(probe.graph, "bn", probe.feed({2, 2, 3}, x), inputs,
                                           {.epsilon = kEpsilon, .momentum = 0.75});
  ASSERT_TRUE(trained);
  Numbers y(x.size()), means, variances;
  for (size_t c = 0; c < 2; ++c) {
    Numbers channel;
    for (size_t i = 0; i < x.size(); ++i) {
      if (i / 3 % 2 == c) channel.push_back(x[i]);
    }
    double centre = 0, spread = 0;
    for (double value : channel) centre += value / 6;
    for (double value : channel) spread += std::pow(value - centre, 2) / 6;
    means.push_back(mean[c] * 0.75 + centre * 0.25);
    variances.push_back(variance[c] * 0.75 + spread * 0.25);
    const Numbers normal = normalised(channel, 6, kEpsilon);
    for (size_t i = 0, next = 0; i < x.size(); ++i) {
      if (i / 3 % 2 == c) y[i] = normal[next++] * (c == 0 ? 1 : 2) + (c == 0 ? 0.5 : 0);
    }
  }
  expect_close(probe.numbers(trained->y), y, kRounding);
  expect_close(probe.numbers(trained->mean), means, kRounding);
  expect_close(probe.numbers(trained->variance), variances, kRounding);
  expect_error(batch_norm_training(probe.graph, "bn", probe.feed({2, 3}, Numbers(6)), inputs, {}),
               "(3)");
}

TEST(InstanceNorm, NormalisesEachPlane) {
  const Numbers x = Probe::noise({2, 2, 3, 3}, 3);
  Probe probe;
  const TensorId t = probe.feed({2, 2, 3, 3}, x);
  Numbers expected = normalised(x, 9, kEpsilon);
  for (size_t i = 0; i < x.size(); ++i) {
    expected[i] = expected[i] * (i / 9 % 2 == 0 ? 2 : -1) + (i / 9 % 2 == 0 ? 1 : 5);
  }
  expect_close(probe.numbers(instance_norm(probe.graph, "", t, probe.feed({2}, {2, -1}),
                                           probe.feed({2}, {1, 5}), kEpsilon)),
               expected, kRounding);
}

TEST(InstanceNorm, LargeMeanKeepsItsDigits) {
  Probe probe;
  const TensorId t = probe.feed({1, 1, 4}, {10000, 10001, 10002, 10003});
  expect_close(probe.numbers(instance_norm(probe.graph, "", t, probe.feed({1}, {1}),
                                           probe.feed({1}, {0}), 0)),
               normalised({0, 1, 2, 3}, 4, 0), kRounding);
}

TEST(GroupNorm, PerChannelAndPerGroup) {
  const Numbers x = Probe::noise({2, 4, 3}, 5);
  Probe probe;
  const TensorId t = probe.feed({2, 4, 3}, x);
  const Numbers normal = normalised(x, 6, kEpsilon);
  const auto expected = [&](const Numbers& scale, size_t run) {
    Numbers out;
    for (size_t i = 0; i < x.size(); ++i) {
      out.push_back(normal[i] * scale[i / run % scale.size()] + scale[i / run % scale.size()]);
    }
    return out;
  };
  const Numbers channel = {1, 2, 3, 4}, group = {2, -3};
  const TensorId tc = probe.feed({4}, channel), tg = probe.feed({2}, group);
  expect_close(
      probe.numbers(group_norm(probe.graph, "", t, tc, tc, {.groups = 2, .epsilon = kEpsilon})),
      expected(channel, 3), kRounding);
  expect_close(probe.numbers(group_norm(probe.graph, "", t, tg, tg,
                                        {.groups = 2, .epsilon = kEpsilon, .per_group = true})),
               expected(group, 6), kRounding);
  expect_error(group_norm(probe.graph, "", t, tc, tc, {.groups = 3}), "(3)");
}

TEST(LayerNorm, GivesMeanAndDeviationToo) {
  const Numbers x = Probe::noise({2, 3, 4}, 8);
  Probe probe;
  const TensorId t = probe.feed({2, 3, 4}, x);
  const TensorId scale = probe.feed({4}, {1, 1, 1, 2}), bias = probe.feed({3, 1}, {0, 1, 0});
  const auto result = layer_norm(probe.graph, "ln", t, scale, bias, -1, kEpsilon);
  ASSERT_TRUE(result);
  Numbers expected = normalised(x, 4, kEpsilon);
  for (size_t i = 0; i < x.size(); ++i) {
    expected[i] = expected[i] * (i % 4 == 3 ? 2 : 1) + (i / 4 % 3 == 1 ? 1 : 0);
  }
  expect_close(probe.numbers(result->y), expected, kRounding);
  EXPECT_EQ(probe.shape(result->mean), (Shape{2, 3, 1}));
  EXPECT_NEAR(probe.numbers(result->mean)[0], (x[0] + x[1] + x[2] + x[3]) / 4, kRounding);
  EXPECT_EQ(probe.shape(result->inverse_deviation), (Shape{2, 3, 1}));
  const auto whole = layer_norm(probe.graph, "", t, probe.feed({1}, {1}), kNoTensor, 1, kEpsilon);
  ASSERT_TRUE(whole);
  expect_close(probe.numbers(whole->y), normalised(x, 12, kEpsilon), kRounding);
}

TEST(RmsNorm, DividesByTheRoot) {
  Probe probe;
  const TensorId t = probe.feed({1, 2}, {3, 4});
  const double root = std::sqrt(12.5);
  expect_close(probe.numbers(rms_norm(probe.graph, "", t, probe.feed({2}, {1, 2}), -1, 0)),
               {3 / root, 8 / root}, kRounding);
}

TEST(Lrn, SumsOverNeighbouringChannels) {
  const Numbers x = Probe::noise({2, 5, 2}, 9);
  const LrnOptions options = {.size = 4, .alpha = 0.5, .beta = 0.6, .bias = 2};
  Probe probe;
  Numbers expected;
  for (int n = 0; n < 2; ++n)
    for (int c = 0; c < 5; ++c)
      for (int i = 0; i < 2; ++i) {
        const auto at = [&](int channel) {
          return x[static_cast<size_t>((n * 5 + channel) * 2 + i)];
        };
        double sum = 0;
        for (int j = std::max(0, c - 1); j <= std::min(4, c + 2); ++j) sum += at(j) * at(j);
        expected.push_back(at(c) / std::pow(2 + 0.5 / 4 * sum, 0.6));
      }
  const TensorId t = probe.feed({2, 5, 2}, x);
  expect_close(probe.numbers(lrn(probe.graph, "", t, options)), expected, kRounding);
  const TensorId one = probe.feed({1, 1}, {16});
  expect_close(probe.numbers(lrn(probe.graph, "", one, {.size = 1, .alpha = 1, .bias = 0})),
               {16 / std::pow(256, 0.75)}, kRounding);
}

TEST(MeanVarianceNorm, OverGivenAxes) {
  const Numbers x = {1, 5, 2, 7, 3, 9, 4, 13};
  Probe probe;
  const TensorId t = probe.feed({2, 1, 2, 2}, x);
  expect_close(probe.numbers(mean_variance_norm(probe.graph, "", t, {0, 2, 3})),
               normalised(x, 8, 0), kRounding);
}

TEST(LpNorm, OneAndTwo) {
  Probe probe;
  const TensorId t = probe.feed({2, 2}, {3, 4, -6, 8});
  expect_close(probe.numbers(lp_norm(probe.graph, "", t, {})), {0.6, 0.8, -0.6, 0.8}, kRounding);
  expect_close(probe.numbers(lp_norm(probe.graph, "", t, {.axis = 0, .p = 1})),
               {1.0 / 3, 1.0 / 3, -2.0 / 3, 2.0 / 3}, kRounding);
  const TensorId zeros = probe.feed({2, 2}, {0, 0, 0, 1});
  EXPECT_EQ(probe.numbers(lp_norm(probe.graph, "", zeros, {})), (Numbers{0, 0, 0, 1}));
  expect_error(lp_norm(probe.graph, "", t, {.p = 3}), "(3)");
}

}  // namespace
}  // namespace leat::ops
