// Pooling against loops that mark every padded position, and small cases worked out by hand.
#include <cmath>
#include <limits>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(MaxPool, MatchesLoops) {
  const Shape shape = {2, 2, 7, 6};
  const Numbers x = Probe::noise(shape, 3);
  const Window window = {
      .kernel = {3, 2}, .strides = {2, 1}, .dilations = {1, 2}, .pads = {1, 0, 2, 1}};
  Numbers expected;
  for (int64_t plane = 0; plane < 4; ++plane)
    for (int64_t y = 0; y < 4; ++y)
      for (int64_t z = 0; z < 5; ++z) {
        double best = -kInfinity;
        for (int64_t i = 0; i < 3; ++i)
          for (int64_t j = 0; j < 2; ++j) {
            const int64_t row = 2 * y - 1 + i, column = z + 2 * j;
            if (row < 0 || row >= 7 || column >= 6) continue;
            best = std::fmax(best, x[static_cast<size_t>((plane * 7 + row) * 6 + column)]);
          }
        expected.push_back(best);
      }
  Probe probe;
  const auto y = max_pool(probe.graph, "pool", probe.feed(shape, x), window);
  EXPECT_EQ(probe.numbers(y), expected);
  EXPECT_EQ(probe.shape(*y), (Shape{2, 2, 4, 5}));
}

TEST(MaxPool, PassesOverNaN) {
  Probe probe;
  const double nan = std::nan("");
  const TensorId x = probe.feed({1, 1, 6}, {5, nan, 1, 2, nan, nan});
  EXPECT_EQ(probe.numbers(max_pool(probe.graph, "", x, {.kernel = {2}, .strides = {2}})),
            (Numbers{5, 2, -kInfinity}));
}

TEST(MaxPool, WholeNumbersBelowZeroBeatThePadding) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 2}, {-5, -3}, DType::i8);
  EXPECT_EQ(probe.numbers(max_pool(probe.graph, "", x, {.kernel = {2}, .pads = {1, 1}})),
            (Numbers{-5, -3, -3}));
}

TEST(MaxPool, CeilModeKeepsNoWindowThatStartsInTheEndPadding) {
  Probe probe;
  const TensorId x =
      probe.feed({1, 1, 4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  EXPECT_EQ(probe.numbers(max_pool(probe.graph, "", x,
                                   {.kernel = {3, 3}, .strides = {2, 2}, .ceil_mode = true})),
            (Numbers{11, 12, 15, 16}));
  const TensorId line = probe.feed({1, 1, 2}, {1, 2});
  const auto y = max_pool(probe.graph, "", line,
                          {.kernel = {1}, .strides = {2}, .pads = {0, 1}, .ceil_mode = true});
  EXPECT_EQ(probe.numbers(y), (Numbers{1}));
}

TEST(MaxPool, IndicesPointIntoTheWholeTensor) {
  Probe probe;
  const TensorId x = probe.feed({1, 2, 2, 3}, {1, 5, 2, 5, 3, 4, -1, -2, -3, -4, -5, -6});
  const Window window = {.kernel = {2, 2}};
  const auto pooled = max_pool(probe.graph, "pool", x, window);
  ASSERT_TRUE(pooled);
  EXPECT_EQ(probe.numbers(pooled), (Numbers{5, 5, -1, -2}));
  const auto indices = max_pool_indices(probe.graph, "indices", x, *pooled, window);
  EXPECT_EQ(probe.numbers(indices), (Numbers{1, 1, 6, 7}));
  EXPECT_EQ(probe.dtype(*indices), DType::i64);
  const TensorId y = probe.feed({1, 1, 2, 3}, {1, 2, 3, 4, 9, 6});
  const auto highest = max_pool(probe.graph, "", y, window);
  ASSERT_TRUE(highest);
  EXPECT_EQ(probe.numbers(max_pool_indices(probe.graph, "", y, *highest, window, true)),
            (Numbers{3, 3}));
}

TEST(AveragePool, CountsInsideOrWithPadding) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 4}, {2, 4, 6, 8});
  const Window window = {.kernel = {3}, .pads = {1, 1}};
  EXPECT_EQ(probe.numbers(average_pool(probe.graph, "", x, window)), (Numbers{3, 4, 6, 7}));
  expect_close(probe.numbers(average_pool(probe.graph, "", x, window, true)), {2, 4, 6, 14.0 / 3},
               kRounding);
}

TEST(AveragePool, CeilModeCountsNothingBeyondThePadding) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 4}, {2, 4, 6, 8});
  // Padded to 0 2 4 6 8 0; windows start at -1 and 2; the second reaches one past the padding.
  const Window window = {.kernel = {4}, .strides = {3}, .pads = {1, 1}, .ceil_mode = true};
  expect_close(probe.numbers(average_pool(probe.graph, "", x, window)), {4, 7}, kRounding);
  expect_close(probe.numbers(average_pool(probe.graph, "", x, window, true)), {3, 14.0 / 3},
               kRounding);
}

TEST(AveragePool, Dilations) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 5}, {1, 2, 3, 4, 5});
  const Window window = {.kernel = {2}, .dilations = {3}, .pads = {1, 0}};
  expect_close(probe.numbers(average_pool(probe.graph, "", x, window)), {3, 2.5, 3.5}, kRounding);
}

TEST(AveragePool, TwoDimensionsMultiplyTheirCounts) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 2, 2}, {4, 8, 12, 16});
  const Window window = {.kernel = {2, 2}, .pads = {1, 1, 0, 0}};
  EXPECT_EQ(probe.numbers(average_pool(probe.graph, "", x, window)), (Numbers{4, 6, 8, 10}));
}

TEST(LpPool, Powers) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 4}, {3, -4, 12, 5});
  const Window window = {.kernel = {2}, .strides = {2}};
  EXPECT_EQ(probe.numbers(lp_pool(probe.graph, "", x, window)), (Numbers{5, 13}));
  EXPECT_EQ(probe.numbers(lp_pool(probe.graph, "", x, window, 1)), (Numbers{7, 17}));
  expect_close(probe.numbers(lp_pool(probe.graph, "", x, window, 3)),
               {std::cbrt(27.0 + 64), std::cbrt(1728.0 + 125)}, kRounding);
}

TEST(GlobalPool, ReducesAllSpatialDimensions) {
  Probe probe;
  const TensorId x = probe.feed({1, 2, 2, 2}, {1, 2, 3, 6, -1, -2, -3, -6});
  const auto y = global_average_pool(probe.graph, "", x);
  EXPECT_EQ(probe.numbers(y), (Numbers{3, -3}));
  EXPECT_EQ(probe.shape(*y), (Shape{1, 2, 1, 1}));
  EXPECT_EQ(probe.numbers(global_max_pool(probe.graph, "", x)), (Numbers{6, -1}));
  expect_close(probe.numbers(global_lp_pool(probe.graph, "", x)),
               {std::sqrt(50.0), std::sqrt(50.0)}, kRounding);
}

TEST(Pool, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 4}, {1, 2, 3, 4});
  const TensorId flat = probe.feed({4, 4}, Probe::noise({4, 4}));
  expect_error(max_pool(probe.graph, "p", x, {}), "no kernel");
  expect_error(max_pool(probe.graph, "p", x, {.kernel = {5}}), "(5)");
  expect_error(average_pool(probe.graph, "p", x, {.kernel = {2, 2}}), "(2)");
  expect_error(average_pool(probe.graph, "p", flat, {.kernel = {2}}), "spatial");
  expect_error(lp_pool(probe.graph, "p", x, {.kernel = {2}}, 0), "(0)");
  expect_error(max_pool(probe.graph, "p", x,
                        {.kernel = {2}, .pads = {1, 1}, .auto_pad = AutoPad::same_upper}),
               "auto_pad");
}

}  // namespace
}  // namespace leat::ops
