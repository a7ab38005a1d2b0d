// Scatters and their like against plain computations.
#include "leat/tensor/ops_scatter.h"

#include <algorithm>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr ReduceOp kReductions[] = {ReduceOp::none, ReduceOp::sum, ReduceOp::product, ReduceOp::min,
                                    ReduceOp::max};

double joined(ReduceOp op, double a, double b) {
  switch (op) {
    case ReduceOp::none: return b;
    case ReduceOp::sum: return a + b;
    case ReduceOp::product: return a * b;
    case ReduceOp::min: return std::min(a, b);
    case ReduceOp::max:
    case ReduceOp::max_number: return std::max(a, b);
  }
  return b;
}

TEST(Scatter, ElementsInOrderAlongEachAxis) {
  const Shape shape = {3, 4, 5}, given = {3, 3, 2};
  const Numbers data = Probe::noise(shape), updates = Probe::noise(given, 2);
  for (const size_t axis : {size_t{0}, size_t{1}, size_t{2}}) {
    const Shape fitting = axis == 0 ? Shape{7, 3, 2} : axis == 1 ? Shape{3, 3, 2} : Shape{3, 3, 8};
    const Numbers added = Probe::noise(fitting, 2);
    Numbers indices = Probe::noise(fitting, 3);
    const double extent = static_cast<double>(shape[axis]);
    for (double& index : indices) index = std::fmod(index + 7, 2 * extent) - extent;
    for (const ReduceOp op : kReductions) {
      Numbers expected = data;
      for (size_t i = 0; i < added.size(); ++i) {
        std::array<size_t, 3> at = {
            i / static_cast<size_t>(fitting[1] * fitting[2]),
            i / static_cast<size_t>(fitting[2]) % static_cast<size_t>(fitting[1]),
            i % static_cast<size_t>(fitting[2])};
        at[axis] = static_cast<size_t>(indices[i] < 0 ? indices[i] + extent : indices[i]);
        double& place = expected[(at[0] * 4 + at[1]) * 5 + at[2]];
        place = joined(op, place, added[i]);
      }
      for (const bool constant : {false, true}) {
        Probe probe;
        const TensorId where = constant ? probe.constant(fitting, indices, DType::i64)
                                        : probe.feed(fitting, indices, DType::i64);
        const auto y =
            scatter_elements(probe.graph, "y", probe.feed(shape, data), where,
                             probe.feed(fitting, added), static_cast<int64_t>(axis) - 3, op);
        EXPECT_EQ(probe.numbers(y), expected) << "axis " << axis;
      }
    }
  }
}

TEST(Scatter, OutsideIsSkippedAndWholeNumbersWrap) {
  Probe probe;
  const TensorId data = probe.feed({3}, {250, 1, 2}, DType::u8);
  const TensorId where = probe.feed({5}, {0, 3, -4, 1e9, -1}, DType::i64);
  const TensorId updates = probe.feed({5}, {10, 9, 9, 9, 7}, DType::u8);
  EXPECT_EQ(
      probe.numbers(scatter_elements(probe.graph, "y", data, where, updates, 0, ReduceOp::sum)),
      (Numbers{4, 1, 9}));
  EXPECT_EQ(
      probe.numbers(scatter_elements(probe.graph, "z", data, where, updates, 0, ReduceOp::none)),
      (Numbers{10, 1, 7}));
}

TEST(Scatter, ExtremesLetNanThrough) {
  const double nan = std::nan("");
  for (const ReduceOp op : {ReduceOp::min, ReduceOp::max}) {
    Probe probe;
    const TensorId data = probe.feed({3}, {nan, 1, 2});
    const TensorId where = probe.feed({3}, {0, 1, 2}, DType::i64);
    const auto y =
        scatter_elements(probe.graph, "y", data, where, probe.feed({3}, {5, nan, 2}), 0, op);
    expect_close(probe.numbers(y), {nan, nan, 2}, 0);
  }
}

TEST(Scatter, SlicesOfEveryDepth) {
  const Shape shape = {2, 3, 4};
  const Numbers data = Probe::noise(shape);
  for (const int64_t depth : {1, 2, 3}) {
    const Shape given = {2, 2, depth};
    Numbers indices = Probe::noise(given, 3);
    for (size_t i = 0; i < indices.size(); ++i) {
      const double extent = static_cast<double>(shape[i % static_cast<size_t>(depth)]);
      indices[i] = std::fmod(indices[i] + 7, 2 * extent) - extent;
    }
    const size_t of_slice = depth == 1 ? 12 : depth == 2 ? 4 : 1;
    Shape wanted = {2, 2};
    wanted.insert(wanted.end(), shape.begin() + depth, shape.end());
    const Numbers updates = Probe::noise(wanted, 4);
    for (const ReduceOp op : kReductions) {
      Numbers expected = data;
      for (size_t u = 0; u < updates.size(); ++u) {
        size_t slice = 0;
        for (size_t q = 0; q < static_cast<size_t>(depth); ++q) {
          const double index = indices[u / of_slice * static_cast<size_t>(depth) + q];
          slice = slice * static_cast<size_t>(shape[q]) +
                  static_cast<size_t>(index < 0 ? index + static_cast<double>(shape[q]) : index);
        }
        double& place = expected[slice * of_slice + u % of_slice];
        place = joined(op, place, updates[u]);
      }
      Probe probe;
      const auto y =
          scatter_nd(probe.graph, "y", probe.feed(shape, data),
                     probe.feed(given, indices, DType::i32), probe.feed(wanted, updates), op);
      EXPECT_EQ(probe.numbers(y), expected) << "depth " << depth;
    }
  }
}

TEST(Scatter, CachesTakeNewEntries) {
  constexpr size_t kBatch = 3, kLength = 5, kNew = 2, kSize = 2;
  const Numbers past = Probe::noise({kBatch, kLength, kSize});
  const Numbers update = Probe::noise({kBatch, kNew, kSize}, 2);
  const Numbers starts = {0, 4, 2};
  for (const bool circular : {false, true}) {
    Numbers expected = past;
    for (size_t i = 0; i < update.size(); ++i) {
      const size_t batch = i / (kNew * kSize);
      size_t at = static_cast<size_t>(starts[batch]) + i / kSize % kNew;
      if (circular) at %= kLength;
      if (at < kLength) expected[(batch * kLength + at) * kSize + i % kSize] = update[i];
    }
    Probe probe;
    const auto y = tensor_scatter(probe.graph, "y", probe.feed({kBatch, kLength, kSize}, past),
                                  probe.feed({kBatch, kNew, kSize}, update),
                                  probe.feed({kBatch}, starts, DType::i64), {.circular = circular});
    EXPECT_EQ(probe.numbers(y), expected);
  }
}

TEST(Scatter, UnpoolingPutsMaximaBack) {
  Probe probe;
  Window window;
  window.kernel = {2, 2}, window.strides = {2, 2};
  const TensorId x = probe.feed({1, 2, 4, 4}, Probe::noise({1, 2, 4, 4}));
  const auto pooled = max_pool(probe.graph, "pooled", x, window);
  ASSERT_TRUE(pooled);
  const auto indices = max_pool_indices(probe.graph, "indices", x, *pooled, window);
  ASSERT_TRUE(indices);
  const Numbers maxima = probe.numbers(*pooled), places = probe.numbers(*indices);
  Numbers expected(32, 0), larger(2 * 5 * 4, 0);
  for (size_t i = 0; i < maxima.size(); ++i) {
    const auto at = static_cast<size_t>(places[i]);
    expected[at] = maxima[i];
    larger[at / 16 * 20 + at % 16] = maxima[i];
  }
  EXPECT_EQ(probe.numbers(max_unpool(probe.graph, "y", *pooled, *indices, window, {})), expected);
  EXPECT_EQ(probe.numbers(max_unpool(probe.graph, "z", *pooled, *indices, window, {1, 2, 5, 4})),
            larger);
}

TEST(Scatter, BlocksAreSummedIntoAnImage) {
  constexpr size_t kH = 5, kW = 4, kBlockH = 2, kBlockW = 3;
  Window window;
  window.kernel = {kBlockH, kBlockW}, window.strides = {2, 1}, window.dilations = {2, 1};
  window.pads = {1, 1, 0, 1};
  // (5 + 1 - 3) / 2 + 1 rows of (4 + 2 - 3) + 1 blocks.
  constexpr size_t kRows = 2, kColumns = 4;
  const Shape shape = {1, 2 * kBlockH * kBlockW, kRows * kColumns};
  const Numbers x = Probe::noise(shape);
  Numbers expected(2 * kH * kW, 0);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t block = i % (kRows * kColumns), tap = i / (kRows * kColumns);
    const size_t row = block / kColumns * 2 + tap / kBlockW % kBlockH * 2 - 1;
    const size_t column = block % kColumns + tap % kBlockW - 1;  // both wrap below 0
    if (row < kH && column < kW)
      expected[(tap / (kBlockH * kBlockW) * kH + row) * kW + column] += x[i];
  }
  Probe probe;
  EXPECT_EQ(probe.numbers(col2im(probe.graph, "y", probe.feed(shape, x), {kH, kW}, window)),
            expected);
}

TEST(Scatter, SequencesAreReversed) {
  Probe probe;
  const Numbers x = Probe::noise({4, 3});
  const TensorId t = probe.feed({4, 3}, x);
  Numbers expected = x;
  const Numbers lengths = {4, 1, 3};
  for (size_t b = 0; b < 3; ++b) {
    for (size_t i = 0; i < static_cast<size_t>(lengths[b]); ++i) {
      expected[i * 3 + b] = x[(static_cast<size_t>(lengths[b]) - 1 - i) * 3 + b];
    }
  }
  EXPECT_EQ(probe.numbers(
                reverse_sequence(probe.graph, "y", t, probe.feed({3}, lengths, DType::i64), {})),
            expected);
  // Lengths beyond the extent are the extent.
  const auto far =
      reverse_sequence(probe.graph, "z", t, probe.feed({3}, {1e12, 0, -5}, DType::i64), {});
  EXPECT_EQ(probe.numbers(far)[0], x[9]);
}

TEST(BitCast, KeepsBits) {
  Probe probe;
  EXPECT_EQ(
      probe.numbers(bit_cast(probe.graph, "a", probe.feed({2}, {-1, 127}, DType::i8), DType::u8)),
      (Numbers{255, 127}));
  EXPECT_EQ(
      probe.numbers(bit_cast(probe.graph, "b", probe.feed({2}, {1, -2}, DType::f16), DType::i16)),
      (Numbers{0x3c00, -0x4000}));
  EXPECT_EQ(probe.numbers(bit_cast(probe.graph, "c", probe.feed({2}, {0x3f80, -0x4000}, DType::i16),
                                   DType::bf16)),
            (Numbers{1, -2}));
  const auto wide = bit_cast(probe.graph, "", probe.feed({1}, {1}), DType::i32);
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().kind(), ErrorKind::unsupported);
  expect_error(bit_cast(probe.graph, "", probe.feed({1}, {1}), DType::i16), "differ in width");
}

TEST(Scatter, RefusesWhatDoesNotFit) {
  Probe probe;
  Graph& g = probe.graph;
  const TensorId data = probe.feed({2, 3}, Numbers(6, 1));
  const TensorId flags = probe.feed({2, 3}, Numbers(6, 1), DType::boolean);
  const TensorId outside = probe.constant({1, 1}, {-3}, DType::i64);
  const TensorId one = probe.feed({1, 1}, {1});
  const TensorId at = probe.feed({1, 1}, {1}, DType::i64);
  const TensorId tall = probe.feed({1, 4}, Numbers(4, 1), DType::i64);
  const auto elements = [&](TensorId x, TensorId indices, TensorId updates, int64_t axis = 0) {
    return scatter_elements(g, "", x, indices, updates, axis, ReduceOp::sum);
  };
  expect_error(elements(data, outside, one), "Index (-3) is outside the extent (2)");
  expect_error(elements(data, tall, one), "indices' shape (1, 4)");
  expect_error(elements(data, at, data), "updates' shape (2, 3)");
  expect_error(elements(data, at, at), "differ");
  expect_error(elements(data, at, one, 2), "Axis (2)");
  expect_error(elements(data, one, one), "not a whole number");
  expect_error(
      scatter_elements(g, "", flags, at, probe.feed({1, 1}, {1}, DType::boolean), 0, ReduceOp::sum),
      "has no reduction");
  expect_error(
      scatter_nd(g, "", data, probe.feed({1, 3}, {0, 0, 0}, DType::i64), one, ReduceOp::none),
      "indices' shape (1, 3)");
  expect_error(tensor_scatter(g, "", data, data, kNoTensor, {}), "update's shape");
  expect_error(reverse_sequence(g, "", data, at, {}), "no list of whole numbers");
  expect_error(reverse_sequence(g, "", data, at, {.batch_axis = 0}), "Both axes");
  expect_error(col2im(g, "", data, {2}, {.kernel = {1}}), "three dimensions");
  const TensorId blocks = probe.feed({1, 3, 2}, Numbers(6, 1));
  expect_error(col2im(g, "", blocks, {3}, {.kernel = {2}}), "whole blocks");
  const TensorId image = probe.feed({1, 1, 2}, {1, 2});
  const TensorId places = probe.feed({1, 1, 2}, {0, 1}, DType::i64);
  expect_error(max_unpool(g, "", image, at, {.kernel = {2}}, {}), "indices");
  expect_error(max_unpool(g, "", image, places, {.kernel = {2}, .strides = {2}}, {1, 1, 3}),
               "smaller than");
}

}  // namespace
}  // namespace leat::ops
