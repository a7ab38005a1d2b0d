// Convolutions against plain loops written from the definition: the forward one gathers, the
// transposed one scatters. All data are small whole numbers, so results are exact.
#include "leat/tensor/contraction.h"
#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

/// Two spatial dimensions, everything explicit.
struct Case {
  int64_t n, c, h, w, k, kh, kw;
  int64_t groups = 1;
  Ints strides = {1, 1};
  Ints dilations = {1, 1};
  Ints pads = {0, 0, 0, 0};
  Ints output_padding = {0, 0};
};

struct Image {
  Shape shape;
  Numbers values;
  double& at(int64_t a, int64_t b, int64_t y, int64_t x) {
    const int64_t flat = ((a * shape[1] + b) * shape[2] + y) * shape[3] + x;
    return values[static_cast<size_t>(flat)];
  }
  bool holds(int64_t y, int64_t x) const {
    return y >= 0 && y < shape[2] && x >= 0 && x < shape[3];
  }
};

Image conv_by_loops(const Case& t, Image x, Image w, const Numbers& bias) {
  const int64_t oh = (t.h + t.pads[0] + t.pads[2] - (t.kh - 1) * t.dilations[0] - 1) / t.strides[0];
  const int64_t ow = (t.w + t.pads[1] + t.pads[3] - (t.kw - 1) * t.dilations[1] - 1) / t.strides[1];
  Image out = {{t.n, t.k, oh + 1, ow + 1}, {}};
  out.values.resize(static_cast<size_t>(element_count(out.shape)));
  for (int64_t n = 0; n < t.n; ++n)
    for (int64_t k = 0; k < t.k; ++k)
      for (int64_t y = 0; y <= oh; ++y)
        for (int64_t z = 0; z <= ow; ++z) {
          double sum = bias.empty() ? 0 : bias[static_cast<size_t>(k)];
          for (int64_t c = 0; c < t.c / t.groups; ++c)
            for (int64_t i = 0; i < t.kh; ++i)
              for (int64_t j = 0; j < t.kw; ++j) {
                const int64_t row = y * t.strides[0] - t.pads[0] + i * t.dilations[0];
                const int64_t column = z * t.strides[1] - t.pads[1] + j * t.dilations[1];
                const int64_t channel = k / (t.k / t.groups) * (t.c / t.groups) + c;
                if (x.holds(row, column)) sum += x.at(n, channel, row, column) * w.at(k, c, i, j);
              }
          out.at(n, k, y, z) = sum;
        }
  return out;
}

Image transposed_by_loops(const Case& t, Image x, Image w, const Numbers& bias) {
  const auto extent = [&](size_t d, int64_t in, int64_t kernel) {
    return t.strides[d] * (in - 1) + t.output_padding[d] + (kernel - 1) * t.dilations[d] + 1 -
           t.pads[d] - t.pads[2 + d];
  };
  Image out = {{t.n, t.k, extent(0, t.h, t.kh), extent(1, t.w, t.kw)}, {}};
  out.values.resize(static_cast<size_t>(element_count(out.shape)));
  for (int64_t n = 0; n < t.n; ++n)
    for (int64_t k = 0; k < t.k; ++k)
      for (int64_t y = 0; y < out.shape[2]; ++y)
        for (int64_t z = 0; z < out.shape[3]; ++z)
          out.at(n, k, y, z) = bias.empty() ? 0 : bias[static_cast<size_t>(k)];
  const int64_t in_group = t.c / t.groups, out_group = t.k / t.groups;
  for (int64_t n = 0; n < t.n; ++n)
    for (int64_t c = 0; c < t.c; ++c)
      for (int64_t k = 0; k < out_group; ++k)
        for (int64_t y = 0; y < t.h; ++y)
          for (int64_t z = 0; z < t.w; ++z)
            for (int64_t i = 0; i < t.kh; ++i)
              for (int64_t j = 0; j < t.kw; ++j) {
                const int64_t row = y * t.strides[0] - t.pads[0] + i * t.dilations[0];
                const int64_t column = z * t.strides[1] - t.pads[1] + j * t.dilations[1];
                if (!out.holds(row, column)) continue;
                out.at(n, c / in_group * out_group + k, row, column) +=
                    x.at(n, c, y, z) * w.at(c, k, i, j);
              }
  return out;
}

Window window_of(const Case& t) {
  return {.kernel = {}, .strides = t.strides, .dilations = t.dilations, .pads = t.pads};
}

Numbers bias_of(const Case& t) { return Probe::noise({t.k}, 9); }

TEST(Conv, MatchesLoops) {
  const Case cases[] = {
      {.n = 2, .c = 3, .h = 5, .w = 6, .k = 4, .kh = 3, .kw = 2},
      {.n = 1, .c = 2, .h = 7, .w = 7, .k = 3, .kh = 3, .kw = 3, .pads = {1, 2, 0, 1}},
      {.n = 1,
       .c = 2,
       .h = 9,
       .w = 8,
       .k = 2,
       .kh = 3,
       .kw = 3,
       .strides = {2, 3},
       .pads = {1, 1, 1, 1}},
      {.n = 1,
       .c = 1,
       .h = 9,
       .w = 9,
       .k = 2,
       .kh = 3,
       .kw = 3,
       .dilations = {2, 3},
       .pads = {2, 3, 2, 3}},
      {.n = 2, .c = 4, .h = 4, .w = 5, .k = 6, .kh = 1, .kw = 3, .groups = 2, .pads = {0, 1, 0, 1}},
      {.n = 2,
       .c = 3,
       .h = 5,
       .w = 5,
       .k = 3,
       .kh = 3,
       .kw = 3,
       .groups = 3,
       .strides = {2, 1},
       .pads = {1, 1, 1, 1}},
      {.n = 1, .c = 2, .h = 5, .w = 5, .k = 6, .kh = 3, .kw = 3, .groups = 2, .pads = {1, 0, 1, 0}},
  };
  for (const Case& t : cases) {
    const Image x = {{t.n, t.c, t.h, t.w}, Probe::noise({t.n, t.c, t.h, t.w}, 1)};
    const Shape w_shape = {t.k, t.c / t.groups, t.kh, t.kw};
    const Image w = {w_shape, Probe::noise(w_shape, 2)};
    const Image expected = conv_by_loops(t, x, w, bias_of(t));
    Probe probe;
    const TensorId tx = probe.feed(x.shape, x.values), tw = probe.feed(w.shape, w.values);
    const TensorId bias = probe.feed({t.k}, bias_of(t));
    const auto y =
        conv(probe.graph, "conv", tx, tw, bias, {.window = window_of(t), .groups = t.groups});
    EXPECT_EQ(probe.numbers(y), expected.values);
    EXPECT_EQ(probe.shape(*y), expected.shape);
  }
}

TEST(Conv, DescribesItselfAsAgreed) {
  Probe probe;
  const TensorId x = probe.feed({2, 8, 10, 10}, Probe::noise({2, 8, 10, 10}));
  const TensorId w = probe.feed({6, 4, 3, 1}, Probe::noise({6, 4, 3, 1}));
  const auto y = conv(probe.graph, "conv", x, w, kNoTensor,
                      {.window = {.kernel = {3, 1}, .pads = {1, 0, 1, 0}}, .groups = 2});
  ASSERT_TRUE(y);
  const auto found = find_contraction(probe.graph, probe.graph.nodes[0]);
  ASSERT_TRUE(found);
  const Contraction& c = *found;
  EXPECT_EQ(c.batch, (Shape{2}));
  EXPECT_EQ(c.m, (Shape{2, 10, 10}));
  EXPECT_EQ(c.n, (Shape{3}));
  EXPECT_EQ(c.k, (Shape{3, 1, 4}));
  EXPECT_EQ(c.a.bounded, (std::vector<bool>{false, false, true, false}));
  EXPECT_EQ(c.b.bounded, std::vector<bool>(4, false));
}

TEST(Conv, DepthwiseIsNoProductOfMatrices) {
  Probe probe;
  const TensorId x = probe.feed({1, 4, 3, 3}, Probe::noise({1, 4, 3, 3}));
  const TensorId w = probe.feed({4, 1, 3, 3}, Probe::noise({4, 1, 3, 3}));
  ASSERT_TRUE(conv(probe.graph, "dw", x, w, kNoTensor, {.window = {}, .groups = 4}));
  EXPECT_FALSE(find_contraction(probe.graph, probe.graph.nodes[0]));
}

TEST(Conv, OneAndThreeDimensions) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 5}, {1, 2, 3, 4, 5});
  const TensorId w = probe.feed({1, 1, 3}, {1, 0, -1});
  const Window padded = {.kernel = {3}, .pads = {1, 1}};
  EXPECT_EQ(probe.numbers(conv(probe.graph, "", x, w, kNoTensor, {.window = padded})),
            (Numbers{-2, -2, -2, -2, 4}));
  const TensorId cube = probe.feed({1, 1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const TensorId ones = probe.feed({1, 1, 2, 2, 2}, Numbers(8, 1));
  EXPECT_EQ(probe.numbers(conv(probe.graph, "", cube, ones, kNoTensor, {})), (Numbers{36}));
}

TEST(Conv, AutoPad) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 4}, {1, 2, 3, 4});
  const TensorId w = probe.feed({1, 1, 2}, {1, 10});
  const auto with = [&](AutoPad mode) {
    return probe.numbers(conv(probe.graph, "", x, w, kNoTensor, {.window = {.auto_pad = mode}}));
  };
  EXPECT_EQ(with(AutoPad::same_upper), (Numbers{21, 32, 43, 4}));
  EXPECT_EQ(with(AutoPad::same_lower), (Numbers{10, 21, 32, 43}));
  EXPECT_EQ(with(AutoPad::valid), (Numbers{21, 32, 43}));
}

TEST(Conv, HalfPrecisionKeepsItsDtype) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 3}, {0.5, 1, 2}, DType::f16);
  const TensorId w = probe.feed({1, 1, 1}, {0.1}, DType::f16);
  const auto y = conv(probe.graph, "", x, w, kNoTensor, {});
  ASSERT_TRUE(y);
  EXPECT_EQ(probe.dtype(*y), DType::f16);
  expect_close(probe.numbers(y), {0.05, 0.1, 0.2}, 1e-3);  // f16 has 11 bits
}

TEST(Conv, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId x = probe.feed({1, 4, 5, 5}, Probe::noise({1, 4, 5, 5}));
  const TensorId w = probe.feed({2, 3, 3, 3}, Probe::noise({2, 3, 3, 3}));
  const TensorId good = probe.feed({2, 4, 3, 3}, Probe::noise({2, 4, 3, 3}));
  const TensorId flat = probe.feed({2, 4}, Probe::noise({2, 4}));
  const TensorId bias = probe.feed({3}, {1, 2, 3});
  expect_error(conv(probe.graph, "c", x, w, kNoTensor, {}), "(2, 3, 3, 3)");
  expect_error(conv(probe.graph, "c", x, flat, kNoTensor, {}), "rank");
  expect_error(conv(probe.graph, "c", x, good, bias, {}), "(2)");
  expect_error(conv(probe.graph, "c", x, good, kNoTensor, {.window = {.strides = {0, 1}}}),
               "strides (0, 1)");
  expect_error(conv(probe.graph, "c", x, good, kNoTensor, {.window = {.strides = {1}}}), "(1)");
  expect_error(conv(probe.graph, "c", x, good, kNoTensor, {.window = {.dilations = {3, 3}}}),
               "larger than the padded input (5)");
  expect_error(conv(probe.graph, "c", x, good, kNoTensor, {.window = {.kernel = {3, 2}}}),
               "(3, 2)");
  expect_error(conv(probe.graph, "c", x, good, kNoTensor, {.window = {}, .groups = 3}), "3 groups");
}

TEST(ConvTranspose, MatchesLoops) {
  const Case cases[] = {
      {.n = 2, .c = 3, .h = 3, .w = 4, .k = 2, .kh = 3, .kw = 2},
      {.n = 1,
       .c = 2,
       .h = 3,
       .w = 4,
       .k = 3,
       .kh = 3,
       .kw = 3,
       .strides = {2, 3},
       .pads = {1, 0, 1, 2}},
      {.n = 1, .c = 2, .h = 3, .w = 3, .k = 2, .kh = 2, .kw = 2, .strides = {3, 4}},
      {.n = 1,
       .c = 2,
       .h = 4,
       .w = 3,
       .k = 2,
       .kh = 3,
       .kw = 3,
       .strides = {4, 2},
       .dilations = {2, 3},
       .pads = {1, 1, 2, 1},
       .output_padding = {3, 1}},
      {.n = 1,
       .c = 4,
       .h = 3,
       .w = 3,
       .k = 6,
       .kh = 3,
       .kw = 3,
       .groups = 2,
       .strides = {2, 2},
       .pads = {1, 1, 1, 1},
       .output_padding = {1, 1}},
      {.n = 2,
       .c = 3,
       .h = 3,
       .w = 3,
       .k = 3,
       .kh = 4,
       .kw = 4,
       .groups = 3,
       .strides = {2, 2},
       .pads = {1, 1, 1, 1}},
  };
  for (const Case& t : cases) {
    const Image x = {{t.n, t.c, t.h, t.w}, Probe::noise({t.n, t.c, t.h, t.w}, 3)};
    const Shape w_shape = {t.c, t.k / t.groups, t.kh, t.kw};
    const Image w = {w_shape, Probe::noise(w_shape, 4)};
    const Image expected = transposed_by_loops(t, x, w, bias_of(t));
    Probe probe;
    const TensorId tx = probe.feed(x.shape, x.values), tw = probe.feed(w.shape, w.values);
    const TensorId bias = probe.feed({t.k}, bias_of(t));
    const auto y = conv_transpose(
        probe.graph, "up", tx, tw, bias,
        {.window = window_of(t), .groups = t.groups, .output_padding = t.output_padding});
    EXPECT_EQ(probe.numbers(y), expected.values);
    EXPECT_EQ(probe.shape(*y), expected.shape);
  }
}

TEST(ConvTranspose, OutputShapeDecidesThePads) {
  Probe probe;
  const TensorId x = probe.feed({1, 1, 3}, {1, 2, 3});
  const TensorId w = probe.feed({1, 1, 3}, {1, 1, 1});
  // Uncropped: 1 1 3 2 5 3 3 (stride 2); longer than that ends in zeros.
  const auto with = [&](AutoPad mode, const Ints& shape) {
    return probe.numbers(
        conv_transpose(probe.graph, "", x, w, kNoTensor,
                       {.window = {.strides = {2}, .auto_pad = mode}, .output_shape = shape}));
  };
  EXPECT_EQ(with(AutoPad::none, {8}), (Numbers{1, 1, 3, 2, 5, 3, 3, 0}));
  EXPECT_EQ(with(AutoPad::same_upper, {}), (Numbers{1, 1, 3, 2, 5, 3}));
  EXPECT_EQ(with(AutoPad::same_lower, {}), (Numbers{1, 3, 2, 5, 3, 3}));
}

TEST(ConvTranspose, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId x = probe.feed({1, 2, 3}, Probe::noise({1, 2, 3}));
  const TensorId w = probe.feed({3, 1, 3}, Probe::noise({3, 1, 3}));
  const TensorId good = probe.feed({2, 1, 3}, Probe::noise({2, 1, 3}));
  expect_error(conv_transpose(probe.graph, "c", x, w, kNoTensor, {}), "(3, 1, 3)");
  expect_error(conv_transpose(probe.graph, "c", x, good, kNoTensor, {.window = {.pads = {9, 9}}}),
               "output extent");
  expect_error(
      conv_transpose(probe.graph, "c", x, good, kNoTensor, {.window = {.strides = {100000}}}),
      "limit (4096)");
  expect_error(conv_transpose(probe.graph, "c", x, good, kNoTensor, {.output_padding = {1, 1}}),
               "output_padding");
}

}  // namespace
}  // namespace leat::ops
