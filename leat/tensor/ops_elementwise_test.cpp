// Element-wise operators against the C library and hand-computed values.
#include <cmath>
#include <functional>
#include <limits>

#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

TEST(Elementwise, BroadcastsBothWays) {
  Probe probe;
  const TensorId a = probe.feed({2, 1, 3}, {1, 2, 3, 4, 5, 6});
  const TensorId b = probe.feed({2, 1}, {10, 20});
  const auto sum = binary(probe.graph, "sum", ScalarOp::add, a, b);
  EXPECT_EQ(probe.numbers(sum), (Numbers{11, 12, 13, 21, 22, 23, 14, 15, 16, 24, 25, 26}));
  EXPECT_EQ(probe.shape(*sum), (Shape{2, 2, 3}));
}

TEST(Elementwise, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId a = probe.feed({2, 3}, Probe::noise({2, 3}));
  const TensorId b = probe.feed({2}, {1, 2});
  const TensorId whole = probe.feed({2, 3}, Probe::noise({2, 3}), DType::i32);
  const TensorId truth = probe.feed({2, 3}, Numbers(6, 1), DType::boolean);
  expect_error(binary(probe.graph, "s", ScalarOp::add, a, b), "(2, 3) and (2)");
  expect_error(binary(probe.graph, "s", ScalarOp::add, a, whole), "(f32 and i32)");
  expect_error(unary(probe.graph, "s", ScalarOp::exp, whole), "(i32)");
  expect_error(binary(probe.graph, "s", ScalarOp::bit_and, a, a), "bit_and");
  expect_error(binary(probe.graph, "s", ScalarOp::add, truth, truth), "(bool)");
  expect_error(compare(probe.graph, "s", Comparison::less, truth, truth), "no order");
  expect_error(clip(probe.graph, "s", a, b), "does not have one element");
}

TEST(Elementwise, NarrowWholeNumbersWrap) {
  Probe probe;
  const TensorId a = probe.feed({3}, {200, 255, 3}, DType::u8);
  const TensorId b = probe.feed({3}, {100, 1, 5}, DType::u8);
  EXPECT_EQ(probe.numbers(binary(probe.graph, "", ScalarOp::add, a, b)), (Numbers{44, 0, 8}));
  EXPECT_EQ(probe.numbers(binary(probe.graph, "", ScalarOp::sub, b, a)), (Numbers{156, 2, 2}));
  EXPECT_EQ(probe.numbers(bit_not(probe.graph, "", a)), (Numbers{55, 0, 252}));
  const TensorId two = probe.feed({3}, {1, 4, 9}, DType::u8);
  EXPECT_EQ(probe.numbers(binary(probe.graph, "", ScalarOp::shift_left, a, two)),
            (Numbers{144, 240, 0}));
  const TensorId c = probe.feed({2}, {-128, 127}, DType::i8);
  EXPECT_EQ(probe.numbers(unary(probe.graph, "", ScalarOp::neg, c)), (Numbers{-128, -127}));
}

TEST(Elementwise, ShiftsOfSignedNumbersKeepTheSign) {
  Probe probe;
  const TensorId a = probe.feed({6}, {-8, 4, -1, -128, -8, 127}, DType::i8);
  const TensorId b = probe.feed({6}, {1, 8, 127, 3, -1, -16}, DType::i8);
  EXPECT_EQ(probe.numbers(binary(probe.graph, "", ScalarOp::shift_right, a, b)),
            (Numbers{-4, 0, -1, -16, -1, 0}));
  EXPECT_EQ(probe.numbers(binary(probe.graph, "", ScalarOp::shift_left, a, b)),
            (Numbers{-16, 0, 0, 0, 0, 0}));
}

TEST(Elementwise, FloorModuloOfInfinitiesAndZeros) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Probe probe;
  const TensorId a = probe.feed({9}, {0, -0.0, -3, 3, -1, 1, kInfinite, -kInfinite, 1});
  const TensorId b =
      probe.feed({9}, {-2, 2, kInfinite, kInfinite, -kInfinite, -kInfinite, 2, -kInfinite, 0});
  const Numbers rest = probe.numbers(mod(probe.graph, "", a, b, false));
  expect_close(rest, {0, 0, kInfinite, 3, -1, -kInfinite, nan, nan, nan}, 0);
  EXPECT_TRUE(std::signbit(rest[0]));
  EXPECT_FALSE(std::signbit(rest[1]));
}

TEST(Elementwise, WholeNumberDivisionTruncatesAndModHasBothSigns) {
  Probe probe;
  const TensorId a = probe.feed({6}, {-4, 7, 5, 4, -7, 8}, DType::i32);
  const TensorId b = probe.feed({6}, {2, -3, 8, -2, 3, 5}, DType::i32);
  EXPECT_EQ(probe.numbers(binary(probe.graph, "", ScalarOp::div, a, b)),
            (Numbers{-2, -2, 0, -2, -2, 1}));
  EXPECT_EQ(probe.numbers(mod(probe.graph, "", a, b, false)), (Numbers{0, -2, 5, 0, 2, 3}));
  EXPECT_EQ(probe.numbers(mod(probe.graph, "", a, b, true)), (Numbers{0, 1, 5, 0, -1, 3}));
  const Numbers x = {-4.3, 7.2, 5.0, 4.3, -7.2, 8.0};
  const Numbers y = {2.1, -3.4, 8.0, -2.1, 3.4, 5.0};
  Numbers expected;
  for (size_t i = 0; i < x.size(); ++i) expected.push_back(std::fmod(x[i], y[i]));
  // The remainder inherits the inputs' rounding to f32.
  expect_close(probe.numbers(mod(probe.graph, "", probe.feed({6}, x), probe.feed({6}, y), true)),
               expected, 1e-5);
}

TEST(Elementwise, Power) {
  Probe probe;
  const TensorId base = probe.feed({5}, {-2, -2, 0, 4, 3});
  const TensorId exponent = probe.feed({5}, {3, 2, 0, 0.5, -1});
  expect_close(probe.numbers(pow(probe.graph, "", base, exponent)), {-8, 4, 1, 2, 1.0 / 3},
               kRounding);
  for (double fixed : {1.0, 2.0, 3.0, 0.5, -1.0, 1.7}) {
    const TensorId constant = probe.constant({1}, {fixed});
    Numbers expected;
    for (double value : {4.0, 0.25, 9.0}) expected.push_back(std::pow(value, fixed));
    const TensorId x = probe.feed({3}, {4, 0.25, 9});
    expect_close(probe.numbers(pow(probe.graph, "", x, constant)), expected, kRounding);
  }
  const TensorId whole = probe.feed({3}, {2, -3, 7}, DType::i64);
  const TensorId powers = probe.feed({3}, {10, 3, 0}, DType::f32);
  const auto result = pow(probe.graph, "", whole, powers);
  EXPECT_EQ(probe.numbers(result), (Numbers{1024, -27, 1}));
  EXPECT_EQ(probe.dtype(*result), DType::i64);
}

TEST(Elementwise, ComparesAndSelects) {
  Probe probe;
  const TensorId a = probe.feed({3}, {1, 2, 3});
  const TensorId b = probe.feed({1}, {2});
  EXPECT_EQ(probe.numbers(compare(probe.graph, "", Comparison::less, a, b)), (Numbers{1, 0, 0}));
  EXPECT_EQ(probe.numbers(compare(probe.graph, "", Comparison::less_equal, a, b)),
            (Numbers{1, 1, 0}));
  EXPECT_EQ(probe.numbers(compare(probe.graph, "", Comparison::greater, a, b)), (Numbers{0, 0, 1}));
  EXPECT_EQ(probe.numbers(compare(probe.graph, "", Comparison::greater_equal, a, b)),
            (Numbers{0, 1, 1}));
  EXPECT_EQ(probe.numbers(compare(probe.graph, "", Comparison::equal, a, b)), (Numbers{0, 1, 0}));
  const TensorId p = probe.feed({4}, {0, 0, 1, 1}, DType::boolean);
  const TensorId q = probe.feed({4}, {0, 1, 0, 1}, DType::boolean);
  EXPECT_EQ(probe.numbers(compare(probe.graph, "", Comparison::equal, p, q)),
            (Numbers{1, 0, 0, 1}));
  EXPECT_EQ(probe.numbers(binary(probe.graph, "", ScalarOp::logical_xor, p, q)),
            (Numbers{0, 1, 1, 0}));
  EXPECT_EQ(probe.numbers(unary(probe.graph, "", ScalarOp::logical_not, p)), (Numbers{1, 1, 0, 0}));
  const TensorId condition = probe.feed({2, 1}, {1, 0}, DType::boolean);
  EXPECT_EQ(probe.numbers(where(probe.graph, "", condition, a, b)), (Numbers{1, 2, 3, 2, 2, 2}));
  expect_error(where(probe.graph, "", a, a, b), "not bool");
}

TEST(Elementwise, ClipWithComputedAndConstantLimits) {
  Probe probe;
  const TensorId x = probe.feed({4}, {-3, -1, 1, 3});
  const TensorId low = probe.feed({}, {-2});
  const TensorId high = probe.constant({1}, {2});
  EXPECT_EQ(probe.numbers(clip(probe.graph, "", x, low, high)), (Numbers{-2, -1, 1, 2}));
  EXPECT_EQ(probe.numbers(clip(probe.graph, "", x, kNoTensor, high)), (Numbers{-3, -1, 1, 2}));
  EXPECT_EQ(probe.numbers(clip_to(probe.graph, "", x, 0.0, 6.0)), (Numbers{0, 0, 1, 3}));
  EXPECT_EQ(probe.numbers(clip(probe.graph, "", x)), (Numbers{-3, -1, 1, 3}));
}

TEST(Elementwise, NanAndInfinity) {
  Probe probe;
  const TensorId x = probe.feed({4}, {kNan, kInfinity, -kInfinity, 1});
  EXPECT_EQ(probe.numbers(is_nan(probe.graph, "", x)), (Numbers{1, 0, 0, 0}));
  EXPECT_EQ(probe.numbers(is_inf(probe.graph, "", x)), (Numbers{0, 1, 1, 0}));
  EXPECT_EQ(probe.numbers(is_inf(probe.graph, "", x, true, false)), (Numbers{0, 1, 0, 0}));
  EXPECT_EQ(probe.numbers(is_inf(probe.graph, "", x, false, true)), (Numbers{0, 0, 1, 0}));
  EXPECT_EQ(probe.numbers(is_inf(probe.graph, "", x, false, false)), (Numbers{0, 0, 0, 0}));
}

TEST(Elementwise, Casts) {
  Probe probe;
  const TensorId x = probe.feed({5}, {-1.9, 0, 0.5, 300.7, 1e5});
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", x, DType::i32)), (Numbers{-1, 0, 0, 300, 100000}));
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", x, DType::u8)), (Numbers{255, 0, 0, 44, 160}));
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", x, DType::boolean)), (Numbers{1, 0, 1, 1, 1}));
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", x, DType::f16)),
            (Numbers{-1.900390625, 0, 0.5, 300.75, kInfinity}));
  const TensorId truth = probe.feed({2}, {0, 1}, DType::boolean);
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", truth, DType::f32)), (Numbers{0, 1}));
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", truth, DType::i64)), (Numbers{0, 1}));
  const TensorId wide = probe.feed({2}, {40000, -129}, DType::i64);
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", wide, DType::i16)), (Numbers{-25536, -129}));
  EXPECT_EQ(probe.numbers(cast(probe.graph, "", wide, DType::i8)), (Numbers{64, 127}));
  EXPECT_EQ(probe.numbers(identity(probe.graph, "", wide)), (Numbers{40000, -129}));
}

TEST(Elementwise, VariadicOverManyInputs) {
  Probe probe;
  std::vector<TensorId> inputs;
  for (int i = 0; i < 19; ++i) {
    inputs.push_back(probe.feed({2}, {static_cast<double>(i), static_cast<double>(-i)}));
  }
  EXPECT_EQ(probe.numbers(variadic(probe.graph, "s", Variadic::sum, inputs)), (Numbers{171, -171}));
  EXPECT_EQ(probe.numbers(variadic(probe.graph, "m", Variadic::mean, inputs)), (Numbers{9, -9}));
  EXPECT_EQ(probe.numbers(variadic(probe.graph, "l", Variadic::min, inputs)), (Numbers{0, -18}));
  EXPECT_EQ(probe.numbers(variadic(probe.graph, "h", Variadic::max, inputs)), (Numbers{18, 0}));
  for (const Node& node : probe.graph.nodes) EXPECT_LE(node.inputs.size(), 8u);
  expect_error(variadic(probe.graph, "", Variadic::sum, {}), "(0)");
}

// --- Activations
// ----------------------------------------------------------------------------------

struct ActivationCase {
  Activation kind;
  std::function<double(double)> formula;
};

double softplus_of(double x) { return x > 30 ? x : std::log1p(std::exp(x)); }

const std::vector<ActivationCase>& activation_cases() {
  static const std::vector<ActivationCase> cases = {
      {Activation::relu, [](double x) { return x > 0 ? x : 0; }},
      {Activation::leaky_relu, [](double x) { return x > 0 ? x : 0.01 * x; }},
      {Activation::elu, [](double x) { return x > 0 ? x : std::expm1(x); }},
      {Activation::selu,
       [](double x) {
         return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x));
       }},
      {Activation::celu, [](double x) { return x > 0 ? x : std::expm1(x); }},
      {Activation::sigmoid, [](double x) { return 0.5 + 0.5 * std::tanh(x / 2); }},
      {Activation::hard_sigmoid,
       [](double x) { return std::fmin(1, std::fmax(0, 0.2 * x + 0.5)); }},
      {Activation::hard_swish, [](double x) { return x <= -3  ? 0
                                                     : x >= 3 ? x
                                                              : x * (x + 3) / 6; }},
      {Activation::softplus, softplus_of},
      {Activation::softsign, [](double x) { return x / (1 + std::fabs(x)); }},
      {Activation::gelu_erf, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }},
      {Activation::gelu_tanh,
       [](double x) {
         return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * std::pow(x, 3))));
       }},
      {Activation::mish, [](double x) { return x * std::tanh(softplus_of(x)); }},
      {Activation::swish, [](double x) { return x * (0.5 + 0.5 * std::tanh(x / 2)); }},
      {Activation::thresholded_relu, [](double x) { return x > 1 ? x : 0; }},
      {Activation::shrink, [](double x) { return std::fabs(x) > 0.5 ? x : 0; }},
      {Activation::reciprocal, [](double x) { return 1 / x; }},
      {Activation::sign, [](double x) { return x > 0   ? 1
                                               : x < 0 ? -1
                                                       : 0; }},
  };
  return cases;
}

TEST(Activation, FollowsItsFormula) {
  const Numbers x = {-200, -20, -3.5, -1, -0.25, 0.125, 0.5, 1, 2.75, 20, 200};
  for (const ActivationCase& one : activation_cases()) {
    Probe probe;
    const TensorId input = probe.feed({static_cast<int64_t>(x.size())}, x);
    Numbers expected;
    for (double value : x) expected.push_back(one.formula(value));
    SCOPED_TRACE(static_cast<int>(one.kind));
    expect_close(probe.numbers(activation(probe.graph, "", one.kind, input)), expected, kRounding);
  }
}

TEST(Activation, TakesParametersAndWholeNumbers) {
  Probe probe;
  const TensorId x = probe.feed({4}, {-2, -1, 1, 2});
  EXPECT_EQ(probe.numbers(activation(probe.graph, "", Activation::leaky_relu, x, {.alpha = 0.5})),
            (Numbers{-1, -0.5, 1, 2}));
  EXPECT_EQ(probe.numbers(
                activation(probe.graph, "", Activation::shrink, x, {.alpha = 1.5, .beta = 1.5})),
            (Numbers{-0.5, 0, 0, 0.5}));
  const TensorId whole = probe.feed({4}, {-2, -1, 1, 2}, DType::i8);
  EXPECT_EQ(probe.numbers(activation(probe.graph, "", Activation::relu, whole)),
            (Numbers{0, 0, 1, 2}));
  EXPECT_EQ(probe.numbers(activation(probe.graph, "", Activation::sign, whole)),
            (Numbers{-1, -1, 1, 1}));
  expect_error(activation(probe.graph, "", Activation::sigmoid, whole), "(i8)");
}

TEST(Activation, PreluBroadcastsItsSlope) {
  Probe probe;
  const TensorId x = probe.feed({2, 2}, {-1, -2, 3, -4});
  const TensorId slope = probe.feed({2, 1}, {0.5, 2});
  EXPECT_EQ(probe.numbers(prelu(probe.graph, "", x, slope)), (Numbers{-0.5, -1, 3, -8}));
  const TensorId wide = probe.feed({3, 1, 2}, Probe::noise({3, 1, 2}));
  expect_error(prelu(probe.graph, "", x, wide), "does not broadcast");
}

}  // namespace
}  // namespace leat::ops
