// One switch over the operations per type. All whole-number arithmetic goes through uint64_t, where
// overflow is defined.
#include "leat/tensor/scalar_math.h"

#include <cmath>
#include <limits>

#include "leat/base/check.h"

namespace leat {
namespace {

int64_t wrap(uint64_t value) { return static_cast<int64_t>(value); }

int64_t divide(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return wrap(0 - static_cast<uint64_t>(a));
  return a / b;
}

int64_t remainder(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

int64_t shift_left(int64_t a, int64_t b) {
  return b < 0 || b > 63 ? 0 : wrap(static_cast<uint64_t>(a) << b);
}

int64_t shift_right(int64_t a, int64_t b) { return b < 0 || b > 63 ? 0 : a >> b; }

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
    case ScalarOp::min: return b < a ? b : a;
    case ScalarOp::max: return a < b ? b : a;
    case ScalarOp::pow: return std::pow(a, b);
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
    case ScalarOp::to_float:
    case ScalarOp::to_int: break;
  }
  CHECK(false && "not an operation on numbers");
  return 0;
}

/// A straight switch: one row per operation.
int64_t apply_integer(ScalarOp op, int64_t a, int64_t b) {
  const uint64_t ua = static_cast<uint64_t>(a);
  const uint64_t ub = static_cast<uint64_t>(b);
  switch (op) {
    case ScalarOp::neg: return wrap(0 - ua);
    case ScalarOp::abs: return a < 0 ? wrap(0 - ua) : a;
    case ScalarOp::add: return wrap(ua + ub);
    case ScalarOp::sub: return wrap(ua - ub);
    case ScalarOp::mul: return wrap(ua * ub);
    case ScalarOp::div: return divide(a, b);
    case ScalarOp::rem: return remainder(a, b);
    case ScalarOp::min: return b < a ? b : a;
    case ScalarOp::max: return a < b ? b : a;
    case ScalarOp::bit_and:
    case ScalarOp::logical_and: return a & b;
    case ScalarOp::bit_or:
    case ScalarOp::logical_or: return a | b;
    case ScalarOp::bit_xor:
    case ScalarOp::logical_xor: return a ^ b;
    case ScalarOp::shift_left: return shift_left(a, b);
    case ScalarOp::shift_right: return shift_right(a, b);
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
    case ScalarOp::less:
    case ScalarOp::less_equal:
    case ScalarOp::equal:
    case ScalarOp::select:
    case ScalarOp::to_float:
    case ScalarOp::to_int: break;
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

ScalarValue apply_scalar(ScalarOp op, ScalarType type, const std::array<ScalarValue, 3>& operands) {
  const ScalarValue& a = operands[0];
  const ScalarValue& b = operands[1];
  ScalarValue result;
  if (op == ScalarOp::select) {
    result = a.integer != 0 ? b : operands[2];
  } else if (op == ScalarOp::to_float) {
    result.number = static_cast<double>(a.integer);
  } else if (op == ScalarOp::to_int) {
    result.integer = type == ScalarType::f32 ? truncate_to_integer(a.number) : a.integer;
  } else if (op == ScalarOp::less || op == ScalarOp::less_equal || op == ScalarOp::equal) {
    result.integer = type == ScalarType::f32 ? compare(op, a.number, b.number)
                                             : compare(op, a.integer, b.integer);
  } else if (type == ScalarType::f32) {
    result.number = apply_number(op, a.number, b.number);
  } else {
    result.integer = apply_integer(op, a.integer, b.integer);
  }
  return result;
}

}  // namespace leat
