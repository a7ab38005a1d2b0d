// One switch over the operations per type. All whole-number arithmetic goes through uint64_t, where
// overflow is defined.
#include "leat/tensor/scalar_math.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "leat/base/check.h"
#include "leat/base/small_floats.h"

namespace leat {
namespace {

int64_t wrap(uint64_t value) { return static_cast<int64_t>(value); }

int64_t divide(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return wrap(0 - static_cast<uint64_t>(a));
  return a / b;
}

int64_t remainder(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

/// Without sign in all types: i32 holds no unsigned 32-bit numbers, but ONNX shifts only those.
int64_t shifted_right(int64_t a, int64_t b, ScalarType type) {
  const uint64_t bits = static_cast<uint64_t>(a);
  return wrap((type == ScalarType::i32 ? bits & 0xffffffffu : bits) >> b);
}

/// A straight switch: one row per operation.
double apply_number(ScalarOp op, double a, double b) {
  switch (op) {
    case ScalarOp::neg: return -a;
    case ScalarOp::abs: return std::fabs(a);
    case ScalarOp::sqrt: return std::sqrt(a);
    case ScalarOp::floor: return std::floor(a);
    case ScalarOp::ceil: return std::ceil(a);
    case ScalarOp::round_even: return std::nearbyint(a);
    case ScalarOp::exp: return std::exp(a);
    case ScalarOp::expm1: return std::expm1(a);
    case ScalarOp::log: return std::log(a);
    case ScalarOp::log1p: return std::log1p(a);
    case ScalarOp::sin: return std::sin(a);
    case ScalarOp::cos: return std::cos(a);
    case ScalarOp::tan: return std::tan(a);
    case ScalarOp::asin: return std::asin(a);
    case ScalarOp::acos: return std::acos(a);
    case ScalarOp::atan: return std::atan(a);
    case ScalarOp::sinh: return std::sinh(a);
    case ScalarOp::cosh: return std::cosh(a);
    case ScalarOp::tanh: return std::tanh(a);
    case ScalarOp::asinh: return std::asinh(a);
    case ScalarOp::acosh: return std::acosh(a);
    case ScalarOp::atanh: return std::atanh(a);
    case ScalarOp::erf: return std::erf(a);
    case ScalarOp::add: return a + b;
    case ScalarOp::sub: return a - b;
    case ScalarOp::mul: return a * b;
    case ScalarOp::div: return a / b;
    case ScalarOp::min: return b < a || std::isnan(b) ? b : a;
    case ScalarOp::max: return a < b || std::isnan(b) ? b : a;
    case ScalarOp::pow: return std::pow(a, b);
    case ScalarOp::fmod: return std::fmod(a, b);
    case ScalarOp::rem:
    case ScalarOp::bit_and:
    case ScalarOp::bit_or:
    case ScalarOp::bit_xor:
    case ScalarOp::shift_left:
    case ScalarOp::shift_right:
    case ScalarOp::less:
    case ScalarOp::less_equal:
    case ScalarOp::equal:
    case ScalarOp::logical_and:
    case ScalarOp::logical_or:
    case ScalarOp::logical_xor:
    case ScalarOp::logical_not:
    case ScalarOp::select:
    case ScalarOp::to_f32:
    case ScalarOp::to_i32:
    case ScalarOp::to_i64:
    case ScalarOp::to_u64:
    case ScalarOp::to_f64:
    case ScalarOp::float_from_code:
    case ScalarOp::code_from_float: break;
  }
  CHECK(false && "not an operation on numbers");
  return 0;
}

/// A straight switch: one row per operation.
int64_t apply_integer(ScalarOp op, ScalarType type, int64_t a, int64_t b) {
  const uint64_t ua = static_cast<uint64_t>(a);
  const uint64_t ub = static_cast<uint64_t>(b);
  const bool is_unsigned = type == ScalarType::u64;
  const bool is_less = is_unsigned ? ua < ub : a < b;
  const int64_t width = type == ScalarType::i32 ? 32 : 64;
  switch (op) {
    case ScalarOp::neg: return wrap(0 - ua);
    case ScalarOp::abs: return a < 0 && !is_unsigned ? wrap(0 - ua) : a;
    case ScalarOp::add: return wrap(ua + ub);
    case ScalarOp::sub: return wrap(ua - ub);
    case ScalarOp::mul: return wrap(ua * ub);
    case ScalarOp::div:
      if (is_unsigned) return b == 0 ? 0 : wrap(ua / ub);
      return divide(a, b);
    case ScalarOp::rem:
      if (is_unsigned) return b == 0 ? 0 : wrap(ua % ub);
      return remainder(a, b);
    case ScalarOp::min: return is_less ? a : b;
    case ScalarOp::max: return is_less ? b : a;
    case ScalarOp::bit_and:
    case ScalarOp::logical_and: return a & b;
    case ScalarOp::bit_or:
    case ScalarOp::logical_or: return a | b;
    case ScalarOp::bit_xor:
    case ScalarOp::logical_xor: return a ^ b;
    case ScalarOp::shift_left: return b < 0 || b >= width ? 0 : wrap(ua << b);
    case ScalarOp::shift_right: return b < 0 || b >= width ? 0 : shifted_right(a, b, type);
    case ScalarOp::logical_not: return a == 0 ? 1 : 0;
    case ScalarOp::sqrt:
    case ScalarOp::floor:
    case ScalarOp::ceil:
    case ScalarOp::round_even:
    case ScalarOp::exp:
    case ScalarOp::expm1:
    case ScalarOp::log:
    case ScalarOp::log1p:
    case ScalarOp::sin:
    case ScalarOp::cos:
    case ScalarOp::tan:
    case ScalarOp::asin:
    case ScalarOp::acos:
    case ScalarOp::atan:
    case ScalarOp::sinh:
    case ScalarOp::cosh:
    case ScalarOp::tanh:
    case ScalarOp::asinh:
    case ScalarOp::acosh:
    case ScalarOp::atanh:
    case ScalarOp::erf:
    case ScalarOp::pow:
    case ScalarOp::fmod:
    case ScalarOp::less:
    case ScalarOp::less_equal:
    case ScalarOp::equal:
    case ScalarOp::select:
    case ScalarOp::to_f32:
    case ScalarOp::to_i32:
    case ScalarOp::to_i64:
    case ScalarOp::to_u64:
    case ScalarOp::to_f64:
    case ScalarOp::float_from_code:
    case ScalarOp::code_from_float: break;
  }
  CHECK(false && "not an operation on whole numbers");
  return 0;
}

template <typename T>
bool compare(ScalarOp op, T a, T b) {
  if (op == ScalarOp::less) return a < b;
  if (op == ScalarOp::less_equal) return a <= b;
  return a == b;
}

}  // namespace

int64_t truncate_to_integer(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return std::numeric_limits<int64_t>::max();
  if (value <= -0x1p63) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

int64_t truncate_to(ScalarType type, double value) {
  if (type == ScalarType::i32) {
    using Limits = std::numeric_limits<int32_t>;
    return std::clamp<int64_t>(truncate_to_integer(value), Limits::min(), Limits::max());
  }
  if (type != ScalarType::u64) return truncate_to_integer(value);
  if (!(value > 0)) return 0;
  return value >= 0x1p64 ? -1 : wrap(static_cast<uint64_t>(value));
}

namespace {

int64_t wrapped_to(ScalarType type, int64_t value) {
  return type == ScalarType::i32 ? static_cast<int32_t>(value) : value;
}

/// The nearest f32, rounded once.
template <typename Number>
double single_of(Number value) {
  return static_cast<double>(static_cast<float>(value));
}

/// The operand as an f32; of what is one, the double that stands for it.
double narrow_number_of(ScalarType type, const ScalarValue& value) {
  if (type == ScalarType::f32) return value.number;
  if (is_float(type)) return single_of(value.number);
  return type == ScalarType::u64 ? single_of(static_cast<uint64_t>(value.integer))
                                 : single_of(value.integer);
}

double wide_number_of(ScalarType type, const ScalarValue& value) {
  if (is_float(type)) return value.number;
  return type == ScalarType::u64 ? static_cast<double>(static_cast<uint64_t>(value.integer))
                                 : static_cast<double>(value.integer);
}

int64_t whole_of(ScalarType from, const ScalarValue& value, ScalarType to) {
  return is_float(from) ? truncate_to(to, value.number) : wrapped_to(to, value.integer);
}

bool apply_compare(ScalarOp op, ScalarType type, const ScalarValue& a, const ScalarValue& b) {
  if (is_float(type)) return compare(op, a.number, b.number);
  if (type != ScalarType::u64) return compare(op, a.integer, b.integer);
  return compare(op, static_cast<uint64_t>(a.integer), static_cast<uint64_t>(b.integer));
}

}  // namespace

ScalarValue apply_scalar(ScalarOp op, ScalarType type, const std::array<ScalarValue, 3>& operands) {
  const ScalarValue& a = operands[0];
  const ScalarValue& b = operands[1];
  const auto number = [](double value) { return ScalarValue{.number = value}; };
  const auto whole = [](int64_t value) { return ScalarValue{.integer = value}; };
  if (op == ScalarOp::select) return a.integer != 0 ? b : operands[2];
  if (op == ScalarOp::to_f32) return number(narrow_number_of(type, a));
  if (op == ScalarOp::to_f64) return number(wide_number_of(type, a));
  if (op == ScalarOp::to_i32) return whole(whole_of(type, a, ScalarType::i32));
  if (op == ScalarOp::to_i64) return whole(whole_of(type, a, ScalarType::i64));
  if (op == ScalarOp::to_u64) return whole(whole_of(type, a, ScalarType::u64));
  if (op == ScalarOp::float_from_code) {
    return number(small_float_of(static_cast<DType>(b.integer), a.integer));
  }
  if (op == ScalarOp::code_from_float) {
    return whole(code_of(static_cast<DType>(b.integer), a.number));
  }
  if (op == ScalarOp::less || op == ScalarOp::less_equal || op == ScalarOp::equal) {
    return whole(apply_compare(op, type, a, b) ? 1 : 0);
  }
  // Half of what is near a half in double is one in f32, where a device has it.
  if (op == ScalarOp::round_even && type == ScalarType::f32) {
    return number(apply_number(op, static_cast<double>(static_cast<float>(a.number)), 0));
  }
  if (is_float(type)) return number(apply_number(op, a.number, b.number));
  return whole(wrapped_to(type, apply_integer(op, type, a.integer, b.integer)));
}

}  // namespace leat
