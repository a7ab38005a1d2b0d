// Steps of training, against the formulas of the operators' pseudo code.
#include "leat/tensor/ops_optimizer.h"

#include <cmath>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

const Numbers kX = {1.2, -2.8}, kGradient = {-0.94, 2.5}, kMean = {1.7, 3.6}, kSquares = {0.1, 4};

OptimizerInputs inputs_of(Probe& probe, int64_t count) {
  return {.rate = probe.feed({}, {0.1}),
          .count = probe.feed({}, {static_cast<double>(count)}, DType::i64),
          .x = probe.feed({2}, kX),
          .gradient = probe.feed({2}, kGradient),
          .momentum = probe.feed({2}, kMean),
          .squares = probe.feed({2}, kSquares)};
}

TEST(Optimizers, Adagrad) {
  for (int64_t count : {0, 7}) {
    Probe probe;
    const auto step = adagrad(probe.graph, "", inputs_of(probe, count), {0.01, 0.2, 1e-5});
    ASSERT_TRUE(step);
    Numbers x, squares;
    for (size_t i = 0; i < 2; ++i) {
      const double slope = 0.01 * kX[i] + kGradient[i];
      squares.push_back(kSquares[i] + slope * slope);
      const double rate = 0.1 / (1 + static_cast<double>(count) * 0.2);
      x.push_back(kX[i] - rate * slope / (std::sqrt(squares[i]) + 1e-5));
    }
    expect_close(probe.numbers(step->x), x, kRounding);
    expect_close(probe.numbers(step->squares), squares, kRounding);
  }
}

TEST(Optimizers, Adam) {
  for (int64_t count : {0, 7}) {
    Probe probe;
    const AdamOptions options = {
        .norm = 0.01, .norm_post = 0.1, .alpha = 0.9, .beta = 0.99, .epsilon = 1e-5};
    const auto step = adam(probe.graph, "", inputs_of(probe, count), options);
    ASSERT_TRUE(step);
    Numbers x, means, squares;
    for (size_t i = 0; i < 2; ++i) {
      const double slope = 0.01 * kX[i] + kGradient[i], t = static_cast<double>(count);
      means.push_back(0.9 * kMean[i] + 0.1 * slope);
      squares.push_back(0.99 * kSquares[i] + 0.01 * slope * slope);
      const double correction =
          count > 0 ? std::sqrt(1 - std::pow(0.99, t)) / (1 - std::pow(0.9, t)) : 1;
      x.push_back(0.9 * (kX[i] - 0.1 * correction * means[i] / (std::sqrt(squares[i]) + 1e-5)));
    }
    expect_close(probe.numbers(step->x), x, 5e-6);  // pow of a device function
    expect_close(probe.numbers(step->momentum), means, kRounding);
    expect_close(probe.numbers(step->squares), squares, kRounding);
  }
}

TEST(Optimizers, Momentum) {
  for (int64_t count : {0, 3}) {
    for (bool nesterov : {false, true}) {
      Probe probe;
      const auto step =
          momentum(probe.graph, "", inputs_of(probe, count), {0.01, 0.95, 0.5, nesterov});
      ASSERT_TRUE(step);
      Numbers x, means;
      for (size_t i = 0; i < 2; ++i) {
        const double slope = 0.01 * kX[i] + kGradient[i];
        means.push_back(0.95 * kMean[i] + (count > 0 ? 0.5 : 1) * slope);
        x.push_back(kX[i] - 0.1 * (nesterov ? slope + 0.95 * means[i] : means[i]));
      }
      expect_close(probe.numbers(step->x), x, kRounding);
      expect_close(probe.numbers(step->momentum), means, kRounding);
    }
  }
}

TEST(Optimizers, RefuseWhatDoesNotFit) {
  Probe probe;
  OptimizerInputs inputs = inputs_of(probe, 0);
  inputs.gradient = probe.feed({3}, Numbers(3));
  expect_error(adam(probe.graph, "a", inputs, {}), "(3)");
  inputs = inputs_of(probe, 0);
  inputs.count = inputs.rate;
  expect_error(momentum(probe.graph, "m", inputs, {}), "f32");
  inputs = inputs_of(probe, 0);
  inputs.rate = inputs.x;
  expect_error(adagrad(probe.graph, "a", inputs, {}), "(2)");
}

}  // namespace
}  // namespace leat::ops
