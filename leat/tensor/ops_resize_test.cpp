// Resize against worked examples (source: the examples of ONNX Resize, given to the digits shown
// here) and against properties that hold for any data.
#include <algorithm>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

Numbers count_to(int64_t last) {
  Numbers values;
  for (int64_t i = 1; i <= last; ++i) values.push_back(static_cast<double>(i));
  return values;
}

/// Resizes a picture of 1, 2, 3, ...
Numbers resized(const Shape& shape, const ResizeOptions& options) {
  Probe probe;
  const TensorId x = probe.feed(shape, count_to(element_count(shape)));
  return probe.numbers(resize(probe.graph, "resize", x, options));
}

Numbers first(const Numbers& values, size_t count) {
  return Numbers(values.begin(), values.begin() + static_cast<ptrdiff_t>(count));
}

TEST(Resize, NearestByAWholeFactorHasNoTable) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 2, 2}, {1, 2, 3, 4});
  const auto y = resize(probe.graph, "up", x, {.scales = {1, 1, 2, 3}});
  EXPECT_EQ(probe.numbers(y),
            (Numbers{1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4}));
  EXPECT_EQ(probe.graph.nodes[0].inputs.size(), 1u);
  EXPECT_EQ(probe.graph.nodes[0].reduce_op, ReduceOp::none);
}

TEST(Resize, NearestModes) {
  const auto row = [](NearestMode mode, CoordinateMode coordinates) {
    return first(
        resized({1, 1, 4, 4},
                {.sizes = {1, 1, 8, 8}, .nearest_mode = mode, .coordinate_mode = coordinates}),
        8);
  };
  EXPECT_EQ(row(NearestMode::floor, CoordinateMode::align_corners),
            (Numbers{1, 1, 1, 2, 2, 3, 3, 4}));
  EXPECT_EQ(row(NearestMode::ceil, CoordinateMode::half_pixel), (Numbers{1, 2, 2, 3, 3, 4, 4, 4}));
  EXPECT_EQ(row(NearestMode::round_prefer_ceil, CoordinateMode::asymmetric),
            (Numbers{1, 2, 2, 3, 3, 4, 4, 4}));
  EXPECT_EQ(row(NearestMode::round_prefer_floor, CoordinateMode::asymmetric),
            (Numbers{1, 1, 2, 2, 3, 3, 4, 4}));
  EXPECT_EQ(row(NearestMode::floor, CoordinateMode::tf_half_pixel_for_nn),
            (Numbers{1, 1, 2, 2, 3, 3, 4, 4}));
}

TEST(Resize, NearestOfOpset10RoundsUpWhereAnAxisShrinks) {
  const auto row = [](std::vector<double> scales) {
    return resized({1, 1, 1, 4}, {.scales = std::move(scales),
                                  .nearest_mode = NearestMode::opset_10,
                                  .coordinate_mode = CoordinateMode::asymmetric});
  };
  EXPECT_EQ(row({1, 1, 1, 0.6}), (Numbers{1, 3}));
  EXPECT_EQ(row({1, 1, 1, 1.6}), (Numbers{1, 1, 2, 2, 3, 4}));
}

TEST(Resize, NearestToOddSizes) {
  EXPECT_EQ(resized({1, 1, 2, 2}, {.sizes = {1, 1, 3, 8}}),
            (Numbers{1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4}));
  EXPECT_EQ(resized({1, 1, 2, 4}, {.sizes = {1, 1, 1, 3}}), (Numbers{1, 2, 4}));
  EXPECT_EQ(resized({1, 1, 2, 4}, {.scales = {1, 1, 0.6, 0.6}}), (Numbers{1, 3}));
}

TEST(Resize, LinearUp) {
  expect_close(resized({1, 1, 2, 2}, {.scales = {1, 1, 2, 2}, .mode = ResizeMode::linear}),
               {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4},
               kRounding);
  expect_close(first(resized({1, 1, 2, 2}, {.scales = {1, 1, 2, 2},
                                            .mode = ResizeMode::linear,
                                            .coordinate_mode = CoordinateMode::align_corners}),
                     8),
               {1, 4.0 / 3, 5.0 / 3, 2, 5.0 / 3, 2, 7.0 / 3, 8.0 / 3}, kRounding);
}

TEST(Resize, LinearDownUsesTheScaleAsGiven) {
  expect_close(resized({1, 1, 2, 4}, {.scales = {1, 1, 0.6, 0.6}, .mode = ResizeMode::linear}),
               {2.6666665, 4.3333331}, kRounding);
  expect_close(resized({1, 1, 2, 4}, {.scales = {1, 1, 0.6, 0.6},
                                      .mode = ResizeMode::linear,
                                      .coordinate_mode = CoordinateMode::align_corners}),
               {1, 3.142857}, kRounding);
  expect_close(resized({1, 1, 4, 4}, {.sizes = {1, 1, 3, 1},
                                      .mode = ResizeMode::linear,
                                      .coordinate_mode = CoordinateMode::pytorch_half_pixel}),
               {1.6666666, 7, 12.333333}, kRounding);
  // One element is left of 1.6: it is the first, whatever the scale.
  EXPECT_EQ(resized({1, 1, 1, 2}, {.scales = {1, 1, 1, 0.8},
                                   .mode = ResizeMode::linear,
                                   .coordinate_mode = CoordinateMode::pytorch_half_pixel}),
            (Numbers{1}));
}

TEST(Resize, CubicUp) {
  const ResizeOptions options = {.scales = {1, 1, 2, 2}, .mode = ResizeMode::cubic};
  expect_close(
      first(resized({1, 1, 4, 4}, options), 8),
      {0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375},
      kRounding);
  ResizeOptions inside = options;
  inside.cubic_coeff_a = -0.5;
  inside.exclude_outside = true;
  expect_close(first(resized({1, 1, 4, 4}, inside), 8),
               {0.55882353, 0.81494204, 1.35698249, 1.89705882, 2.39705882, 2.93713516, 3.47917561,
                3.73529412},
               kRounding);
}

TEST(Resize, AntialiasStretchesTheKernel) {
  expect_close(resized({1, 1, 4, 4},
                       {.scales = {1, 1, 0.6, 0.6}, .mode = ResizeMode::linear, .antialias = true}),
               {2.875, 4.5, 9.375, 11}, kRounding);
  expect_close(resized({1, 1, 4, 4},
                       {.scales = {1, 1, 0.6, 0.6}, .mode = ResizeMode::cubic, .antialias = true}),
               {2.5180721, 4.2858863, 9.589329, 11.357142}, kRounding);
}

TEST(Resize, CropAndResize) {
  ResizeOptions options = {.sizes = {1, 1, 3, 3},
                           .mode = ResizeMode::linear,
                           .coordinate_mode = CoordinateMode::tf_crop_and_resize,
                           .roi = {0, 0, 0.4, 0.6, 1, 1, 0.6, 0.8}};
  expect_close(resized({1, 1, 4, 4}, options), {7.6, 7.9, 8.2, 8.8, 9.1, 9.4, 10, 10.3, 10.6},
               kRounding);
  options.roi = {0, 0, 0.4, 0.6, 1, 1, 1.2, 1.7};
  options.extrapolation_value = 10;
  expect_close(resized({1, 1, 4, 4}, options), {7.6, 10, 10, 12.4, 10, 10, 10, 10, 10}, kRounding);
}

TEST(Resize, ConstantPicturesStayConstant) {
  for (ResizeMode mode : {ResizeMode::nearest, ResizeMode::linear, ResizeMode::cubic}) {
    for (bool antialias : {false, true}) {
      Probe probe;
      const TensorId x = probe.feed({1, 2, 5, 7, 3}, Numbers(210, 4));
      const auto y = resize(probe.graph, "", x,
                            {.sizes = {1, 2, 3, 11, 3}, .mode = mode, .antialias = antialias});
      expect_close(probe.numbers(y), Numbers(198, 4), kRounding);
    }
  }
}

TEST(Resize, WholeNumbersAndHalf) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 1, 2}, {10, 20}, DType::u8);
  const auto y = resize(probe.graph, "", x, {.scales = {1, 1, 1, 2}, .mode = ResizeMode::linear});
  EXPECT_EQ(probe.numbers(y), (Numbers{10, 12, 17, 20}));
  const TensorId h = probe.feed({1, 1, 1, 2}, {10, 20}, DType::f16);
  const auto z = resize(probe.graph, "", h, {.scales = {1, 1, 1, 2}, .mode = ResizeMode::linear});
  EXPECT_EQ(probe.numbers(z), (Numbers{10, 12.5, 17.5, 20}));
}

TEST(Resize, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 2, 2}, {1, 2, 3, 4});
  expect_error(resize(probe.graph, "r", x, {}), "(0)");
  expect_error(resize(probe.graph, "r", x, {.scales = {2, 2}}), "(2)");
  expect_error(resize(probe.graph, "r", x, {.scales = {1, 1, 0, 1}}), "(0)");
  expect_error(resize(probe.graph, "r", x, {.sizes = {1, 1, -1, 1}}), "(-1)");
  expect_error(resize(probe.graph, "r", x, {.sizes = {1, 1, 1LL << 30, 1}}), "limit");
}

}  // namespace
}  // namespace leat::ops
