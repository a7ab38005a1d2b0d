// What one lane does for each arithmetic instruction, in C++: the one place that gives the
// instructions their meaning. The builder folds constants with it, the interpreter runs on it.
// Integers wrap; shifts use the low five bits of the count, six in 64 bits; a division by zero
// gives 0 here and is undefined on devices. Of min_f and max_f with one NaN the result is either
// operand on devices; here it is the number. An instruction of a class below that lacks its branch
// does not compile.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "leat/ir/ir.h"

namespace leat::ir {

/// class_of, for use in templates.
constexpr OpClass class_constant(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind, version) \
  case Opcode::name:                              \
    return OpClass::kind;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return OpClass::other;
}

/// operand_count_of, for use in templates.
constexpr int operand_count_constant(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind, version) \
  case Opcode::name:                              \
    return operands;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return 0;
}

/// Operators and functions of one float, whose meaning is apply_unary_float.
constexpr bool is_unary_float(Opcode op) {
  const OpClass kind = class_constant(op);
  return kind == OpClass::unary_float ||
         (kind == OpClass::function && operand_count_constant(op) == 1);
}

/// Operators and functions of two floats, whose meaning is apply_binary_float.
constexpr bool is_binary_float(Opcode op) {
  const OpClass kind = class_constant(op);
  return kind == OpClass::binary_float ||
         (kind == OpClass::function && operand_count_constant(op) == 2);
}

/// Calls visitor.operator()<op>(), with the run-time `op` as a template argument.
template <typename Visitor>
void visit_opcode(Opcode op, const Visitor& visitor) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind, version) \
  case Opcode::name:                              \
    visitor.template operator()<Opcode::name>();  \
    break;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
}

namespace scalar_ops_detail {
template <Opcode>
inline constexpr bool kUnknown = false;
}  // namespace scalar_ops_detail

template <Opcode op, typename Float>
Float apply_unary_float(Float a) {
  using enum Opcode;
  if constexpr (op == neg)
    return -a;
  else if constexpr (op == abs)
    return std::fabs(a);
  else if constexpr (op == sqrt)
    return std::sqrt(a);
  else if constexpr (op == floor)
    return std::floor(a);
  else if constexpr (op == ceil)
    return std::ceil(a);
  else if constexpr (op == round_even)
    return std::nearbyint(a);
  else if constexpr (op == exp)
    return std::exp(a);
  else if constexpr (op == expm1)
    return std::expm1(a);
  else if constexpr (op == log)
    return std::log(a);
  else if constexpr (op == log1p)
    return std::log1p(a);
  else if constexpr (op == sin)
    return std::sin(a);
  else if constexpr (op == cos)
    return std::cos(a);
  else if constexpr (op == tan)
    return std::tan(a);
  else if constexpr (op == asin)
    return std::asin(a);
  else if constexpr (op == acos)
    return std::acos(a);
  else if constexpr (op == atan)
    return std::atan(a);
  else if constexpr (op == sinh)
    return std::sinh(a);
  else if constexpr (op == cosh)
    return std::cosh(a);
  else if constexpr (op == tanh)
    return std::tanh(a);
  else if constexpr (op == asinh)
    return std::asinh(a);
  else if constexpr (op == acosh)
    return std::acosh(a);
  else if constexpr (op == atanh)
    return std::atanh(a);
  else if constexpr (op == erf)
    return std::erf(a);
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

template <Opcode op, typename Float>
Float apply_binary_float(Float a, Float b) {
  using enum Opcode;
  if constexpr (op == add_f)
    return a + b;
  else if constexpr (op == sub_f)
    return a - b;
  else if constexpr (op == mul_f)
    return a * b;
  else if constexpr (op == div_f)
    return a / b;
  else if constexpr (op == min_f)
    return std::fmin(a, b);
  else if constexpr (op == max_f)
    return std::fmax(a, b);
  else if constexpr (op == pow)
    return std::pow(a, b);
  else if constexpr (op == fmod)
    return std::fmod(a, b);
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

/// Int is int32_t or int64_t.
template <Opcode op, typename Int>
Int apply_unary_int(Int a) {
  using enum Opcode;
  if constexpr (op == popcount)
    return static_cast<Int>(std::popcount(static_cast<std::make_unsigned_t<Int>>(a)));
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

/// Int is int32_t or int64_t.
template <Opcode op, typename Int>
Int apply_binary_int(Int a, Int b) {
  using enum Opcode;
  using Unsigned = std::make_unsigned_t<Int>;
  const Unsigned ua = static_cast<Unsigned>(a);
  const Unsigned ub = static_cast<Unsigned>(b);
  const Unsigned count = ub & (8 * sizeof(Int) - 1);
  if constexpr (op == add_i)
    return static_cast<Int>(ua + ub);
  else if constexpr (op == sub_i)
    return static_cast<Int>(ua - ub);
  else if constexpr (op == mul_i)
    return static_cast<Int>(ua * ub);
  else if constexpr (op == div_i)
    return b == 0 ? 0 : b == -1 ? static_cast<Int>(0 - ua) : a / b;
  else if constexpr (op == rem_i)
    return b == 0 ? 0 : b == -1 ? 0 : a % b;
  else if constexpr (op == min_i)
    return a < b ? a : b;
  else if constexpr (op == max_i)
    return a < b ? b : a;
  else if constexpr (op == and_i)
    return static_cast<Int>(ua & ub);
  else if constexpr (op == or_i)
    return static_cast<Int>(ua | ub);
  else if constexpr (op == xor_i)
    return static_cast<Int>(ua ^ ub);
  else if constexpr (op == shl_i)
    return static_cast<Int>(ua << count);
  else if constexpr (op == shr_s)
    return a >> count;
  else if constexpr (op == shr_u)
    return static_cast<Int>(ua >> count);
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

template <Opcode op>
bool apply_binary_bool(bool a, bool b) {
  using enum Opcode;
  if constexpr (op == and_b)
    return a && b;
  else if constexpr (op == or_b)
    return a || b;
  else if constexpr (op == xor_b)
    return a != b;
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

/// Float is float or double, Int the whole number of its size: the one the compare reads.
template <Opcode op, typename Float, typename Int>
bool apply_compare(Float fa, Float fb, Int a, Int b) {
  using enum Opcode;
  using Unsigned = std::make_unsigned_t<Int>;
  if constexpr (op == lt_f)
    return fa < fb;
  else if constexpr (op == le_f)
    return fa <= fb;
  else if constexpr (op == eq_f)
    return fa == fb;
  else if constexpr (op == lt_i)
    return a < b;
  else if constexpr (op == le_i)
    return a <= b;
  else if constexpr (op == lt_u)
    return static_cast<Unsigned>(a) < static_cast<Unsigned>(b);
  else if constexpr (op == eq_i)
    return a == b;
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

/// int_from_float: towards zero, saturating; NaN gives 0.
template <typename Int, typename Float>
Int int_from_float_saturated(Float value) {
  const Float limit = std::ldexp(Float{1}, 8 * sizeof(Int) - 1);
  if (std::isnan(value)) return 0;
  if (value >= limit) return std::numeric_limits<Int>::max();
  if (value < -limit) return std::numeric_limits<Int>::min();
  return static_cast<Int>(value);
}

/// True for the compares whose operands are floats.
constexpr bool compares_floats(Opcode op) {
  return op == Opcode::lt_f || op == Opcode::le_f || op == Opcode::eq_f;
}

/// dot_ss and its like.
inline int32_t dot_of_bytes(Opcode op, int32_t a, int32_t b, int32_t c) {
  uint32_t sum = static_cast<uint32_t>(c);
  for (int shift = 0; shift < 32; shift += 8) {
    const uint32_t x = static_cast<uint32_t>(a) >> shift & 0xff;
    const uint32_t y = static_cast<uint32_t>(b) >> shift & 0xff;
    const int32_t left = op == Opcode::dot_ss ? static_cast<int8_t>(x) : static_cast<int32_t>(x);
    const int32_t right = op == Opcode::dot_uu ? static_cast<int32_t>(y) : static_cast<int8_t>(y);
    sum += static_cast<uint32_t>(left * right);
  }
  return static_cast<int32_t>(sum);
}

/// dot_bf16: the low halves' product is added first.
inline float dot_of_bfloats(int32_t a, int32_t b, float c) {
  const auto low = [](int32_t pair) {
    return std::bit_cast<float>(static_cast<uint32_t>(pair) << 16);
  };
  const auto high = [](int32_t pair) {
    return std::bit_cast<float>(static_cast<uint32_t>(pair) & 0xffff0000u);
  };
  return std::fma(high(a), high(b), std::fma(low(a), low(b), c));
}

/// dot_ss and all of its like.
constexpr bool is_dot(Opcode op) {
  using enum Opcode;
  return op == dot_ss || op == dot_us || op == dot_uu || op == dot_bf16;
}

constexpr bool is_conversion(Opcode op) {
  using enum Opcode;
  return op == int_from_float || op == float_from_int || op == int_from_bool || op == widen_i ||
         op == widen_u || op == narrow_i || op == widen_f || op == narrow_f ||
         op == bits_from_float || op == float_from_bits;
}

/// Whether `op` converts from the one to the other.
constexpr bool is_conversion(Opcode op, Scalar from, Scalar to) {
  using enum Opcode;
  const bool same_size = bytes_of(from) == bytes_of(to);
  if (op == int_from_float) return is_float(from) && is_int(to);
  if (op == float_from_int) return is_int(from) && is_float(to);
  if (op == int_from_bool) return from == Scalar::b1 && to == Scalar::i32;
  if (op == bits_from_float) return is_float(from) && is_int(to) && same_size;
  if (op == float_from_bits) return is_int(from) && is_float(to) && same_size;
  if (op == widen_i || op == widen_u) return from == Scalar::i32 && to == Scalar::i64;
  if (op == narrow_i) return from == Scalar::i64 && to == Scalar::i32;
  if (op == widen_f) return from == Scalar::f32 && to == Scalar::f64;
  return op == narrow_f && from == Scalar::f64 && to == Scalar::f32;
}

/// True when an instruction has no effect but its results and touches no memory.
constexpr bool is_pure(Opcode op) {
  using enum Opcode;
  return class_constant(op) != OpClass::other || op == constant || op == lane_id || op == wave_id ||
         op == group_id || op == fma || op == not_b || op == select || is_conversion(op) ||
         op == vector || op == extract || is_dot(op);
}

}  // namespace leat::ir
