// Reductions, positions of extremes, soft-max, running sums and normalisations, against loops over
// a tensor seen as (outer, reduced, inner).
#include <cmath>
#include <functional>
#include <limits>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Applies `function` to every line of `middle` values in a (outer, middle, inner) tensor.
Numbers per_line(const Numbers& x, size_t middle, size_t inner,
                 const std::function<double(const Numbers&)>& function) {
  Numbers out;
  for (size_t o = 0; o < x.size() / (middle * inner); ++o)
    for (size_t i = 0; i < inner; ++i) {
      Numbers line;
      for (size_t m = 0; m < middle; ++m) line.push_back(x[(o * middle + m) * inner + i]);
      out.push_back(function(line));
    }
  return out;
}

double fold(const Numbers& line, double start, const std::function<double(double, double)>& step) {
  for (double value : line) start = step(start, value);
  return start;
}

struct ReductionCase {
  Reduction reduction;
  std::function<double(const Numbers&)> formula;
};

std::vector<ReductionCase> reduction_cases() {
  const auto sum = [](const Numbers& l) { return fold(l, 0, std::plus<>()); };
  const auto squares = [](const Numbers& l) {
    return fold(l, 0, [](double a, double b) { return a + b * b; });
  };
  return {
      {Reduction::sum, sum},
      {Reduction::mean, [=](const Numbers& l) { return sum(l) / static_cast<double>(l.size()); }},
      {Reduction::max,
       [](const Numbers& l) {
         return fold(l, -kInfinity, [](double a, double b) { return std::fmax(a, b); });
       }},
      {Reduction::min,
       [](const Numbers& l) {
         return fold(l, kInfinity, [](double a, double b) { return std::fmin(a, b); });
       }},
      {Reduction::product, [](const Numbers& l) { return fold(l, 1, std::multiplies<>()); }},
      {Reduction::l1,
       [](const Numbers& l) {
         return fold(l, 0, [](double a, double b) { return a + std::fabs(b); });
       }},
      {Reduction::l2, [=](const Numbers& l) { return std::sqrt(squares(l)); }},
      {Reduction::log_sum, [=](const Numbers& l) { return std::log(sum(l)); }},
      {Reduction::log_sum_exp,
       [](const Numbers& l) {
         return std::log(fold(l, 0, [](double a, double b) { return a + std::exp(b); }));
       }},
      {Reduction::sum_square, squares},
  };
}

TEST(Reduce, MatchesLoops) {
  Numbers x = Probe::noise({2, 3, 4}, 4);
  for (double& value : x) value = std::fabs(value) + 0.5;
  for (const ReductionCase& one : reduction_cases()) {
    SCOPED_TRACE(static_cast<int>(one.reduction));
    Probe probe;
    const TensorId t = probe.feed({2, 3, 4}, x);
    const auto middle = reduce(probe.graph, "", one.reduction, t, {.axes = Ints{-2}});
    expect_close(probe.numbers(middle), per_line(x, 3, 4, one.formula), kRounding);
    EXPECT_EQ(probe.shape(*middle), (Shape{2, 1, 4}));
    const auto tail =
        reduce(probe.graph, "", one.reduction, t, {.axes = Ints{2, 1}, .keep_dims = false});
    expect_close(probe.numbers(tail), per_line(x, 12, 1, one.formula), kRounding);
    EXPECT_EQ(probe.shape(*tail), (Shape{2}));
    const auto all = reduce(probe.graph, "", one.reduction, t, {.keep_dims = false});
    expect_close(probe.numbers(all), per_line(x, 24, 1, one.formula), kRounding);
    EXPECT_EQ(probe.shape(*all), Shape{});
    const auto none = reduce(probe.graph, "", one.reduction, t, {.axes = Ints{}});
    expect_close(probe.numbers(none), per_line(x, 1, 1, one.formula), kRounding);
  }
}

TEST(Reduce, EmptySetsGiveTheNeutralElement) {
  const std::pair<Reduction, double> cases[] = {{Reduction::sum, 0},
                                                {Reduction::product, 1},
                                                {Reduction::max, -kInfinity},
                                                {Reduction::min, kInfinity},
                                                {Reduction::l1, 0},
                                                {Reduction::l2, 0},
                                                {Reduction::sum_square, 0},
                                                {Reduction::log_sum, -kInfinity},
                                                {Reduction::log_sum_exp, -kInfinity}};
  for (const auto& [reduction, expected] : cases) {
    Probe probe;
    const TensorId x = probe.feed({2, 0, 3}, {});
    const auto y = reduce(probe.graph, "", reduction, x, {.axes = Ints{1}});
    EXPECT_EQ(probe.numbers(y), Numbers(6, expected)) << static_cast<int>(reduction);
  }
}

TEST(Reduce, LogSumExpDoesNotOverflow) {
  Probe probe;
  const TensorId x = probe.feed({2, 2}, {1000, 1000, -1000, -1000});
  expect_close(probe.numbers(reduce(probe.graph, "", Reduction::log_sum_exp, x, {.axes = Ints{1}})),
               {1000 + std::log(2.0), -1000 + std::log(2.0)}, kRounding);
}

TEST(Reduce, WholeNumbersAndBool) {
  Probe probe;
  const TensorId x = probe.feed({2, 3}, {1, 2, 3, -4, 5, 6}, DType::i64);
  EXPECT_EQ(probe.numbers(reduce(probe.graph, "", Reduction::sum, x, {.axes = Ints{1}})),
            (Numbers{6, 7}));
  EXPECT_EQ(probe.numbers(reduce(probe.graph, "", Reduction::product, x, {.axes = Ints{0}})),
            (Numbers{-4, 10, 18}));
  EXPECT_EQ(probe.numbers(reduce(probe.graph, "", Reduction::mean, x, {.axes = Ints{1}})),
            (Numbers{2, 2}));
  const TensorId nothing = probe.feed({2, 0}, {}, DType::boolean);
  EXPECT_EQ(probe.numbers(reduce(probe.graph, "", Reduction::max, nothing, {Ints{1}})),
            (Numbers{0, 0}));
  EXPECT_EQ(probe.numbers(reduce(probe.graph, "", Reduction::min, nothing, {Ints{1}})),
            (Numbers{1, 1}));
  const TensorId truth = probe.feed({2, 2}, {0, 1, 1, 1}, DType::boolean);
  EXPECT_EQ(probe.numbers(reduce(probe.graph, "", Reduction::min, truth, {.axes = Ints{1}})),
            (Numbers{0, 1}));
  expect_error(reduce(probe.graph, "", Reduction::sum, truth, {}), "(bool)");
  expect_error(reduce(probe.graph, "r", Reduction::sum, x, {.axes = Ints{2}}), "(2)");
  expect_error(reduce(probe.graph, "r", Reduction::sum, x, {.axes = Ints{1, -1}}), "twice");
}

TEST(Arg, FirstAndLastOfEqualValues) {
  Probe probe;
  const TensorId x = probe.feed({2, 4}, {2, 7, 7, 1, -3, -5, -5, -5});
  const auto position = [&](bool maximum, bool last, int64_t axis) {
    const ArgOptions options = {.axis = axis, .keep_dims = false, .select_last_index = last};
    return probe.numbers(maximum ? arg_max(probe.graph, "", x, options)
                                 : arg_min(probe.graph, "", x, options));
  };
  EXPECT_EQ(position(true, false, 1), (Numbers{1, 0}));
  EXPECT_EQ(position(true, true, -1), (Numbers{2, 0}));
  EXPECT_EQ(position(false, false, 1), (Numbers{3, 1}));
  EXPECT_EQ(position(false, true, 1), (Numbers{3, 3}));
  EXPECT_EQ(position(true, false, 0), (Numbers{0, 0, 0, 0}));
  const auto kept = arg_max(probe.graph, "", x, {.axis = 1});
  ASSERT_TRUE(kept);
  EXPECT_EQ(probe.shape(*kept), (Shape{2, 1}));
  EXPECT_EQ(probe.dtype(*kept), DType::i64);
  const TensorId empty = probe.feed({2, 0}, {});
  expect_error(arg_max(probe.graph, "", empty, {.axis = 1}), "no elements");
}

TEST(Softmax, OverOneAxisAndFlattened) {
  Probe probe;
  const Numbers x = Probe::noise({2, 3, 4}, 6);
  const TensorId t = probe.feed({2, 3, 4}, x);
  const auto expected = [&](size_t middle, size_t inner, bool logarithm) {
    Numbers out(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t line = i / (middle * inner) * middle * inner + i % inner;
      double sum = 0;
      for (size_t m = 0; m < middle; ++m) sum += std::exp(x[line + m * inner]);
      out[i] = logarithm ? x[i] - std::log(sum) : std::exp(x[i]) / sum;
    }
    return out;
  };
  expect_close(probe.numbers(softmax(probe.graph, "", t, {.axis = 1})), expected(3, 4, false),
               kRounding);
  expect_close(probe.numbers(softmax(probe.graph, "", t, {.axis = 1, .flatten = true})),
               expected(12, 1, false), kRounding);
  expect_close(probe.numbers(log_softmax(probe.graph, "", t, {})), expected(4, 1, true), kRounding);
}

TEST(Softmax, LargeValuesAndHalf) {
  Probe probe;
  const TensorId x = probe.feed({1, 3}, {10000, 10000, 0}, DType::f16);
  EXPECT_EQ(probe.numbers(softmax(probe.graph, "", x, {})), (Numbers{0.5, 0.5, 0}));
  const TensorId y = probe.feed({1, 2}, {3e38, -3e38});
  EXPECT_EQ(probe.numbers(softmax(probe.graph, "", y, {})), (Numbers{1, 0}));
}

TEST(Softmax, HardmaxMarksTheFirstMaximum) {
  Probe probe;
  const TensorId x = probe.feed({2, 2, 2}, {1, 3, 3, 0, 5, 2, 5, 6});
  EXPECT_EQ(probe.numbers(hardmax(probe.graph, "", x, {})), (Numbers{0, 1, 1, 0, 1, 0, 0, 1}));
  EXPECT_EQ(probe.numbers(hardmax(probe.graph, "", x, {.axis = 1, .flatten = true})),
            (Numbers{0, 1, 0, 0, 0, 0, 0, 1}));
}

TEST(Cumsum, AllDirections) {
  Probe probe;
  const TensorId x = probe.feed({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(probe.numbers(cumsum(probe.graph, "", x, {.axis = 1})), (Numbers{1, 3, 6, 4, 9, 15}));
  EXPECT_EQ(probe.numbers(cumsum(probe.graph, "", x, {.axis = 0})), (Numbers{1, 2, 3, 5, 7, 9}));
  EXPECT_EQ(probe.numbers(cumsum(probe.graph, "", x, {.axis = -1, .exclusive = true})),
            (Numbers{0, 1, 3, 0, 4, 9}));
  EXPECT_EQ(probe.numbers(cumsum(probe.graph, "", x, {.axis = 1, .reverse = true})),
            (Numbers{6, 5, 3, 15, 11, 6}));
  EXPECT_EQ(
      probe.numbers(cumsum(probe.graph, "", x, {.axis = 1, .exclusive = true, .reverse = true})),
      (Numbers{5, 3, 0, 11, 6, 0}));
}

TEST(Cumprod, AllDirections) {
  Probe probe;
  const TensorId x = probe.feed({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(probe.numbers(cumprod(probe.graph, "", x, {.axis = 1})),
            (Numbers{1, 2, 6, 4, 20, 120}));
  EXPECT_EQ(probe.numbers(cumprod(probe.graph, "", x, {.axis = 0, .exclusive = true})),
            (Numbers{1, 1, 1, 1, 2, 3}));
  EXPECT_EQ(
      probe.numbers(cumprod(probe.graph, "", x, {.axis = -1, .exclusive = true, .reverse = true})),
      (Numbers{6, 3, 1, 30, 6, 1}));
  const TensorId bytes = probe.feed({3}, {-100, 3, 2}, DType::i8);
  EXPECT_EQ(probe.numbers(cumprod(probe.graph, "", bytes, {.axis = 0})), (Numbers{-100, -44, -88}));
}

}  // namespace
}  // namespace leat::ops
