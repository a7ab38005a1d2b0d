// Operators that move elements, against hand-written results; the input mostly counts 0, 1, 2, ...
#include <limits>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

Numbers count_up(const Shape& shape) {
  Numbers values;
  for (int64_t i = 0; i < element_count(shape); ++i) values.push_back(static_cast<double>(i));
  return values;
}

class Movement : public testing::Test {
 protected:
  TensorId counting(const Shape& shape, DType dtype = DType::f32) {
    return probe.feed(shape, count_up(shape), dtype);
  }
  /// Runs it and checks the shape too.
  void expect(const Result<TensorId>& result, const Shape& shape, const Numbers& numbers) {
    EXPECT_EQ(probe.numbers(result), numbers);
    EXPECT_EQ(result ? probe.shape(*result) : Shape{-1}, shape);
  }
  Probe probe;
};

TEST_F(Movement, ReshapeKeepsTheOrder) {
  const Shape shapes[] = {{2, 3, 4}, {24},    {4, 6},       {1, 24, 1},
                          {6, 4},    {2, 12}, {3, 2, 2, 2}, {2, 1, 3, 1, 4}};
  for (const Shape& from : shapes) {
    for (const Shape& to : shapes) {
      Probe one;
      const TensorId x = one.feed(from, count_up(from));
      const auto y = reshape(one.graph, "", x, to);
      EXPECT_EQ(one.numbers(y), count_up(to)) << to_string(from) << to_string(to);
      EXPECT_TRUE(one.graph.nodes[0].reshape);
    }
  }
}

TEST_F(Movement, ReshapeTargets) {
  const TensorId x = counting({2, 3, 4});
  expect(reshape(probe.graph, "", x, {0, -1}), {2, 12}, count_up({24}));
  expect(reshape(probe.graph, "", x, {2, 0, 1, -1}), {2, 3, 1, 4}, count_up({24}));
  expect(reshape(probe.graph, "", counting({}), {1, 1}), {1, 1}, {0});
  expect(reshape(probe.graph, "", counting({1, 1}), {}), {}, {0});
  expect(reshape(probe.graph, "", counting({0, 3}), {3, 0}, true), {3, 0}, {});
  expect_error(reshape(probe.graph, "r", x, {5, -1}), "(5, -1)");
  expect_error(reshape(probe.graph, "r", x, {-1, -1}), "negative");
  expect_error(reshape(probe.graph, "r", x, {2, 3}), "(2, 3)");
  expect_error(reshape(probe.graph, "r", x, {1LL << 40, 1LL << 40}), "limit");
}

TEST_F(Movement, FlattenSqueezeUnsqueeze) {
  const TensorId x = counting({2, 1, 3});
  expect(flatten(probe.graph, "", x, 2), {2, 3}, count_up({6}));
  expect(flatten(probe.graph, "", x, -1), {2, 3}, count_up({6}));
  expect(flatten(probe.graph, "", x, 0), {1, 6}, count_up({6}));
  expect(flatten(probe.graph, "", x, 3), {6, 1}, count_up({6}));
  expect_error(flatten(probe.graph, "f", x, 4), "(4)");
  expect(squeeze(probe.graph, "", x, {}), {2, 3}, count_up({6}));
  expect(squeeze(probe.graph, "", x, {-2}), {2, 3}, count_up({6}));
  expect_error(squeeze(probe.graph, "s", x, {0}), "not 1");
  expect(unsqueeze(probe.graph, "", x, {-1, 0}), {1, 2, 1, 3, 1}, count_up({6}));
  expect_error(unsqueeze(probe.graph, "u", x, {4}), "(4)");
}

TEST_F(Movement, Transpose) {
  const TensorId x = counting({2, 3});
  expect(transpose(probe.graph, "", x, {}), {3, 2}, {0, 3, 1, 4, 2, 5});
  const TensorId y = counting({2, 2, 2});
  expect(transpose(probe.graph, "", y, {2, 0, 1}), {2, 2, 2}, {0, 2, 4, 6, 1, 3, 5, 7});
  expect_error(transpose(probe.graph, "t", x, {0, 0}), "twice");
  expect_error(transpose(probe.graph, "t", x, {0}), "(2)");
}

TEST_F(Movement, Slice) {
  const TensorId x = counting({8});
  const auto sliced = [&](int64_t start, int64_t end, int64_t step) {
    return probe.numbers(
        slice(probe.graph, "", x, {.starts = {start}, .ends = {end}, .steps = {step}}));
  };
  EXPECT_EQ(sliced(1, 6, 2), (Numbers{1, 3, 5}));
  EXPECT_EQ(sliced(-3, kMax, 1), (Numbers{5, 6, 7}));
  EXPECT_EQ(sliced(-1, kMin, -3), (Numbers{7, 4, 1}));
  EXPECT_EQ(sliced(kMax, 2, -2), (Numbers{7, 5, 3}));
  EXPECT_EQ(sliced(5, 2, 1), Numbers{});
  EXPECT_EQ(sliced(-9, kMin, -3), (Numbers{0}));
  EXPECT_EQ(sliced(kMin, -9, -1), (Numbers{0}));
  EXPECT_EQ(sliced(0, 0, -1), Numbers{});
  EXPECT_EQ(sliced(kMin, 3, 1), (Numbers{0, 1, 2}));
  EXPECT_EQ(sliced(2, kMax, kMax), (Numbers{2}));
  EXPECT_EQ(sliced(0, 100, 7), (Numbers{0, 7}));
  const TensorId y = counting({3, 4});
  expect(slice(probe.graph, "", y, {.starts = {1, 1}, .ends = {3, 3}, .axes = {-1, 0}}), {2, 2},
         {5, 6, 9, 10});
  expect_error(slice(probe.graph, "s", x, {.starts = {0}, .ends = {1}, .steps = {0}}), "(0)");
  expect_error(slice(probe.graph, "s", x, {.starts = {0}, .ends = {1}, .axes = {1}}), "(1)");
  expect_error(slice(probe.graph, "s", x, {.starts = {0, 1}, .ends = {1}}), "(2)");
}

TEST_F(Movement, ConcatAndSplit) {
  const TensorId a = counting({2, 1}), b = counting({2, 2}), empty = counting({2, 0});
  const TensorId parts[] = {a, empty, b};
  const auto joined = concat(probe.graph, "cat", parts, -1);
  expect(joined, {2, 3}, {0, 0, 1, 1, 2, 3});
  const auto rows = split(probe.graph, "rows", *joined, {1, 0, 2}, 1);
  ASSERT_TRUE(rows);
  EXPECT_EQ(probe.numbers((*rows)[0]), (Numbers{0, 1}));
  EXPECT_EQ(probe.numbers((*rows)[1]), Numbers{});
  EXPECT_EQ(probe.numbers((*rows)[2]), (Numbers{0, 1, 2, 3}));
  const auto even = split_evenly(probe.graph, "even", counting({7}), 3, 0);
  ASSERT_TRUE(even);
  EXPECT_EQ(probe.numbers((*even)[0]), (Numbers{0, 1, 2}));
  EXPECT_EQ(probe.numbers((*even)[2]), (Numbers{6}));
  const auto nothing = split_evenly(probe.graph, "nothing", empty, 2, 1);
  ASSERT_TRUE(nothing);
  EXPECT_EQ(probe.shape((*nothing)[1]), (Shape{2, 0}));
  expect_error(split_evenly(probe.graph, "s", b, 3, 1), "(3)");
  expect_error(split(probe.graph, "s", b, {1, 2}, 1), "(2)");
  expect_error(split(probe.graph, "s", b, {3, -1}, 1), "(3, -1)");
  const TensorId wrong[] = {a, counting({3, 1})};
  expect_error(concat(probe.graph, "c", wrong, 1), "(3, 1)");
  const TensorId mixed[] = {a, counting({2, 1}, DType::i32)};
  expect_error(concat(probe.graph, "c", mixed, 1), "i32");
  expect_error(concat(probe.graph, "c", parts, 2), "(2)");
}

TEST_F(Movement, ConcatOfConstantsIsAConstant) {
  const TensorId parts[] = {probe.constant({2, 1}, {1, 2}, DType::i64),
                            probe.constant({2, 2}, {3, 4, 5, 6}, DType::i64)};
  const auto joined = concat(probe.graph, "cat", parts, 1);
  ASSERT_TRUE(joined);
  ASSERT_TRUE(probe.graph.tensors[*joined].constant);
  EXPECT_TRUE(probe.graph.nodes.empty());
  expect(joined, {2, 3}, {1, 3, 4, 2, 5, 6});
}

TEST_F(Movement, ExpandAndTile) {
  const TensorId x = counting({2, 1});
  expect(expand(probe.graph, "", x, {3, 1, 2}), {3, 2, 2}, {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1});
  expect(expand(probe.graph, "", counting({2, 3}), {1}), {2, 3}, count_up({6}));
  expect_error(expand(probe.graph, "e", x, {3, 2}), "(3, 2)");
  expect(tile(probe.graph, "", counting({2, 2}), {1, 2}), {2, 4}, {0, 1, 0, 1, 2, 3, 2, 3});
  expect(tile(probe.graph, "", counting({2}), {0}), {0}, {});
  expect_error(tile(probe.graph, "t", x, {2}), "(1)");
}

TEST_F(Movement, DepthAndSpace) {
  const TensorId x = counting({1, 8, 1, 2});
  expect(depth_to_space(probe.graph, "", x, 2), {1, 2, 2, 4},
         {0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15});
  expect(depth_to_space(probe.graph, "", x, 2, true), {1, 2, 2, 4},
         {0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15});
  const auto deep = depth_to_space(probe.graph, "", x, 2);
  ASSERT_TRUE(deep);
  expect(space_to_depth(probe.graph, "", *deep, 2), {1, 8, 1, 2}, count_up({16}));
  expect_error(depth_to_space(probe.graph, "d", x, 3), "(8)");
  expect_error(space_to_depth(probe.graph, "d", x, 2), "(1 and 2)");
  const TensorId pair = probe.feed({1, 2, 2, 2}, count_up({8}));
  expect(space_to_depth(probe.graph, "", pair, 2), {1, 8, 1, 1}, {0, 4, 1, 5, 2, 6, 3, 7});
  expect(space_to_depth(probe.graph, "", pair, 2, true), {1, 8, 1, 1}, count_up({8}));
}

TEST_F(Movement, Trilu) {
  const TensorId x = probe.feed({3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  expect(trilu(probe.graph, "", x, true), {3, 3}, {1, 2, 3, 0, 5, 6, 0, 0, 9});
  expect(trilu(probe.graph, "", x, false, -1), {3, 3}, {0, 0, 0, 4, 0, 0, 7, 8, 0});
  expect(trilu(probe.graph, "", x, true, kMax), {3, 3}, Numbers(9, 0));
  expect(trilu(probe.graph, "", x, false, kMax), {3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
}

// --- Padding
// --------------------------------------------------------------------------------------

TEST_F(Movement, PadModes) {
  const TensorId x = counting({4});
  const auto padded = [&](PadMode mode, const Ints& pads) {
    return probe.numbers(pad(probe.graph, "", x, {.pads = pads, .mode = mode, .value = 9}));
  };
  EXPECT_EQ(padded(PadMode::constant, {2, 1}), (Numbers{9, 9, 0, 1, 2, 3, 9}));
  EXPECT_EQ(padded(PadMode::constant, {-1, 2}), (Numbers{1, 2, 3, 9, 9}));
  EXPECT_EQ(padded(PadMode::constant, {-2, -2}), Numbers{});
  EXPECT_EQ(padded(PadMode::edge, {2, 1}), (Numbers{0, 0, 0, 1, 2, 3, 3}));
  EXPECT_EQ(padded(PadMode::reflect, {3, 2}), (Numbers{3, 2, 1, 0, 1, 2, 3, 2, 1}));
  EXPECT_EQ(padded(PadMode::reflect, {5, 4}), (Numbers{1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1}));
  EXPECT_EQ(padded(PadMode::reflect, {0, 2}), (Numbers{0, 1, 2, 3, 2, 1}));
  EXPECT_EQ(padded(PadMode::wrap, {5, 2}), (Numbers{3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1}));
  EXPECT_EQ(padded(PadMode::wrap, {-1, 2}), (Numbers{1, 2, 3, 1, 2}));
  EXPECT_EQ(padded(PadMode::reflect, {4, -1}), (Numbers{0, 1, 2, 1, 0, 1, 2}));
}

TEST_F(Movement, PadAxesAndComputedValue) {
  const TensorId x = counting({2, 2});
  expect(pad(probe.graph, "", x, {.pads = {1, 0}, .axes = {-1}, .value = 5}), {2, 3},
         {5, 0, 1, 5, 2, 3});
  const TensorId value = probe.feed({1}, {7});
  expect(pad(probe.graph, "", x, {.pads = {0, 0, 1, 0}, .value_tensor = value}), {3, 2},
         {0, 1, 2, 3, 7, 7});
  const TensorId whole = counting({1, 2}, DType::i64);
  expect(pad(probe.graph, "", whole, {.pads = {0, 1, 0, 1}, .value = -1}), {1, 4}, {-1, 0, 1, -1});
  expect(pad(probe.graph, "", counting({0}), {.pads = {1, 1}, .value = 3}), {2}, {3, 3});
  expect_error(pad(probe.graph, "p", counting({0}), {.pads = {1, 1}, .mode = PadMode::edge}),
               "(0)");
  expect_error(pad(probe.graph, "p", x, {.pads = {1, 1}}), "(2)");
  expect_error(pad(probe.graph, "p", x, {.pads = {-3, 0, 0, 0}}), "(-3 and 0)");
}

// --- Gathering
// ------------------------------------------------------------------------------------

TEST_F(Movement, Gather) {
  const TensorId x = counting({3, 2});
  const TensorId constant = probe.constant({2}, {-1, 0}, DType::i64);
  expect(gather(probe.graph, "", x, constant), {2, 2}, {4, 5, 0, 1});
  const TensorId computed = probe.feed({1, 2}, {1, -2}, DType::i32);
  expect(gather(probe.graph, "", x, computed, 1), {3, 1, 2}, {1, 0, 3, 2, 5, 4});
  const TensorId one = probe.constant({}, {1}, DType::i64);
  const auto row = gather(probe.graph, "row", x, one);
  expect(row, {2}, {2, 3});
  EXPECT_EQ(to_string(probe.graph.nodes.back().exprs, probe.graph.nodes.back().results[0].value),
            "load0[1, a0]");
  const TensorId outside = probe.feed({2}, {3, -4}, DType::i64);
  expect(gather(probe.graph, "", x, outside), {2, 2}, {0, 0, 0, 0});
  expect_error(gather(probe.graph, "g", x, probe.constant({1}, {3}, DType::i64)), "Index (3)");
  expect_error(gather(probe.graph, "g", x, x), "(f32)");
}

TEST_F(Movement, GatherElementsAndNd) {
  const TensorId x = probe.feed({3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const TensorId rows = probe.feed({2, 3}, {1, 2, 0, 2, 0, -3}, DType::i64);
  expect(gather_elements(probe.graph, "", x, rows, 0), {2, 3}, {4, 8, 3, 7, 2, 3});
  expect(gather_elements(probe.graph, "", x, probe.constant({1, 2}, {2, -3}, DType::i32), 1),
         {1, 2}, {3, 1});
  expect_error(gather_elements(probe.graph, "", x, probe.feed({1}, {0}, DType::i64), 0), "(1)");
  const TensorId cube = counting({2, 2, 2});
  const TensorId points = probe.feed({2, 2}, {0, 1, 1, -2}, DType::i64);
  expect(gather_nd(probe.graph, "", cube, points), {2, 2}, {2, 3, 4, 5});
  expect(gather_nd(probe.graph, "", cube, probe.constant({2, 1}, {1, 0}, DType::i64), 1), {2, 2},
         {2, 3, 4, 5});
  const TensorId deep = probe.constant({1, 3}, {1, 0, 1}, DType::i64);
  expect(gather_nd(probe.graph, "", cube, deep), {1}, {5});
  expect_error(gather_nd(probe.graph, "g", x, deep), "(1, 3)");
}

TEST_F(Movement, OneHot) {
  const TensorId indices = probe.feed({3}, {1, -1, 5}, DType::i64);
  const TensorId values = probe.constant({2}, {2, 9});
  expect(one_hot(probe.graph, "", indices, 3, values), {3, 3}, {2, 9, 2, 2, 2, 9, 2, 2, 2});
  expect(one_hot(probe.graph, "", indices, 2, values, 0), {2, 3}, {2, 2, 2, 9, 9, 2});
  expect_error(one_hot(probe.graph, "", indices, 0, values), "(0)");
}

// --- Made from nothing, and the old operators
// ------------------------------------------------------

TEST_F(Movement, Creation) {
  expect(constant_of_shape(probe.graph, "", {2, 2}, host_tensor(DType::i64, {1}, {7})), {2, 2},
         Numbers(4, 7));
  expect(eye_like(probe.graph, "", {2, 3}, DType::i32, 1), {2, 3}, {0, 1, 0, 0, 0, 1});
  const auto one = [](double value, DType dtype) { return host_tensor(dtype, {}, {value}); };
  const auto ranged = [&](double start, double limit, double delta, DType dtype) {
    return probe.numbers(
        range(probe.graph, "", one(start, dtype), one(limit, dtype), one(delta, dtype)));
  };
  EXPECT_EQ(ranged(10, 4, -2, DType::i64), (Numbers{10, 8, 6}));
  EXPECT_EQ(ranged(1, 2, 0.25, DType::f32), (Numbers{1, 1.25, 1.5, 1.75}));
  EXPECT_EQ(ranged(3, 3, 1, DType::i32), Numbers{});
  expect_error(range(probe.graph, "r", one(0, DType::f32), one(1, DType::f32), one(0, DType::f32)),
               "not finite");
  EXPECT_EQ(probe.numbers(scalar(probe.graph, "s", DType::f16, 0.5)), (Numbers{0.5}));
  const int64_t shape[] = {3, -1};
  EXPECT_EQ(probe.numbers(vector_i64(probe.graph, "v", shape)), (Numbers{3, -1}));
}

TEST_F(Movement, OldOperators) {
  const TensorId x = counting({1, 2, 1, 2});
  const float bias[] = {10, 20};
  expect(image_scaler(probe.graph, "", x, 2, bias), {1, 2, 1, 2}, {10, 12, 24, 26});
  expect(affine(probe.graph, "", x, 3, 1), {1, 2, 1, 2}, {1, 4, 7, 10});
  const TensorId y = counting({1, 1, 4, 5});
  expect(crop(probe.graph, "", y, {1, 2, 3, 0}, {}), {1, 1, 2, 1}, {11, 16});
  expect(crop(probe.graph, "", y, {1, 2, 0, 0}, {1, 2}), {1, 1, 1, 2}, {11, 12});
  expect_error(crop(probe.graph, "c", y, {9, 0, 0, 0}, {}), "(9, 0, 0, 0)");
}

}  // namespace
}  // namespace leat::ops
