// Rows for element types: whole numbers beyond 32 bits, whose results are equal bit by bit on every
// device, doubles, and types of 8 bits and less.
#include <cstdint>
#include <limits>

#include "leat/base/small_floats.h"
#include "tests/ops/op_case.h"

namespace leat {
namespace {

using namespace ops;
using Whole = std::vector<int64_t>;

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kWord = int64_t{1} << 32;

/// Signs, carries from word to word, both ends.
const Whole kLeft = {0,
                     1,
                     -1,
                     7,
                     -7,
                     kWord,
                     -kWord,
                     kWord - 1,
                     kWord + 1,
                     kMax,
                     kMin,
                     kMin + 1,
                     kMax,
                     123456789012345678,
                     -98765432109876543,
                     0x7fffffff,
                     0x80000000,
                     -0x80000000LL,
                     1000000007,
                     3};
const Whole kRight = {5,     -1,        -1,         2,     3,    3,          kWord - 1,
                      65537, kWord + 1, 2,          -1,    10,   1000000007, 987654321,
                      12345, kWord,     0x7fffffff, 65536, kMax, kMin};

constexpr DType kWide[] = {DType::i64, DType::u64, DType::u32};

std::string named(std::string_view what, DType dtype) {
  return std::string(what) + "_wide_" + std::string(name_of(dtype));
}

void add_arithmetic(OpCases& cases) {
  for (const DType dtype : kWide) {
    for (const ScalarOp op :
         {ScalarOp::add, ScalarOp::sub, ScalarOp::mul, ScalarOp::min, ScalarOp::max,
          ScalarOp::bit_and, ScalarOp::bit_or, ScalarOp::bit_xor}) {
      cases.push_back({named(name_of(op), dtype), [=](OpGraph& g) {
                         const TensorId a = g.feed_whole({20}, kLeft, dtype);
                         return binary(g.graph, "y", op, a, g.feed_whole({20}, kRight, dtype));
                       }});
    }
    cases.push_back({named("div_and_mod", dtype), [=](OpGraph& g) {
                       const TensorId a = g.feed_whole({20}, kLeft, dtype);
                       Whole divisors = kRight;
                       for (int64_t& divisor : divisors) {
                         // Zero in 32 bits, by which division gives any number.
                         if (dtype == DType::u32 && divisor % kWord == 0) divisor = 9;
                       }
                       const TensorId b = g.feed_whole({20}, divisors, dtype);
                       const auto rest = mod(g.graph, "rest", a, b, dtype != DType::i64);
                       if (rest) g.graph.outputs.push_back(*rest);
                       return binary(g.graph, "y", ScalarOp::div, a, b);
                     }});
    cases.push_back({named("shifts", dtype), [=](OpGraph& g) {
                       Whole counts;
                       for (int64_t i = 0; i < 20; ++i) counts.push_back(i * 7 % 65);
                       const TensorId a = g.feed_whole({20}, kLeft, dtype);
                       const TensorId b = g.feed_whole({20}, counts, dtype);
                       const auto right = binary(g.graph, "right", ScalarOp::shift_right, a, b);
                       if (right) g.graph.outputs.push_back(*right);
                       return binary(g.graph, "y", ScalarOp::shift_left, a, b);
                     }});
    cases.push_back({named("shifts_beyond", dtype), [=](OpGraph& g) {
                       Whole counts;
                       for (int64_t i = 0; i < 20; ++i) counts.push_back(i * 13 % 97 - 24);
                       const TensorId a = g.feed_whole({20}, kLeft, dtype);
                       const TensorId b = g.feed_whole({20}, counts, dtype);
                       const auto right = binary(g.graph, "right", ScalarOp::shift_right, a, b);
                       if (right) g.graph.outputs.push_back(*right);
                       return binary(g.graph, "y", ScalarOp::shift_left, a, b);
                     }});
    cases.push_back({named("signs", dtype), [=](OpGraph& g) {
                       const TensorId a = g.feed_whole({20}, kLeft, dtype);
                       const auto flipped = bit_not(g.graph, "flipped", a);
                       if (flipped) g.graph.outputs.push_back(*flipped);
                       const auto size = unary(g.graph, "size", ScalarOp::abs, a);
                       if (size) g.graph.outputs.push_back(*size);
                       return unary(g.graph, "y", ScalarOp::neg, a);
                     }});
    cases.push_back(
        {named("powers", dtype), [=](OpGraph& g) {
           const TensorId a = g.feed_whole({8}, {3, -3, 2, 10, -1, 0, 7, 1000003}, dtype);
           const TensorId b = g.feed_whole({8}, {39, 39, 63, 18, 1001, 0, 22, 3}, DType::i32);
           const auto square = pow(g.graph, "square", a, g.constant_values({}, {2}));
           if (square) g.graph.outputs.push_back(*square);
           return pow(g.graph, "y", a, b);
         }});
  }
}

void add_comparisons(OpCases& cases) {
  for (const DType dtype : kWide) {
    for (const auto& [name, each_kind] :
         {std::pair("less", Comparison::less), std::pair("less_equal", Comparison::less_equal),
          std::pair("equal", Comparison::equal)}) {
      cases.push_back({named(name, dtype), [=, kind = each_kind](OpGraph& g) {
                         const TensorId a = g.feed_whole({20}, kLeft, dtype);
                         return compare(g.graph, "y", kind, a, g.feed_whole({20}, kRight, dtype));
                       }});
    }
    cases.push_back({named("clip", dtype), [=](OpGraph& g) {
                       const TensorId a = g.feed_whole({20}, kLeft, dtype);
                       const TensorId low = g.feed_whole({}, {-kWord - 5}, dtype);
                       return clip(g.graph, "y", a, low, g.feed_whole({}, {kWord + 5}, dtype));
                     }});
  }
}

void add_reductions(OpCases& cases) {
  for (const DType dtype : kWide) {
    for (const auto& [name, each_kind] :
         {std::pair("sum", Reduction::sum), std::pair("product", Reduction::product),
          std::pair("maximum", Reduction::max), std::pair("minimum", Reduction::min),
          std::pair("mean", Reduction::mean), std::pair("squares", Reduction::sum_square)}) {
      cases.push_back({named(name, dtype), [=, kind = each_kind](OpGraph& g) {
                         return reduce(g.graph, "y", kind, g.feed_whole({4, 5}, kLeft, dtype),
                                       {.axes = Ints{1}});
                       }});
    }
    cases.push_back({named("running_sums", dtype), [=](OpGraph& g) {
                       const TensorId x = g.feed_whole({2, 10}, kLeft, dtype);
                       const auto products = cumprod(g.graph, "products", x, {.axis = 1});
                       if (products) g.graph.outputs.push_back(*products);
                       return cumsum(g.graph, "y", x, {.axis = 1});
                     }});
    for (const bool largest : {true, false}) {
      cases.push_back({named(largest ? "top_k" : "bottom_k", dtype), [=](OpGraph& g) {
                         const auto found = top_k(g.graph, "y", g.feed_whole({2, 10}, kLeft, dtype),
                                                  {.k = 4, .axis = 1, .largest = largest});
                         if (!found) return Result<TensorId>(found.error());
                         g.graph.outputs.push_back(found->indices);
                         return Result<TensorId>(found->values);
                       }});
    }
    cases.push_back(
        {named("arg_max", dtype), [=](OpGraph& g) {
           return arg_max(g.graph, "y", g.feed_whole({4, 5}, kLeft, dtype), {.axis = 1});
         }});
    cases.push_back({named("matmul", dtype), [=](OpGraph& g) {
                       const TensorId a = g.feed_whole({4, 5}, kLeft, dtype);
                       return matmul(g.graph, "y", a, g.feed_whole({5, 4}, kRight, dtype));
                     }});
  }
}

void add_conversions(OpCases& cases) {
  for (const DType from : {DType::i64, DType::u64, DType::u32, DType::f32}) {
    for (const DType to : {DType::i64, DType::u64, DType::u32, DType::i32, DType::u8, DType::f32,
                           DType::f64, DType::boolean}) {
      if (from == to) continue;
      cases.push_back(
          {"cast_wide_" + std::string(name_of(from)) + "_to_" + std::string(name_of(to)),
           [=](OpGraph& g) {
             // In the range of both: what is outside is the device's own.
             const TensorId x =
                 from == DType::f32
                     ? g.feed_values({8}, {0, 1.5, 7.99, 0x1p24, 0x1.2p28, 200, 3, 0.25}, from)
                     : g.feed_whole({20}, kLeft, from);
             return cast(g.graph, "y", x, to);
           },
           kFewUlp, 0x1p-52});
    }
  }
  cases.push_back({"cast_large_f32_to_i64", [](OpGraph& g) {
                     const TensorId x =
                         g.feed_values({8}, {0x1p40, -0x1.8p50, 0x1p62, -0x1p63, 1e30, -1e30,
                                             0x1.fffffep62, 4294967296.0});
                     return cast(g.graph, "y", x, DType::i64);
                   }});
  cases.push_back(
      {"cast_large_f32_to_u64", [](OpGraph& g) {
         const TensorId x = g.feed_values({6}, {0x1p40, 0x1.8p63, 0x1p62, 1e30, -5, 0x1p63});
         return cast(g.graph, "y", x, DType::u64);
       }});
  // The nearest float is odd in its last place only where the rest of the number is looked at.
  cases.push_back(
      {"cast_i64_to_f32_rounds",
       [](OpGraph& g) {
         const int64_t even = int64_t{0x1000001} << 30;
         return cast(
             g.graph, "y",
             g.feed_whole({6}, {even, even + 1, even - 1, -even - 1, kMax, kMin}, DType::i64),
             DType::f32);
       },
       0x1p-30});
}

void add_movements(OpCases& cases) {
  cases.push_back(
      {"gather_of_wide_numbers", [](OpGraph& g) {
         const TensorId x = g.feed_whole({20}, kLeft, DType::i64);
         // Far outside, where the low words alone would be inside.
         const TensorId at = g.feed_whole({5}, {3, -1, 19, kWord + 2, -2 * kWord}, DType::i64);
         return gather(g.graph, "y", x, at);
       }});
  cases.push_back({"pad_with_wide_number", [](OpGraph& g) {
                     const TensorId value = g.feed_whole({}, {kMax - 1}, DType::i64);
                     return pad(g.graph, "y", g.feed_whole({4, 5}, kLeft, DType::i64),
                                {.pads = {1, 0, 0, 2}, .value_tensor = value});
                   }});
  cases.push_back(
      {"wide_constants_are_exact", [](OpGraph& g) {
         HostTensor value = HostTensor::zeros(DType::i64, {});
         value.set_integer(0, (int64_t{1} << 53) + 1);
         const TensorId one = g.graph.add_constant("one", value);
         return binary(g.graph, "y", ScalarOp::add, g.feed_whole({3}, {0, 1, -1}, DType::i64), one);
       }});
}

// --- Doubles
// --------------------------------------------------------------------------------------

/// What rounds once or a few times in f64.
constexpr double kFewUlpF64 = 1e-14;

void add_doubles(OpCases& cases) {
  for (const ScalarOp op :
       {ScalarOp::add, ScalarOp::sub, ScalarOp::mul, ScalarOp::div, ScalarOp::min, ScalarOp::max}) {
    cases.push_back({std::string(name_of(op)) + "_f64",
                     [op](OpGraph& g) {
                       const TensorId a = g.feed({3, 7}, DType::f64, -9, 9);
                       return binary(g.graph, "y", op, a, g.feed({7}, DType::f64, 0.5, 9));
                     },
                     kFewUlp, kFewUlpF64});
  }
  cases.push_back({"sqrt_f64",
                   [](OpGraph& g) {
                     return unary(g.graph, "y", ScalarOp::sqrt, g.feed({19}, DType::f64, 0, 9));
                   },
                   kFewUlp, kFewUlpF64});
  for (const ScalarOp op : {ScalarOp::exp, ScalarOp::log, ScalarOp::sin, ScalarOp::tanh}) {
    cases.push_back({std::string(name_of(op)) + "_f64", [op](OpGraph& g) {
                       return unary(g.graph, "y", op, g.feed({19}, DType::f64, 0.1, 3));
                     }});
  }
  cases.push_back({"matmul_f64",
                   [](OpGraph& g) {
                     const TensorId a = g.feed({5, 33}, DType::f64);
                     return matmul(g.graph, "y", a, g.feed({33, 6}, DType::f64));
                   },
                   sum_tolerance(33), kFewUlpF64});
  cases.push_back({"mean_f64",
                   [](OpGraph& g) {
                     return reduce(g.graph, "y", Reduction::mean, g.feed({3, 100}, DType::f64),
                                   {.axes = Ints{1}});
                   },
                   sum_tolerance(100), kFewUlpF64});
  cases.push_back({"softmax_f64", [](OpGraph& g) {
                     return softmax(g.graph, "y", g.feed({3, 70}, DType::f64), {.axis = 1});
                   }});
  cases.push_back(
      {"top_k_f64", [](OpGraph& g) {
         const auto found = top_k(g.graph, "y", g.feed({3, 50}, DType::f64), {.k = 5, .axis = 1});
         if (!found) return Result<TensorId>(found.error());
         return Result<TensorId>(found->values);
       }});
}

// --- Few bits
// -------------------------------------------------------------------------------------

void add_small(OpCases& cases) {
  for (const DType dtype :
       {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz, DType::f4e2m1}) {
    const int64_t codes = int64_t{1} << bits_of(dtype);
    cases.push_back({"all_codes_of_" + std::string(name_of(dtype)), [=](OpGraph& g) {
                       Whole all;
                       for (int64_t code = 0; code < codes; ++code) all.push_back(code);
                       return cast(g.graph, "y", g.feed_whole({codes}, all, dtype), DType::f32);
                     }});
    for (const bool saturate : {true, false}) {
      cases.push_back({"cast_to_" + std::string(name_of(dtype)) + (saturate ? "" : "_unbounded"),
                       [=](OpGraph& g) {
                         std::vector<double> values = {0,   1e9, -1e9, 1e-9,  464,
                                                       465, 240, 248,  0.0625};
                         for (int i = 0; i < 111; ++i) values.push_back((i - 55) * 0.037 * i);
                         return cast(g.graph, "y", g.feed_values({120}, values), dtype, saturate);
                       }});
    }
  }
  for (const DType dtype : {DType::i4, DType::u4, DType::i2, DType::u2}) {
    cases.push_back({"cast_from_" + std::string(name_of(dtype)), [=](OpGraph& g) {
                       return cast(g.graph, "y", g.feed({3, 7}, dtype, -8, 16), DType::f32);
                     }});
    cases.push_back({"cast_to_" + std::string(name_of(dtype)), [=](OpGraph& g) {
                       return cast(g.graph, "y", g.feed({3, 7}, DType::f32, -20, 20), dtype);
                     }});
    cases.push_back({"transposed_" + std::string(name_of(dtype)), [=](OpGraph& g) {
                       return transpose(g.graph, "y", g.feed({5, 7}, dtype, -8, 16), {1, 0});
                     }});
  }
  cases.push_back(
      {"dequantised_i4_matmul",
       [](OpGraph& g) {
         const TensorId x = g.feed({3, 32});
         const auto w = cast(g.graph, "w", g.feed({32, 16}, DType::i4, -8, 8), DType::f32);
         if (!w) return w;
         return matmul(g.graph, "y", x, *w);
       },
       sum_tolerance(8 * 32)});
}

}  // namespace

void add_type_cases(OpCases& cases) {
  add_arithmetic(cases);
  add_comparisons(cases);
  add_reductions(cases);
  add_conversions(cases);
  add_movements(cases);
  add_doubles(cases);
  add_small(cases);
}

}  // namespace leat
