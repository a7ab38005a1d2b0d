// What one lane does for each arithmetic instruction, in C++: the one place that gives the
// instructions their meaning. The builder folds constants with it, the interpreter runs on it.
// Integers wrap; shifts use the low five bits of the count; a division by zero gives 0 here and is
// undefined on devices. Of min_f and max_f with one NaN the result is either operand on devices;
// here it is the number. An instruction of a class below that lacks its branch does not compile.
#pragma once

#include <bit>
#include <cmath>
#include <limits>

#include "leat/ir/ir.h"

namespace leat::ir {

/// class_of, for use in templates.
constexpr OpClass class_constant(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind) \
  case Opcode::name:                     \
    return OpClass::kind;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return OpClass::other;
}

/// operand_count_of, for use in templates.
constexpr int operand_count_constant(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind) \
  case Opcode::name:                     \
    return operands;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return 0;
}

/// Operators and functions of one f32, whose meaning is apply_unary_float.
constexpr bool is_unary_float(Opcode op) {
  const OpClass kind = class_constant(op);
  return kind == OpClass::unary_float ||
         (kind == OpClass::function && operand_count_constant(op) == 1);
}

/// Operators and functions of two f32, whose meaning is apply_binary_float.
constexpr bool is_binary_float(Opcode op) {
  const OpClass kind = class_constant(op);
  return kind == OpClass::binary_float ||
         (kind == OpClass::function && operand_count_constant(op) == 2);
}

/// Calls visitor.operator()<op>(), with the run-time `op` as a template argument.
template <typename Visitor>
void visit_opcode(Opcode op, const Visitor& visitor) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind)         \
  case Opcode::name:                             \
    visitor.template operator()<Opcode::name>(); \
    break;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
}

namespace scalar_ops_detail {
template <Opcode>
inline constexpr bool kUnknown = false;
}  // namespace scalar_ops_detail

template <Opcode op>
float apply_unary_float(float a) {
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
  else if constexpr (op == log)
    return std::log(a);
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

template <Opcode op>
float apply_binary_float(float a, float b) {
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
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

template <Opcode op>
int32_t apply_binary_int(int32_t a, int32_t b) {
  using enum Opcode;
  const uint32_t ua = static_cast<uint32_t>(a);
  const uint32_t ub = static_cast<uint32_t>(b);
  if constexpr (op == add_i)
    return static_cast<int32_t>(ua + ub);
  else if constexpr (op == sub_i)
    return static_cast<int32_t>(ua - ub);
  else if constexpr (op == mul_i)
    return static_cast<int32_t>(ua * ub);
  else if constexpr (op == div_i)
    return b == 0 ? 0 : static_cast<int32_t>(int64_t{a} / b);
  else if constexpr (op == rem_i)
    return b == 0 ? 0 : static_cast<int32_t>(int64_t{a} % b);
  else if constexpr (op == min_i)
    return a < b ? a : b;
  else if constexpr (op == max_i)
    return a < b ? b : a;
  else if constexpr (op == and_i)
    return static_cast<int32_t>(ua & ub);
  else if constexpr (op == or_i)
    return static_cast<int32_t>(ua | ub);
  else if constexpr (op == xor_i)
    return static_cast<int32_t>(ua ^ ub);
  else if constexpr (op == shl_i)
    return static_cast<int32_t>(ua << (ub & 31u));
  else if constexpr (op == shr_s)
    return a >> (ub & 31u);
  else if constexpr (op == shr_u)
    return static_cast<int32_t>(ua >> (ub & 31u));
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

/// The operands as they are stored, 32 bits each; lt_f, le_f and eq_f read them as f32.
template <Opcode op>
bool apply_compare(uint32_t a, uint32_t b) {
  using enum Opcode;
  const int32_t sa = static_cast<int32_t>(a);
  const int32_t sb = static_cast<int32_t>(b);
  if constexpr (op == lt_f)
    return std::bit_cast<float>(a) < std::bit_cast<float>(b);
  else if constexpr (op == le_f)
    return std::bit_cast<float>(a) <= std::bit_cast<float>(b);
  else if constexpr (op == eq_f)
    return std::bit_cast<float>(a) == std::bit_cast<float>(b);
  else if constexpr (op == lt_i)
    return sa < sb;
  else if constexpr (op == le_i)
    return sa <= sb;
  else if constexpr (op == lt_u)
    return a < b;
  else if constexpr (op == eq_i)
    return sa == sb;
  else
    static_assert(scalar_ops_detail::kUnknown<op>, "an instruction without a meaning");
}

/// int_from_float: towards zero, saturating; NaN gives 0.
inline int32_t int_from_float_saturated(float value) {
  if (std::isnan(value)) return 0;
  if (value >= 2147483648.0f) return std::numeric_limits<int32_t>::max();
  if (value < -2147483648.0f) return std::numeric_limits<int32_t>::min();
  return static_cast<int32_t>(value);
}

/// True for the compares whose operands are f32.
constexpr bool compares_floats(Opcode op) {
  return op == Opcode::lt_f || op == Opcode::le_f || op == Opcode::eq_f;
}

/// True when an instruction has no effect but its results and touches no memory.
constexpr bool is_pure(Opcode op) {
  using enum Opcode;
  return class_constant(op) != OpClass::other || op == constant || op == lane_id || op == wave_id ||
         op == group_id || op == fma || op == not_b || op == select || op == int_from_float ||
         op == float_from_int || op == int_from_bool || op == bits_from_float ||
         op == float_from_bits || op == vector || op == extract;
}

}  // namespace leat::ir
