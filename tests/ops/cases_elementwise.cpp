// Rows of the operators that compute element by element.
#include <cmath>
#include <limits>

#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

struct UnaryRow {
  ScalarOp op;
  double low;  // inputs stay where the function is well conditioned
  double high;
};

constexpr UnaryRow kUnaryRows[] = {
    {ScalarOp::neg, -9, 9},       {ScalarOp::abs, -9, 9},     {ScalarOp::sqrt, 0, 9},
    {ScalarOp::floor, -9, 9},     {ScalarOp::ceil, -9, 9},    {ScalarOp::round_even, -9, 9},
    {ScalarOp::exp, -3, 3},       {ScalarOp::log, 0.1, 9},    {ScalarOp::sin, -9, 9},
    {ScalarOp::cos, -9, 9},       {ScalarOp::tan, -1.2, 1.2}, {ScalarOp::asin, -0.9, 0.9},
    {ScalarOp::acos, -0.9, 0.9},  {ScalarOp::atan, -9, 9},    {ScalarOp::sinh, -3, 3},
    {ScalarOp::cosh, -3, 3},      {ScalarOp::tanh, -3, 3},    {ScalarOp::asinh, -9, 9},
    {ScalarOp::expm1, -3, 3},     {ScalarOp::log1p, -0.5, 9}, {ScalarOp::acosh, 1.1, 9},
    {ScalarOp::atanh, -0.9, 0.9}, {ScalarOp::erf, -3, 3},
};

void add_unary_cases(OpCases& cases) {
  for (const UnaryRow& row : kUnaryRows) {
    for (DType dtype : {DType::f32, DType::f16}) {
      cases.push_back(
          {std::string(name_of(row.op)) + "_" + std::string(name_of(dtype)),
           [row, dtype](OpGraph& g) {
             return unary(g.graph, "y", row.op, g.feed({3, 5, 3}, dtype, row.low, row.high));
           },
           dtype == DType::f32 ? kFewUlp : kHalfRounding});
    }
  }
  for (ScalarOp op : {ScalarOp::neg, ScalarOp::abs}) {
    for (DType dtype : {DType::i8, DType::i32}) {
      cases.push_back(
          {std::string(name_of(op)) + "_" + std::string(name_of(dtype)), [op, dtype](OpGraph& g) {
             return unary(g.graph, "y", op, g.feed({17}, dtype, -128, 128));
           }});
    }
  }
  // Halves go to the even neighbour.
  cases.push_back(
      {"round_even_halves", [](OpGraph& g) {
         const TensorId x = g.feed_values({7}, {-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 8388609});
         return unary(g.graph, "y", ScalarOp::round_even, x);
       }});
  cases.push_back({"logical_not", [](OpGraph& g) {
                     return unary(g.graph, "y", ScalarOp::logical_not,
                                  g.feed({17}, DType::boolean));
                   }});
  cases.push_back({"bit_not", [](OpGraph& g) {
                     return bit_not(g.graph, "y", g.feed({17}, DType::u8, 0, 256));
                   }});
}

void add_shape_cases(OpCases& cases) {
  const std::pair<const char*, Shape> shapes[] = {
      {"scalar", {}},       {"one", {1}},
      {"none", {3, 0, 2}},  {"eight", {8}},
      {"nine", {3, 3}},     {"rank_8", {1, 2, 1, 3, 1, 2, 1, 2}},
      {"thousand", {1000}}, {"image", {1, 17, 5, 7}},
  };
  for (const auto& [name, each_shape] : shapes) {
    cases.push_back({std::string("add_of_") + name, [shape = each_shape](OpGraph& g) {
                       const TensorId a = g.feed(shape);
                       return binary(g.graph, "y", ScalarOp::add, a, g.feed(shape));
                     }});
  }
}

struct BinaryRow {
  ScalarOp op;
  DType dtype;
  double low, high;  // of a
  double b_low, b_high;
};

constexpr BinaryRow kBinaryRows[] = {
    {ScalarOp::add, DType::f32, -9, 9, -9, 9},
    {ScalarOp::sub, DType::f32, -9, 9, -9, 9},
    {ScalarOp::mul, DType::f32, -9, 9, -9, 9},
    {ScalarOp::div, DType::f32, -9, 9, 0.5, 9},
    {ScalarOp::min, DType::f32, -9, 9, -9, 9},
    {ScalarOp::max, DType::f32, -9, 9, -9, 9},
    {ScalarOp::add, DType::f16, -9, 9, -9, 9},
    {ScalarOp::div, DType::f16, -9, 9, 0.5, 9},
    {ScalarOp::add, DType::i32, -9, 9, -9, 9},
    {ScalarOp::sub, DType::i8, -128, 128, -128, 128},
    {ScalarOp::mul, DType::u8, 0, 256, 0, 256},
    {ScalarOp::mul, DType::i64, -999, 999, -999, 999},
    {ScalarOp::div, DType::i32, -99, 99, 1, 9},
    {ScalarOp::min, DType::i32, -9, 9, -9, 9},
    {ScalarOp::max, DType::u8, 0, 256, 0, 256},
    {ScalarOp::bit_and, DType::i32, -999, 999, -999, 999},
    {ScalarOp::bit_or, DType::u16, 0, 65536, 0, 65536},
    {ScalarOp::bit_xor, DType::i8, -128, 128, -128, 128},
    {ScalarOp::shift_left, DType::u8, 0, 256, 0, 8},
    {ScalarOp::shift_right, DType::u16, 0, 65536, 0, 16},
    {ScalarOp::logical_and, DType::boolean, 0, 1, 0, 1},
    {ScalarOp::logical_or, DType::boolean, 0, 1, 0, 1},
    {ScalarOp::logical_xor, DType::boolean, 0, 1, 0, 1},
};

void add_binary_cases(OpCases& cases) {
  for (const BinaryRow& row : kBinaryRows) {
    cases.push_back({std::string(name_of(row.op)) + "_" + std::string(name_of(row.dtype)) + "_both",
                     [row](OpGraph& g) {
                       const TensorId a = g.feed({2, 1, 9}, row.dtype, row.low, row.high);
                       const TensorId b = g.feed({3, 1}, row.dtype, row.b_low, row.b_high);
                       return binary(g.graph, "y", row.op, a, b);
                     },
                     row.dtype == DType::f16 ? kHalfRounding : kFewUlp});
  }
  // Signs of quotient and remainder, in both conventions.
  const std::vector<double> dividends = {-7, -7, 7, 7, -6, 6, 0, 1};
  const std::vector<double> divisors = {3, -3, 3, -3, 3, -3, 5, -5};
  cases.push_back({"div_i32_signs", [=](OpGraph& g) {
                     const TensorId a = g.feed_values({8}, dividends, DType::i32);
                     return binary(g.graph, "y", ScalarOp::div, a,
                                   g.feed_values({8}, divisors, DType::i32));
                   }});
  for (bool fmod : {false, true}) {
    for (DType dtype : {DType::i32, DType::f32}) {
      cases.push_back(
          {std::string(fmod ? "fmod_" : "mod_") + std::string(name_of(dtype)), [=](OpGraph& g) {
             const TensorId a = g.feed_values({8}, dividends, dtype);
             return mod(g.graph, "y", a, g.feed_values({8}, divisors, dtype), fmod);
           }});
    }
  }
  // Quotients of more bits than a number has; the remainders are numbers of 32 bits, too.
  for (DType dtype : {DType::f32, DType::f64, DType::f16}) {
    const double scale = dtype == DType::f16 ? 0x1p0 : 0x1p100;
    cases.push_back({"fmod_far_" + std::string(name_of(dtype)),
                     [dtype, scale](OpGraph& g) {
                       const TensorId a =
                           g.feed_values({4}, {1999 * scale, -1027 * scale, 1.5 * scale, 3}, dtype);
                       const TensorId b = g.feed_values({4}, {0.296875, 3, -0.625, 0.3125}, dtype);
                       return mod(g.graph, "y", a, b, true);
                     },
                     0});
  }
  cases.push_back({"mod_f32_infinities", [](OpGraph& g) {
                     constexpr double kInfinite = std::numeric_limits<double>::infinity();
                     const TensorId a = g.feed_values({6}, {-3, 3, -1, 1, kInfinite, 1});
                     const TensorId b =
                         g.feed_values({6}, {kInfinite, kInfinite, -kInfinite, -kInfinite, 2, 0});
                     return mod(g.graph, "y", a, b, false);
                   }});
}

void add_power_cases(OpCases& cases) {
  for (double exponent : {0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -0.5, 0.75, 2.25}) {
    std::string name = std::to_string(exponent).substr(0, 5);
    for (char& c : name) c = c == '.' ? '_' : c == '-' ? 'm' : c;
    cases.push_back({"pow_constant_" + name,
                     [exponent](OpGraph& g) {
                       const TensorId x = g.feed({17}, DType::f32, 0.1, 4);
                       return pow(g.graph, "y", x, g.constant_values({1}, {exponent}));
                     },
                     4 * kFewUlp});  // exp(y log x): the rounding of y log x, |y log x| <= 5
  }
  cases.push_back({"pow_fed",
                   [](OpGraph& g) {
                     const TensorId x = g.feed({3, 1, 5}, DType::f32, 0.1, 4);
                     return pow(g.graph, "y", x, g.feed({4, 1}, DType::f32, -3, 3));
                   },
                   4 * kFewUlp});
  cases.push_back({"pow_whole_exponents", [](OpGraph& g) {
                     const TensorId x = g.feed_values({8}, {-2, -2, 0, 0, 3, 1, -1, 10});
                     return pow(g.graph, "y", x, g.feed_values({8}, {3, 2, 0, 3, -2, 9, 7, 6}));
                   }});
  cases.push_back({"pow_i32", [](OpGraph& g) {
                     const TensorId x = g.feed({9}, DType::i32, -5, 5);
                     return pow(g.graph, "y", x, g.feed({9}, DType::i32, 0, 5));
                   }});
}

void add_choice_cases(OpCases& cases) {
  const std::pair<const char*, Comparison> comparisons[] = {
      {"equal", Comparison::equal},
      {"less", Comparison::less},
      {"less_equal", Comparison::less_equal},
      {"greater", Comparison::greater},
      {"greater_equal", Comparison::greater_equal}};
  for (const auto& [name, comparison] : comparisons) {
    for (DType dtype : {DType::f32, DType::i32}) {
      cases.push_back({std::string(name) + "_" + std::string(name_of(dtype)),
                       [kind = comparison, dtype](OpGraph& g) {
                         // Whole numbers, so that some are equal.
                         std::vector<double> values;
                         for (int i = 0; i < 18; ++i) values.push_back(i % 5 - 2);
                         const TensorId a = g.feed_values({2, 9}, values, dtype);
                         return compare(g.graph, "y", kind, a,
                                        g.feed_values({9}, {-2, -1, 0, 1, 2, 0, 0, 1, 1}, dtype));
                       }});
    }
  }
  for (DType dtype : {DType::f32, DType::f16, DType::i64, DType::boolean}) {
    cases.push_back({"where_" + std::string(name_of(dtype)), [dtype](OpGraph& g) {
                       const TensorId condition = g.feed({3, 1, 7}, DType::boolean);
                       const TensorId a = g.feed({2, 7}, dtype, -9, 9);
                       return where(g.graph, "y", condition, a, g.feed({1}, dtype, -9, 9));
                     }});
  }
  cases.push_back({"clip_fed", [](OpGraph& g) {
                     const TensorId x = g.feed({19}, DType::f32, -9, 9);
                     const TensorId low = g.feed_values({}, {-2});
                     return clip(g.graph, "y", x, low, g.feed_values({}, {3.5}));
                   }});
  cases.push_back({"clip_i32", [](OpGraph& g) {
                     return clip_to(g.graph, "y", g.feed({19}, DType::i32, -9, 9), -3, 4);
                   }});
  cases.push_back({"prelu", [](OpGraph& g) {
                     const TensorId x = g.feed({2, 5, 3, 3});
                     return prelu(g.graph, "y", x, g.constant({5, 1, 1}));
                   }});
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> specials = {0, 1, inf, -inf, std::nan("")};
  cases.push_back(
      {"is_nan", [=](OpGraph& g) { return is_nan(g.graph, "y", g.feed_values({5}, specials)); }});
  cases.push_back({"is_inf", [=](OpGraph& g) {
                     return is_inf(g.graph, "y", g.feed_values({5}, specials), true, false);
                   }});
}

void add_activation_cases(OpCases& cases) {
  const std::pair<const char*, Activation> activations[] = {
      {"relu", Activation::relu},
      {"leaky_relu", Activation::leaky_relu},
      {"elu", Activation::elu},
      {"selu", Activation::selu},
      {"celu", Activation::celu},
      {"sigmoid", Activation::sigmoid},
      {"hard_sigmoid", Activation::hard_sigmoid},
      {"hard_swish", Activation::hard_swish},
      {"softplus", Activation::softplus},
      {"softsign", Activation::softsign},
      {"gelu_erf", Activation::gelu_erf},
      {"gelu_tanh", Activation::gelu_tanh},
      {"mish", Activation::mish},
      {"swish", Activation::swish},
      {"thresholded_relu", Activation::thresholded_relu},
      {"shrink", Activation::shrink},
      {"reciprocal", Activation::reciprocal},
      {"sign", Activation::sign},
  };
  for (const auto& [name, each_kind] : activations) {
    for (DType dtype : {DType::f32, DType::f16}) {
      cases.push_back({std::string(name) + "_" + std::string(name_of(dtype)),
                       [kind = each_kind, dtype](OpGraph& g) {
                         return activation(g.graph, "y", kind, g.feed({2, 3, 7}, dtype, -5, 5));
                       },
                       dtype == DType::f32 ? kFewUlp : kHalfRounding});
    }
    // Far out: no overflow on the way to a finite result.
    if (each_kind == Activation::reciprocal) continue;
    cases.push_back({std::string(name) + "_far_out", [kind = each_kind](OpGraph& g) {
                       const TensorId x = g.feed_values({7}, {-200, -90, -20, 0, 20, 90, 200});
                       return activation(g.graph, "y", kind, x);
                     }});
  }
  // Small results are exact to as many digits as large ones: no e^x - 1, no log(1 + e^x).
  for (const Activation kind : {Activation::elu, Activation::selu, Activation::celu}) {
    cases.push_back(
        {"small_activation_" + std::to_string(static_cast<int>(kind)), [kind](OpGraph& g) {
           return activation(g.graph, "y", kind, g.feed({17}, DType::f32, -1e-5, 1e-5));
         }});
  }
  cases.push_back({"small_softplus", [](OpGraph& g) {
                     return activation(g.graph, "y", Activation::softplus,
                                       g.feed({17}, DType::f32, -32, -30));
                   }});
  cases.push_back({"relu_i32", [](OpGraph& g) {
                     return activation(g.graph, "y", Activation::relu,
                                       g.feed({17}, DType::i32, -9, 9));
                   }});
}

void add_cast_cases(OpCases& cases) {
  const DType types[] = {DType::f32, DType::f16, DType::i8,     DType::u8,
                         DType::i32, DType::i64, DType::boolean};
  for (DType from : types) {
    for (DType to : types) {
      cases.push_back({"cast_" + std::string(name_of(from)) + "_to_" + std::string(name_of(to)),
                       [from, to](OpGraph& g) {
                         const double low = from == DType::u8 ? 0 : -120;
                         return cast(g.graph, "y", g.feed({3, 7}, from, low, 120), to);
                       },
                       kHalfRounding});
    }
  }
  cases.push_back({"identity", [](OpGraph& g) { return identity(g.graph, "y", g.feed({3, 5})); }});
}

void add_variadic_cases(OpCases& cases) {
  const std::pair<const char*, Variadic> kinds[] = {{"sum", Variadic::sum},
                                                    {"mean", Variadic::mean},
                                                    {"min", Variadic::min},
                                                    {"max", Variadic::max}};
  for (const auto& [name, each_kind] : kinds) {
    for (int count : {1, 3, 11}) {
      cases.push_back({std::string("variadic_") + name + "_" + std::to_string(count),
                       [kind = each_kind, count](OpGraph& g) {
                         std::vector<TensorId> inputs;
                         for (int i = 0; i < count; ++i) {
                           inputs.push_back(g.feed(i % 2 == 0 ? Shape{2, 5} : Shape{5}));
                         }
                         return variadic(g.graph, "y", kind, inputs);
                       }});
    }
  }
}

/// `end` says what is special; x is (2, 3, 5, 8), or packed (2, 5, 24).
void add_rotary_case(OpCases& cases, const std::string& end, bool packed, bool with_positions,
                     const RotaryOptions& options, DType dtype = DType::f32) {
  cases.push_back({"rotary_" + end,
                   [=](OpGraph& g) {
                     const int64_t half = options.rotated == 0 ? 4 : options.rotated / 2;
                     const Shape table = with_positions ? Shape{9, half} : Shape{2, 5, half};
                     const TensorId x = g.feed(packed ? Shape{2, 5, 24} : Shape{2, 3, 5, 8}, dtype);
                     RotaryTables tables = {.cosine = g.constant(table, dtype),
                                            .sine = g.feed(table, dtype)};
                     if (with_positions) tables.positions = g.feed({2, 5}, DType::i64, 0, 9);
                     return rotary_embedding(g.graph, "y", x, tables, options);
                   },
                   dtype == DType::f32 ? kFewUlp : kHalfRounding});
}

void add_rotary_cases(OpCases& cases) {
  add_rotary_case(cases, "halves", false, true, {});
  add_rotary_case(cases, "halves_f16", false, true, {}, DType::f16);
  add_rotary_case(cases, "interleaved", false, false, {.interleaved = true});
  add_rotary_case(cases, "packed", true, true, {.heads = 3});
  add_rotary_case(cases, "packed_interleaved", true, false, {.heads = 3, .interleaved = true});
  add_rotary_case(cases, "partial", false, false, {.rotated = 6});
  add_rotary_case(cases, "packed_partial", true, true,
                  {.heads = 3, .rotated = 2, .interleaved = true});
}

}  // namespace

void add_elementwise_cases(OpCases& cases) {
  add_unary_cases(cases);
  add_shape_cases(cases);
  add_binary_cases(cases);
  add_power_cases(cases);
  add_choice_cases(cases);
  add_activation_cases(cases);
  add_cast_cases(cases);
  add_variadic_cases(cases);
  add_rotary_cases(cases);
}

}  // namespace leat
