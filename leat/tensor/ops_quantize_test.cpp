// Quantised numbers against plain computations.
#include "leat/tensor/ops_quantize.h"

#include <algorithm>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

double nearest(double value, double zero, double low, double high) {
  return std::clamp(std::nearbyint(value) + zero, low, high);
}

Numbers bytes(const Shape& shape, uint32_t seed, double low, double high) {
  Numbers values = Probe::noise(shape, seed);
  for (double& value : values) value = low + std::fmod((value + 7) * 37 + 5, high - low + 1);
  return values;
}

TEST(Quantize, RoundsHalvesToEvenAndSaturates) {
  struct Row {
    DType dtype;
    double zero, low, high;
  };
  const Numbers x = {-1000, -3, -2.5, -0.5, 0.25, 0.5, 1, 1.5, 2.5, 1000};
  for (const Row& row :
       {Row{DType::i8, 3, -128, 127}, Row{DType::u8, 3, 0, 255}, Row{DType::i16, -7, -32768, 32767},
        Row{DType::u16, 9, 0, 65535}, Row{DType::i4, 1, -8, 7}, Row{DType::u4, 1, 0, 15},
        Row{DType::i2, 0, -2, 1}, Row{DType::u2, 1, 0, 3}}) {
    Probe probe;
    const TensorId scale = probe.constant({}, {0.5});
    const TensorId zero = probe.feed({}, {row.zero}, row.dtype);
    Numbers expected;
    for (const double value : x) {
      expected.push_back(nearest(value / 0.5, row.zero, row.low, row.high));
    }
    const auto y = quantize(probe.graph, "y", probe.feed({10}, x), scale, zero, row.dtype, {});
    EXPECT_EQ(probe.numbers(y), expected) << name_of(row.dtype);
    ASSERT_TRUE(y);
    const auto back = dequantize(probe.graph, "back", *y, scale, zero, DType::f32, {});
    for (double& value : expected) value = (value - row.zero) * 0.5;
    EXPECT_EQ(probe.numbers(back), expected) << name_of(row.dtype);
  }
}

TEST(Quantize, ScalesLieAlongAnAxisOrInBlocks) {
  const Numbers x = Probe::noise({2, 3, 4});
  const Numbers scales = {0.5, 0.25, 2, 1, 0.125, 4};
  const Numbers zeros = {1, -2, 3, 0, 5, -6};
  for (const int64_t block : {0, 2, 3}) {
    // By the axis (3), or in blocks along the last axis: 2 or, of the rest, 2 as well.
    const Shape shape = block == 0 ? Shape{3} : Shape{2, 3, 2};
    const auto count = static_cast<size_t>(element_count(shape));
    Numbers s, z, expected, back;
    for (size_t i = 0; i < count; ++i) s.push_back(scales[i % 6]), z.push_back(zeros[i % 6]);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t at = block == 0 ? i / 4 % 3 : i / 4 * 2 + i % 4 / static_cast<size_t>(block);
      expected.push_back(nearest(x[i] / s[at], z[at], -128, 127));
      back.push_back((expected.back() - z[at]) * s[at]);
    }
    Probe probe;
    const QuantizeOptions options = {.axis = block == 0 ? 1 : -1, .block_size = block};
    const TensorId scale = probe.feed(shape, s);
    const TensorId zero = probe.feed(shape, z, DType::i8);
    const auto y =
        quantize(probe.graph, "y", probe.feed({2, 3, 4}, x), scale, zero, DType::i8, options);
    EXPECT_EQ(probe.numbers(y), expected);
    ASSERT_TRUE(y);
    EXPECT_EQ(probe.numbers(dequantize(probe.graph, "back", *y, scale, zero, DType::f32, options)),
              back);
  }
}

TEST(Quantize, SmallFloatsAndHalfPrecision) {
  Probe probe;
  const TensorId x = probe.feed({4}, {0.9, -3.2, 1e6, 0});
  const TensorId scale = probe.constant({1}, {0.5});
  const auto y = quantize(probe.graph, "y", x, scale, kNoTensor, DType::f8e4m3fn, {});
  ASSERT_TRUE(y);
  // 1.8, -6.4 and too much, as the nearest of three bits behind the first.
  EXPECT_EQ(probe.numbers(dequantize(probe.graph, "back", *y, scale, kNoTensor, DType::f32, {})),
            (Numbers{0.875, -3.25, 224, 0}));
  // 2.49995 is 2.5 in half precision, and that is rounded to 2; 3.50005 likewise to 4.
  const TensorId near = probe.feed({2}, {2.50005, 3.49995});
  const TensorId one = probe.constant({}, {1});
  const auto half =
      quantize(probe.graph, "half", near, one, kNoTensor, DType::i8, {.precision = DType::f16});
  EXPECT_EQ(probe.numbers(half), (Numbers{2, 4}));
  const auto single = quantize(probe.graph, "single", near, one, kNoTensor, DType::i8, {});
  EXPECT_EQ(probe.numbers(single), (Numbers{3, 3}));
}

/// What the folding of constants divides is what a device divides: floats.
TEST(Quantize, HalvesAreThoseOfFloats) {
  Numbers x, expected;
  for (int i = 0; i < 255; ++i) {
    const float value = static_cast<float>(i) * 0.05f;
    x.push_back(static_cast<double>(value));
    expected.push_back(static_cast<double>(std::nearbyint(value / 0.1f)));
  }
  Probe probe;
  const TensorId scale = probe.constant({}, {static_cast<double>(0.1f)});
  const auto y =
      quantize(probe.graph, "", probe.constant({255}, x), scale, kNoTensor, DType::u8, {});
  EXPECT_EQ(probe.numbers(y), expected);
  // 2^24 + 1 is no float.
  const TensorId sums = probe.constant({1}, {16777217}, DType::i32);
  const TensorId by = probe.constant({}, {0x1p-24 * 2.5});
  EXPECT_EQ(probe.numbers(requantize(probe.graph, "", sums, by, {by, kNoTensor, DType::u8})),
            (Numbers{2}));
}

TEST(Quantize, DynamicRangeHoldsZero) {
  for (const Numbers& x :
       {Numbers{1, 2, 4}, Numbers{-4, -2, -1}, Numbers{-1, 0.5, 2}, Numbers{0}}) {
    Probe probe;
    const auto count = static_cast<int64_t>(x.size());
    const auto y = dynamic_quantize(probe.graph, "y", probe.feed({count}, x));
    ASSERT_TRUE(y) << y.error().message();
    const double low = std::min(0.0, *std::ranges::min_element(x));
    const double high = std::max(0.0, *std::ranges::max_element(x));
    const float scale = static_cast<float>(low == high ? 1 : high - low) / 255.0f;
    const double zero = nearest(-low / static_cast<double>(scale), 0, 0, 255);
    Numbers expected;
    for (const double value : x) {
      expected.push_back(nearest(value / static_cast<double>(scale), zero, 0, 255));
    }
    EXPECT_EQ(probe.numbers(y->values), expected);
    EXPECT_EQ(probe.numbers(y->scale), Numbers{static_cast<double>(scale)});
    EXPECT_EQ(probe.numbers(y->zero_point), Numbers{zero});
  }
}

TEST(IntegerProducts, MatMulSubtractsZeroPoints) {
  constexpr size_t kM = 3, kK = 20, kN = 5;
  const Numbers a = bytes({kM, kK}, 1, 0, 255), b = bytes({kK, kN}, 2, -128, 127);
  for (const bool lists : {false, true}) {
    const Numbers a_zero = lists ? Numbers{100, 0, 255} : Numbers{100};
    const Numbers b_zero = lists ? Numbers{-3, 0, 9, 127, -128} : Numbers{-3};
    Probe probe;
    const auto list = [&](const Numbers& values, DType dtype) {
      return probe.feed({static_cast<int64_t>(values.size())}, values, dtype);
    };
    const Quantized left = {probe.feed({kM, kK}, a, DType::u8),
                            list(Numbers(lists ? kM : 1, 0.5), DType::f32),
                            list(a_zero, DType::u8)};
    const Quantized right = {probe.feed({kK, kN}, b, DType::i8),
                             list(Numbers(lists ? kN : 1, 0.25), DType::f32),
                             list(b_zero, DType::i8)};
    Numbers sums, requantised;
    for (size_t i = 0; i < kM * kN; ++i) {
      const size_t m = i / kN, n = i % kN;
      double sum = 0;
      for (size_t k = 0; k < kK; ++k) {
        sum += (a[m * kK + k] - a_zero[lists ? m : 0]) * (b[k * kN + n] - b_zero[lists ? n : 0]);
      }
      sums.push_back(sum);
      requantised.push_back(nearest(sum * 0.125 / 64, 7, 0, 255));
    }
    EXPECT_EQ(probe.numbers(matmul_integer(probe.graph, "sums", left, right)), sums);
    const QuantizedResult y = {probe.constant({}, {64}), probe.constant({}, {7}, DType::u8),
                               DType::u8};
    EXPECT_EQ(probe.numbers(quantized_matmul(probe.graph, "y", left, right, y)), requantised);
  }
}

TEST(IntegerProducts, ConvPadsWithTheZeroPoint) {
  constexpr size_t kC = 4, kH = 5, kK = 6;
  const Numbers x = bytes({1, kC, kH, kH}, 1, 0, 255), bias = Probe::noise({kK}, 3);
  for (const size_t groups : {size_t{1}, size_t{2}, size_t{4}}) {
    const size_t in = kC / groups;
    const size_t k_count = groups == 4 ? 4 : kK;
    const Shape w_shape = {static_cast<int64_t>(k_count), static_cast<int64_t>(in), 3, 3};
    const Numbers w = bytes(w_shape, 2, -128, 127);
    Numbers zeros, scales;
    for (size_t k = 0; k < k_count; ++k) {
      zeros.push_back(static_cast<double>(k) - 2),
          scales.push_back(std::ldexp(1, -static_cast<int>(k)));
    }
    Numbers sums, requantised;
    for (size_t i = 0; i < k_count * kH * kH; ++i) {
      const size_t k = i / kH / kH, row = i / kH % kH, column = i % kH;
      double sum = bias[k];
      for (size_t j = 0; j < in * 9; ++j) {
        const size_t h = row + j / 3 % 3 - 1, v = column + j % 3 - 1;  // wrap below 0
        if (h >= kH || v >= kH) continue;
        const size_t channel = k / (k_count / groups) * in + j / 9;
        sum += (x[(channel * kH + h) * kH + v] - 120) * (w[k * in * 9 + j] - zeros[k]);
      }
      sums.push_back(sum);
      requantised.push_back(nearest(sum * scales[k] / 256, -5, -128, 127));
    }
    Probe probe;
    const auto count = static_cast<int64_t>(k_count);
    const Quantized left = {probe.feed({1, kC, kH, kH}, x, DType::u8), probe.constant({}, {1}),
                            probe.feed({}, {120}, DType::u8)};
    const Quantized right = {probe.feed(w_shape, w, DType::i8), probe.feed({count}, scales),
                             probe.feed({count}, zeros, DType::i8)};
    const TensorId b = probe.feed({count}, Numbers(bias.begin(), bias.begin() + count), DType::i32);
    ConvOptions options;
    options.groups = static_cast<int64_t>(groups);
    options.window.pads = {1, 1, 1, 1};
    EXPECT_EQ(probe.numbers(conv_integer(probe.graph, "sums", left, right, b, options)), sums);
    const QuantizedResult y = {probe.constant({}, {256}), probe.feed({}, {-5}, DType::i8),
                               DType::i8};
    EXPECT_EQ(probe.numbers(quantized_conv(probe.graph, "y", left, right, b, y, options)),
              requantised);
  }
}

TEST(IntegerProducts, SumsWrapIn32Bits) {
  Probe probe;
  constexpr int64_t kLong = 1 << 17;  // times 255 * 255 is more than 2^32
  const TensorId a = probe.feed({1, kLong}, Numbers(kLong, 255), DType::u8);
  const TensorId b = probe.feed({kLong, 1}, Numbers(kLong, 255), DType::u8);
  const int64_t sum = kLong * 255 * 255;
  EXPECT_EQ(probe.numbers(matmul_integer(probe.graph, "y", {a}, {b})),
            Numbers{static_cast<double>(static_cast<int32_t>(sum))});
}

TEST(BlockedWeights, AreUnpackedWhereTheyAreRead) {
  constexpr int64_t kK = 40, kN = 3, kBlock = 16, kBlocks = 3;
  const Numbers a = Probe::noise({2, kK});
  for (const int64_t bits : {2, 4, 8}) {
    for (const int zeros : {0, 1, 2}) {  // left out, packed, as floats
      const int64_t levels = int64_t{1} << bits, in_byte = 8 / bits;
      const int64_t zero_bytes = (kBlocks + in_byte - 1) / in_byte;
      const Numbers b = bytes({kN, kBlocks, kBlock / in_byte}, 4, 0, 255);
      const Numbers packed = bytes({kN * zero_bytes}, 5, 0, 255);
      const Numbers scales = {1, 2, 0.5, 4, 0.25, 1, 2, 2, 1};
      const auto digit = [&](double byte, int64_t i) {
        return static_cast<double>(static_cast<int64_t>(byte) >> (i % in_byte * bits) &
                                   (levels - 1));
      };
      Numbers expected;
      for (int64_t i = 0; i < 2 * kN; ++i) {
        const int64_t n = i % kN;
        double sum = 0;
        for (int64_t k = 0; k < kK; ++k) {
          const int64_t block = k / kBlock, place = n * kBlocks + block;
          const double code =
              digit(b[static_cast<size_t>((place * kBlock + k % kBlock) / in_byte)], k % kBlock);
          const double zero =
              zeros == 0 ? static_cast<double>(levels / 2)
              : zeros == 1
                  ? digit(packed[static_cast<size_t>(n * zero_bytes + block / in_byte)], block)
                  : 1.5;
          sum += a[static_cast<size_t>(i / kN * kK + k)] * (code - zero) *
                 scales[static_cast<size_t>(place)];
        }
        expected.push_back(sum);
      }
      Probe probe;
      BlockedWeights weights = {.values = probe.feed({kN, kBlocks, kBlock / in_byte}, b, DType::u8),
                                .scales = probe.feed({kN * kBlocks}, scales),
                                .k = kK,
                                .n = kN,
                                .bits = bits,
                                .block_size = kBlock};
      if (zeros == 1) weights.zero_points = probe.feed({kN, zero_bytes}, packed, DType::u8);
      if (zeros == 2) weights.zero_points = probe.feed({kN, kBlocks}, Numbers(kN * kBlocks, 1.5));
      const auto y = matmul_blocked(probe.graph, "y", probe.feed({2, kK}, a), weights, kNoTensor);
      expect_close(probe.numbers(y), expected, kRounding);
      const TensorId bias = probe.feed({1, 1, 1, 1}, {2});
      const auto moved =
          matmul_blocked(probe.graph, "moved", probe.feed({2, kK}, a), weights, bias);
      for (double& value : expected) value += 2;
      expect_close(probe.numbers(moved), expected, kRounding);
    }
  }
}

TEST(Quantize, RefusesWhatDoesNotFit) {
  Probe probe;
  Graph& g = probe.graph;
  const TensorId x = probe.feed({2, 3}, Numbers(6, 1));
  const TensorId scale = probe.feed({2}, {1, 1});
  const TensorId one = probe.feed({}, {1});
  const TensorId q = probe.feed({2, 3}, Numbers(6, 1), DType::i8);
  const TensorId words = probe.feed({2, 3}, Numbers(6, 1), DType::i16);
  expect_error(quantize(g, "", x, scale, kNoTensor, DType::u8, {}), "scale's shape (2)");
  expect_error(quantize(g, "", x, scale, kNoTensor, DType::u8, {.axis = 2}), "Axis (2)");
  expect_error(quantize(g, "", x, one, kNoTensor, DType::i32, {}), "(i32) is none to quantise");
  expect_error(quantize(g, "", q, one, kNoTensor, DType::i8, {}), "(i8)");
  expect_error(quantize(g, "", x, one, q, DType::u8, {}), "dtype (i8)");
  expect_error(quantize(g, "", x, one, q, DType::i8, {}), "zero point's shape (2, 3)");
  expect_error(quantize(g, "", x, one, kNoTensor, DType::i8, {.precision = DType::i8}),
               "precision");
  expect_error(quantize(g, "", x, scale, kNoTensor, DType::i8, {.block_size = -1}),
               "block size (-1)");
  expect_error(dequantize(g, "", x, one, kNoTensor, DType::f32, {}), "(f32) is none of");
  expect_error(dequantize(g, "", q, one, kNoTensor, DType::i8, {}), "(i8) is not a float");
  expect_error(dynamic_quantize(g, "", q), "(i8) is not f32");
  expect_error(matmul_integer(g, "", {words}, {q}), "(i16)");
  expect_error(matmul_integer(g, "", {q}, {q}), "inner extents");
  const TensorId column = probe.feed({3, 1}, Numbers(3, 1), DType::i8);
  expect_error(matmul_integer(g, "", {q, kNoTensor, column}, {column}), "zero point's shape");
  expect_error(matmul_integer(g, "", {q, kNoTensor, words}, {column}), "zero point's dtype (i16)");
  expect_error(quantized_matmul(g, "", {q, one}, {column, one}, {one, kNoTensor, DType::i16}),
               "(i16)");
  BlockedWeights weights = {.values = q, .scales = one, .k = 3, .n = 2, .bits = 3};
  expect_error(matmul_blocked(g, "", x, weights, kNoTensor), "bits (3");
  weights.bits = 4;
  expect_error(matmul_blocked(g, "", x, weights, kNoTensor), "are not u8");
  weights.k = kElementsMax;
  expect_error(matmul_blocked(g, "", x, weights, kNoTensor), "does not end with K");
}

}  // namespace
}  // namespace leat::ops
