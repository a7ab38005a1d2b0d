// Reading pictures at computed places, against plain loops over one picture.
#include "leat/tensor/ops_sample.h"

#include <algorithm>
#include <cmath>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr int kHeight = 4, kWidth = 5;

/// A picture with what lies beyond its borders.
struct Picture {
  Numbers pixels;
  SamplePadding padding = SamplePadding::zeros;
  bool align_corners = false;

  static double mirrored(double at, double low, double high) {
    while (at < low || at > high) at = at < low ? 2 * low - at : 2 * high - at;
    return at;
  }
  int inside(double at, int extent) const {
    if (padding == SamplePadding::border)
      return static_cast<int>(std::clamp(at, 0.0, extent - 1.0));
    const double edge = align_corners ? 0 : 0.5;
    return static_cast<int>(mirrored(at, -edge, extent - 1 + edge));
  }
  double at(int y, int x) const {
    if (padding != SamplePadding::zeros) {
      y = inside(y, kHeight);
      x = inside(x, kWidth);
    }
    const bool is_in = y >= 0 && y < kHeight && x >= 0 && x < kWidth;
    return is_in ? pixels[static_cast<size_t>(y * kWidth + x)] : 0;
  }
  /// From [-1, 1] to pixels, moved in where the padding does so.
  double place(double given, int extent, bool rounds) const {
    double at = align_corners ? (given + 1) / 2 * (extent - 1) : ((given + 1) * extent - 1) / 2;
    if (rounds) at = std::nearbyint(at);
    const double edge = align_corners ? 0 : 0.5;
    if (at >= -edge && at <= extent - 1 + edge) return at;
    if (padding == SamplePadding::border) return std::clamp(at, 0.0, extent - 1.0);
    return padding == SamplePadding::zeros ? at : mirrored(at, -edge, extent - 1 + edge);
  }
};

double weight_of(double distance, SampleMode mode) {
  if (mode == SampleMode::linear) return std::max(0.0, 1 - distance);
  const double a = -0.75, d = distance;
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

double sampled(const Picture& picture, double given_y, double given_x, SampleMode mode) {
  const bool rounds = mode == SampleMode::nearest;
  const double y = picture.place(given_y, kHeight, rounds);
  const double x = picture.place(given_x, kWidth, rounds);
  if (rounds) return picture.at(static_cast<int>(y), static_cast<int>(x));
  const int top = static_cast<int>(std::floor(y)), left = static_cast<int>(std::floor(x));
  double sum = 0;
  for (int i = top - 1; i <= top + 2; ++i) {
    for (int j = left - 1; j <= left + 2; ++j) {
      sum +=
          weight_of(std::fabs(y - i), mode) * weight_of(std::fabs(x - j), mode) * picture.at(i, j);
    }
  }
  return sum;
}

TEST(GridSample, AllModesAndPaddings) {
  Numbers grid;  // x, y
  for (int i = 0; i < 12; ++i) {
    grid.push_back(-2.1 + 0.37 * i);
    grid.push_back(1.9 - 0.31 * i);
  }
  Picture picture = {.pixels = Probe::noise({kHeight, kWidth}, 4)};
  for (SampleMode mode : {SampleMode::nearest, SampleMode::linear, SampleMode::cubic}) {
    for (SamplePadding padding :
         {SamplePadding::zeros, SamplePadding::border, SamplePadding::reflection}) {
      for (bool align_corners : {false, true}) {
        picture.padding = padding;
        picture.align_corners = align_corners;
        Numbers expected;
        for (size_t i = 0; i < 12; ++i) {
          expected.push_back(sampled(picture, grid[2 * i + 1], grid[2 * i], mode));
        }
        Probe probe;
        const TensorId x = probe.feed({1, 1, kHeight, kWidth}, picture.pixels);
        const TensorId places = probe.feed({1, 3, 4, 2}, grid);
        const auto y = grid_sample(probe.graph, "", x, places, {mode, padding, align_corners});
        // Places in f32 differ by 1e-7 of 4 pixels, pixels by up to 14.
        expect_close(probe.numbers(y), expected, 2e-5);
      }
    }
  }
}

TEST(GridSample, VolumesChannelsAndWhatIsNoNumber) {
  Probe probe;
  const TensorId x = probe.feed({1, 2, 1, 2, 2}, {0, 1, 2, 3, 10, 11, 12, 13});
  const TensorId middle = probe.feed({1, 1, 1, 1, 3}, {0, 0, 0});
  expect_close(probe.numbers(grid_sample(probe.graph, "", x, middle, {})), {1.5, 11.5}, kRounding);
  const TensorId nan = probe.feed({1, 1, 1, 1, 3}, {NAN, 1e30, -1e30});
  for (SamplePadding padding : {SamplePadding::border, SamplePadding::reflection}) {
    const auto read = grid_sample(probe.graph, "", x, nan, {SampleMode::nearest, padding, false});
    EXPECT_EQ(probe.numbers(read).size(), 2u);  // no read beyond the picture
  }
  const TensorId whole = probe.feed({1, 1, 2, 2}, {1, 2, 3, 4}, DType::i32);
  const TensorId corner = probe.feed({1, 1, 1, 2}, {0.9, -0.9});
  EXPECT_EQ(probe.numbers(grid_sample(probe.graph, "", whole, corner, {SampleMode::nearest})),
            (Numbers{2}));
  expect_error(grid_sample(probe.graph, "g", whole, corner, {}), "not a float");
  expect_error(grid_sample(probe.graph, "g", x, corner, {}), "(1, 1, 1, 2)");
}

TEST(AffineGrid, MovesPixelsPlaces) {
  Probe probe;
  const TensorId theta = probe.feed({1, 2, 3}, {2, 0, 1, 0, 3, -1});
  expect_close(probe.numbers(affine_grid(probe.graph, "", theta, {1, 1, 2, 2}, true)),
               {-1, -4, 3, -4, -1, 2, 3, 2}, kRounding);
  expect_close(probe.numbers(affine_grid(probe.graph, "", theta, {1, 1, 1, 2}, false)),
               {0, -1, 2, -1}, kRounding);
  expect_error(affine_grid(probe.graph, "a", theta, {2, 1, 2, 2}, true), "(2, 1, 2, 2)");
  expect_error(affine_grid(probe.graph, "a", theta, {1, 1, 2}, true), "(1, 1, 2)");
}

/// The sample of RoiAlign: 0 away from the picture, the border near it.
double roi_sample(const Picture& picture, double y, double x) {
  if (y < -1 || y > kHeight || x < -1 || x > kWidth) return 0;
  y = std::clamp(y, 0.0, kHeight - 1.0);
  x = std::clamp(x, 0.0, kWidth - 1.0);
  double sum = 0;
  for (int i = 0; i < kHeight; ++i) {
    for (int j = 0; j < kWidth; ++j) {
      sum += weight_of(std::fabs(y - i), SampleMode::linear) *
             weight_of(std::fabs(x - j), SampleMode::linear) * picture.at(i, j);
    }
  }
  return sum;
}

Numbers aligned(const Picture& picture, const Numbers& roi, const RoiAlignOptions& options) {
  const double offset = options.half_pixel ? 0.5 : 0;
  double size[2], start[2];
  for (size_t d = 0; d < 2; ++d) {
    start[d] = roi[1 - d] * options.spatial_scale - offset;
    size[d] = roi[3 - d] * options.spatial_scale - offset - start[d];
    if (!options.half_pixel) size[d] = std::max(size[d], 1.0);
  }
  Numbers out;
  for (int i = 0; i < options.output[0]; ++i) {
    for (int j = 0; j < options.output[1]; ++j) {
      const double cell[] = {size[0] / static_cast<double>(options.output[0]),
                             size[1] / static_cast<double>(options.output[1])};
      const int ratio = static_cast<int>(options.sampling_ratio);
      const int rows = ratio > 0 ? ratio : static_cast<int>(std::ceil(cell[0]));
      const int columns = ratio > 0 ? ratio : static_cast<int>(std::ceil(cell[1]));
      double sum = 0;
      for (int a = 0; a < rows; ++a) {
        for (int b = 0; b < columns; ++b) {
          sum += roi_sample(picture, start[0] + cell[0] * (i + (a + 0.5) / rows),
                            start[1] + cell[1] * (j + (b + 0.5) / columns));
        }
      }
      out.push_back(sum / std::max(rows * columns, 1));
    }
  }
  return out;
}

TEST(RoiAlign, MeansOfFixedAndAdaptiveSamples) {
  const Picture picture = {.pixels = Probe::noise({kHeight, kWidth}, 9)};
  // One inside, one that leaves the picture on all sides, one far larger, one smaller than a pixel.
  const Numbers rois = {0.4, 1.2, 7.7, 6.9, -3, -5, 14, 11, -60, -80, 70, 90, 2, 2, 2.3, 2.2};
  for (int64_t ratio : {0, 2}) {
    for (bool half_pixel : {false, true}) {
      const RoiAlignOptions options = {.output = {2, 3},
                                       .sampling_ratio = ratio,
                                       .spatial_scale = 0.5,
                                       .half_pixel = half_pixel};
      Numbers expected;
      for (size_t r = 0; r < 4; ++r) {
        const Numbers roi(rois.begin() + static_cast<ptrdiff_t>(4 * r),
                          rois.begin() + static_cast<ptrdiff_t>(4 * r + 4));
        const Numbers part = aligned(picture, roi, options);
        expected.insert(expected.end(), part.begin(), part.end());
      }
      expected.insert(expected.end(), 6, 0);  // a picture that is not there
      Numbers all = rois;
      all.insert(all.end(), {0, 0, 1, 1});
      for (bool constant : {false, true}) {
        Probe probe;
        const TensorId x = probe.feed({1, 1, kHeight, kWidth}, picture.pixels);
        const TensorId regions = constant ? probe.constant({5, 4}, all) : probe.feed({5, 4}, all);
        const TensorId images = probe.feed({5}, {0, 0, 0, 0, 1}, DType::i64);
        expect_close(probe.numbers(roi_align(probe.graph, "", x, regions, images, options)),
                     expected, 1e-4);
      }
    }
  }
}

TEST(RoiAlign, AsManySamplesAsALongCellHas) {
  constexpr int64_t kLength = 3000;
  Numbers pixels(kLength, 1);
  std::fill(pixels.begin() + 1500, pixels.end(), 3.0);
  for (bool constant : {false, true}) {
    Probe probe;
    const TensorId x = probe.feed({1, 1, 1, kLength}, pixels);
    const Numbers roi = {0, 0, kLength, 1};
    const TensorId regions = constant ? probe.constant({1, 4}, roi) : probe.feed({1, 4}, roi);
    const TensorId images = probe.feed({1}, {0}, DType::i64);
    expect_close(probe.numbers(roi_align(probe.graph, "", x, regions, images,
                                         {.output = {1, 1}, .half_pixel = false})),
                 {2}, 1e-3);
  }
}

TEST(RoiAlign, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 2, 2}, Numbers(4));
  const TensorId regions = probe.feed({1, 4}, Numbers(4));
  const TensorId images = probe.feed({1}, {0}, DType::i64);
  expect_error(roi_align(probe.graph, "r", x, regions, regions, {}), "(1, 4)");
  expect_error(roi_align(probe.graph, "r", x, images, images, {}), "differ");
  expect_error(roi_align(probe.graph, "r", x, regions, images, {.output = {0, 1}}), "(0, 1)");
  expect_error(roi_align(probe.graph, "r", x, regions, images, {.sampling_ratio = 9999}), "9999");
  expect_error(max_roi_pool(probe.graph, "p", x, regions, {1, 1}, 1), "(1, 4)");
}

TEST(MaxRoiPool, MaximaOfRoundedCells) {
  Probe probe;
  Numbers pixels;
  for (int i = 0; i < 16; ++i) pixels.push_back(-i);  // 4 x 4, falling
  const TensorId x = probe.feed({1, 1, 4, 4}, pixels);
  // Rows 1 to 3, columns 0 to 2; beyond the picture; no such picture.
  const TensorId regions =
      probe.feed({3, 5}, {0, 0.2, 1.4, 2.4, 2.6, 0, 8, 8, 9, 9, 3, 0, 0, 3, 3});
  expect_close(probe.numbers(max_roi_pool(probe.graph, "", x, regions, {2, 2}, 1)),
               {-4, -5, -8, -9, 0, 0, 0, 0, 0, 0, 0, 0}, 0);
}

TEST(DeformConv, WholeOffsetsMoveTaps) {
  Probe probe;
  const Numbers pixels = Probe::noise({1, 2, 3, 3}, 2);
  const TensorId x = probe.feed({1, 2, 3, 3}, pixels);
  const TensorId w = probe.feed({2, 1, 1, 1}, {2, -1});  // two groups of one channel
  Numbers offsets;  // (1, 2 groups * 1 tap * 2, 3, 3): the second group reads half a row further
  for (size_t i = 0; i < 36; ++i) offsets.push_back(i / 9 == 2 ? 0.5 : 0);
  const DeformConvOptions options = {.groups = 2, .offset_groups = 2};
  const DeformConvInputs inputs = {.x = x,
                                   .w = w,
                                   .offsets = probe.feed({1, 4, 3, 3}, offsets),
                                   .bias = probe.feed({2}, {1, 0}),
                                   .mask = probe.feed({1, 2, 3, 3}, Numbers(18, 0.5))};
  Numbers expected;
  for (size_t i = 0; i < 9; ++i) expected.push_back(pixels[i] * 2 * 0.5 + 1);
  for (size_t i = 0; i < 9; ++i) {
    const double below = i < 6 ? pixels[9 + i + 3] : 0;
    expected.push_back((pixels[9 + i] + below) / 2 * -0.5);
  }
  expect_close(probe.numbers(deform_conv(probe.graph, "", inputs, options)), expected, kRounding);
  DeformConvInputs wrong = inputs;
  wrong.offsets = inputs.mask;
  expect_error(deform_conv(probe.graph, "d", wrong, options), "(1, 4, 3, 3)");
  expect_error(deform_conv(probe.graph, "d", inputs, {.groups = 3}), "3 groups");
  // Tensors without elements, of as many channels and taps as there may be.
  const int64_t many = kElementsMax;
  const DeformConvInputs none = {.x = probe.feed({0, many, 1}, {}),
                                 .w = probe.feed({0, 1, many}, {}),
                                 .offsets = probe.feed({0, 1, 1}, {})};
  expect_error(
      deform_conv(probe.graph, "d", none,
                  {.window = {.pads = {many - 1, 0}}, .groups = many, .offset_groups = many}),
      "elements than the limit");
}

TEST(DeformConv, WithoutOffsetsIsAConvolution) {
  Probe probe;
  const Window window = {.strides = {2, 1}, .dilations = {1, 2}, .pads = {1, 0, 0, 2}};
  const TensorId x = probe.feed({2, 4, 5, 6}, Probe::noise({2, 4, 5, 6}, 3));
  const TensorId w = probe.feed({6, 2, 3, 2}, Probe::noise({6, 2, 3, 2}, 4));
  const auto plain = conv(probe.graph, "", x, w, kNoTensor, {.window = window, .groups = 2});
  ASSERT_TRUE(plain);
  const Shape out = probe.shape(*plain);
  const Shape places = {2, 12, out[2], out[3]};
  const TensorId offsets =
      probe.feed(places, Numbers(static_cast<size_t>(element_count(places)), 0));
  const DeformConvInputs inputs = {.x = x, .w = w, .offsets = offsets};
  const auto moved = deform_conv(probe.graph, "", inputs, {.window = window, .groups = 2});
  EXPECT_EQ(probe.numbers(moved), probe.numbers(*plain));
}

}  // namespace
}  // namespace leat::ops
