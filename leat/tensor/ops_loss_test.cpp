// Losses against plain loops over the points.
#include "leat/tensor/ops_loss.h"

#include <cmath>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr size_t kBatch = 2, kClasses = 3, kPoints = 4;

/// What each point loses and weighs.
struct Points {
  Numbers losses;
  Numbers weights;
};

Points points_of(const Numbers& log_chances, const Numbers& target, const Numbers& weights,
                 int64_t ignored) {
  Points points;
  for (size_t i = 0; i < kBatch * kPoints; ++i) {
    const auto chosen = static_cast<int64_t>(target[i]);
    const bool counts = chosen != ignored && chosen >= 0 && chosen < int64_t{kClasses};
    const size_t c = counts ? static_cast<size_t>(chosen) : 0;
    const double weight = counts ? weights[c] : 0;
    const size_t at = (i / kPoints * kClasses + c) * kPoints + i % kPoints;
    points.weights.push_back(weight);
    points.losses.push_back(-log_chances[at] * weight);
  }
  return points;
}

double sum_of(const Numbers& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum;
}

TEST(Loss, LogLikelihoodOfAllReductions) {
  const Shape shape = {kBatch, kClasses, 2, 2};
  const Numbers x = Probe::noise(shape, 3), weights = {0.5, 2, 1};
  const Numbers target = {0, 1, 2, 2, -1, 1, 0, 7};  // -1 and 7 name no class
  for (bool is_weighted : {false, true}) {
    for (int64_t ignored : {int64_t{-100}, int64_t{1}}) {
      Probe probe;
      const TensorId at = probe.feed({kBatch, 2, 2}, target, DType::i64);
      const TensorId scores = probe.feed(shape, x);
      const TensorId w = is_weighted ? probe.feed({kClasses}, weights) : kNoTensor;
      const Points points = points_of(x, target, is_weighted ? weights : Numbers{1, 1, 1}, ignored);
      const auto loss = [&](LossReduction reduction) {
        return probe.numbers(
            negative_log_likelihood(probe.graph, "", scores, at, w, {reduction, ignored}));
      };
      expect_close(loss(LossReduction::none), points.losses, kRounding);
      expect_close(loss(LossReduction::sum), {sum_of(points.losses)}, kRounding);
      expect_close(loss(LossReduction::mean), {sum_of(points.losses) / sum_of(points.weights)},
                   kRounding);
    }
  }
}

TEST(Loss, WhatIsIgnoredMayBeBeyondTheTargetsType) {
  Probe probe;
  const TensorId scores = probe.feed({2, 2}, {1, 2, 3, 4});
  const TensorId target = probe.feed({2}, {0, 1}, DType::i32);
  for (const int64_t ignored : {int64_t{1} << 32, (int64_t{1} << 32) + 1}) {
    const auto loss = negative_log_likelihood(probe.graph, "", scores, target, kNoTensor,
                                              {LossReduction::none, ignored});
    EXPECT_EQ(probe.numbers(loss), (Numbers{-1, -4}));
  }
  probe.expect_constants_fit();
}

TEST(Loss, CrossEntropyIsThatOfTheLogSoftMax) {
  const Numbers x = {1, 2, 3, 0, 0, 0};
  Probe probe;
  const TensorId scores = probe.feed({2, 3}, x);
  const TensorId target = probe.feed({2}, {2, 0}, DType::i32);
  const auto result =
      softmax_cross_entropy(probe.graph, "", scores, target, kNoTensor, LossOptions());
  ASSERT_TRUE(result);
  const double first = std::log(std::exp(1) + std::exp(2) + std::exp(3));
  expect_close(probe.numbers(result->loss), {(first - 3 + std::log(3)) / 2}, kRounding);
  expect_close(probe.numbers(result->log_chances),
               {1 - first, 2 - first, 3 - first, -std::log(3), -std::log(3), -std::log(3)},
               kRounding);
}

TEST(Loss, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId scores = probe.feed({2, 3}, Numbers(6));
  const TensorId target = probe.feed({3}, Numbers(3), DType::i32);
  const auto loss = [&](TensorId x, TensorId t, TensorId w) {
    return negative_log_likelihood(probe.graph, "n", x, t, w, LossOptions());
  };
  expect_error(loss(scores, target, kNoTensor), "(2, 3)");
  expect_error(loss(scores, probe.feed({2}, Numbers(2)), kNoTensor), "f32");
  const TensorId fits = probe.feed({2}, Numbers(2), DType::i32);
  expect_error(loss(scores, fits, probe.feed({2}, Numbers(2))), "(3)");
  expect_error(loss(fits, fits, kNoTensor), "not a float");
  expect_error(softmax_cross_entropy(probe.graph, "s", probe.feed({2}, Numbers(2)), fits, kNoTensor,
                                     LossOptions()),
               "no classes");
}

}  // namespace
}  // namespace leat::ops
