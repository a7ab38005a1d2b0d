// See conversions.h. A quotient without sign is made of one with sign: half of the dividend has no
// sign bit, and what twice its quotient leaves is at most one divisor too much.
#include "leat/lower/conversions.h"

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "leat/base/check.h"
#include "leat/lower/math_kernels.h"
#include "leat/lower/narrow_floats.h"
#include "leat/tensor/scalar_math.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::Scalar;
using ir::ValueId;

constexpr int kMantissaBits = 23;   // of an f32
constexpr int64_t kScaleNan = 255;  // of f8e8m0

ValueId float_of_unsigned(Builder& b, ValueId value, Scalar to) {
  // The bit that halving drops still counts for rounding.
  const ValueId low = b.binary(Opcode::and_i, value, b.i64(1));
  const ValueId half = b.binary(Opcode::or_i, b.binary(Opcode::shr_u, value, b.i64(1)), low);
  const ValueId is_large = b.binary(Opcode::lt_i, value, b.i64(0));
  const ValueId number = b.convert(Opcode::float_from_int, b.select(is_large, half, value), to);
  return b.select(is_large, b.add(number, number), number);
}

ValueId unsigned_of_float(Builder& b, ValueId value) {
  const bool is_double = b.type(value).scalar == Scalar::f64;
  const auto number = [&](double n) { return is_double ? b.f64(n) : b.f32(static_cast<float>(n)); };
  const ValueId zero = number(0);
  const ValueId positive = b.select(b.binary(Opcode::lt_f, zero, value), value, zero);
  const ValueId is_large = b.binary(Opcode::le_f, number(0x1p63), positive);
  const ValueId reduced = b.select(is_large, b.sub(positive, number(0x1p63)), positive);
  const ValueId whole = b.convert(Opcode::int_from_float, reduced, Scalar::i64);
  return b.select(is_large, b.binary(Opcode::xor_i, whole, b.i64(INT64_MIN)), whole);
}

ValueId unsigned_quotient(Builder& b, ValueId dividend, ValueId divisor) {
  const ValueId half = b.binary(Opcode::shr_u, dividend, b.i64(1));
  const ValueId one = b.i64(1);
  const ValueId twice = b.binary(Opcode::shl_i, b.binary(Opcode::div_i, half, divisor), one);
  const ValueId rest = b.sub(dividend, b.mul(twice, divisor));
  const ValueId is_less = b.binary(Opcode::lt_u, rest, divisor);
  const ValueId quotient = b.select(is_less, twice, b.add(twice, one));
  const ValueId is_small = b.binary(Opcode::lt_u, dividend, divisor);
  const ValueId is_large = b.binary(Opcode::lt_i, divisor, b.i64(0));
  return b.select(is_large, b.select(is_small, b.i64(0), one), quotient);
}

}  // namespace

ValueId constant_of(Builder& builder, ScalarType type, double number) {
  switch (type) {
    case ScalarType::f32: return builder.f32(static_cast<float>(number));
    case ScalarType::f64: return builder.f64(number);
    case ScalarType::b1: return builder.b1(number != 0);
    case ScalarType::i32: return builder.i32(truncate_to(type, number));
    case ScalarType::i64:
    case ScalarType::u64: return builder.i64(truncate_to(type, number));
  }
  return ir::kNone;
}

ValueId constant_like(Builder& builder, ValueId value, int64_t number) {
  switch (builder.type(value).scalar) {
    case Scalar::f32: return builder.f32(static_cast<float>(number));
    case Scalar::i32: return builder.i32(number);
    case Scalar::b1: return builder.b1(number != 0);
    case Scalar::i64: return builder.i64(number);
    case Scalar::f64: return builder.f64(static_cast<double>(number));
  }
  return ir::kNone;
}

std::optional<ScalarType> conversion_of(ScalarOp op) {
  if (op == ScalarOp::to_f32) return ScalarType::f32;
  if (op == ScalarOp::to_i32) return ScalarType::i32;
  if (op == ScalarOp::to_i64) return ScalarType::i64;
  if (op == ScalarOp::to_u64) return ScalarType::u64;
  if (op == ScalarOp::to_f64) return ScalarType::f64;
  return std::nullopt;
}

ValueId converted(Builder& b, ValueId value, ScalarType from, ScalarType to) {
  if (from == ScalarType::b1) {
    value = b.convert(Opcode::int_from_bool, value);
    from = ScalarType::i32;
  }
  if (from == to) return value;
  if (is_float(to)) {
    const Scalar scalar = to == ScalarType::f32 ? Scalar::f32 : Scalar::f64;
    if (is_float(from)) {
      return b.convert(to == ScalarType::f32 ? Opcode::narrow_f : Opcode::widen_f, value);
    }
    return from == ScalarType::u64 ? float_of_unsigned(b, value, scalar)
                                   : b.convert(Opcode::float_from_int, value, scalar);
  }
  if (is_float(from)) {
    if (to == ScalarType::u64) return unsigned_of_float(b, value);
    return b.convert(Opcode::int_from_float, value,
                     to == ScalarType::i32 ? Scalar::i32 : Scalar::i64);
  }
  if (to == ScalarType::i32) return b.convert(Opcode::narrow_i, value);
  return from == ScalarType::i32 ? b.convert(Opcode::widen_i, value) : value;
}

static ValueId is_number(Builder& b, ValueId value) {
  if (b.type(value).scalar == Scalar::f64) return b.binary(Opcode::eq_f, value, value);
  return b.not_b(is_nan(b, value));
}

static bool is_constant_number(const Builder& b, ValueId value) {
  const std::optional<int64_t> bits = b.constant(value);
  if (!bits) return false;
  const bool is_f64 = b.type(value).scalar == Scalar::f64;
  return !(is_f64 ? std::isnan(std::bit_cast<double>(*bits))
                  : std::isnan(std::bit_cast<float>(static_cast<int32_t>(*bits))));
}

ValueId apply_extreme(Builder& b, ScalarOp op, ValueId left, ValueId right) {
  if (is_constant_number(b, left)) std::swap(left, right);
  const bool is_min = op == ScalarOp::min;
  const ValueId is_right =
      is_min ? b.binary(Opcode::lt_f, right, left) : b.binary(Opcode::lt_f, left, right);
  const ValueId extreme = b.select(is_right, right, left);
  if (is_constant_number(b, right)) return extreme;
  return b.select(is_number(b, right), extreme, right);
}

ValueId reduce_extreme(Builder& b, ScalarOp op, ValueId value) {
  const auto flag = [&](double number) {
    return b.type(value).scalar == Scalar::f64 ? constant_of(b, ScalarType::f64, number)
                                               : constant_of(b, ScalarType::f32, number);
  };
  const ValueId one = flag(1), zero = flag(0);
  const ValueId none = b.reduce(Opcode::reduce_max, b.select(is_number(b, value), zero, one));
  const ValueId extreme =
      b.reduce(op == ScalarOp::min ? Opcode::reduce_min : Opcode::reduce_max, value);
  const ValueId nan = flag(std::numeric_limits<double>::quiet_NaN());
  return b.select(b.binary(Opcode::lt_f, zero, none), nan, extreme);
}

ValueId apply_unsigned(Builder& b, ScalarOp op, ValueId left, ValueId right) {
  const auto less = [&](ValueId x, ValueId y) { return b.binary(Opcode::lt_u, x, y); };
  if (op == ScalarOp::add) return b.add(left, right);
  if (op == ScalarOp::sub) return b.sub(left, right);
  if (op == ScalarOp::mul) return b.mul(left, right);
  if (op == ScalarOp::neg) return b.sub(b.i64(0), left);
  if (op == ScalarOp::abs) return left;
  if (op == ScalarOp::div) return unsigned_quotient(b, left, right);
  if (op == ScalarOp::rem) return b.sub(left, b.mul(unsigned_quotient(b, left, right), right));
  if (op == ScalarOp::min) return b.select(less(left, right), left, right);
  if (op == ScalarOp::max) return b.select(less(left, right), right, left);
  if (op == ScalarOp::bit_and) return b.binary(Opcode::and_i, left, right);
  if (op == ScalarOp::bit_or) return b.binary(Opcode::or_i, left, right);
  if (op == ScalarOp::bit_xor) return b.binary(Opcode::xor_i, left, right);
  if (op == ScalarOp::shift_left) return b.binary(Opcode::shl_i, left, right);
  if (op == ScalarOp::shift_right) return b.binary(Opcode::shr_u, left, right);
  if (op == ScalarOp::less) return less(left, right);
  if (op == ScalarOp::less_equal) return b.not_b(less(right, left));
  CHECK(op == ScalarOp::equal);
  return b.binary(Opcode::eq_i, left, right);
}

ValueId apply_function(Builder& builder, Opcode op, ValueId a, ValueId b) {
  const bool narrows = builder.type(a).scalar == Scalar::f64 && op != Opcode::fmod;
  if (narrows) a = builder.convert(Opcode::narrow_f, a);
  if (narrows && b != ir::kNone) b = builder.convert(Opcode::narrow_f, b);
  const ValueId result = b == ir::kNone ? builder.unary(op, a) : builder.binary(op, a, b);
  return narrows ? builder.convert(Opcode::widen_f, result) : result;
}

ValueId small_float_value(Builder& b, DType dtype, ValueId code) {
  if (dtype != DType::f8e8m0) return float_from_code(b, layout_of(dtype), code);
  // An exponent alone. 2^-127 is a subnormal f32, which has its bit below the exponent.
  const auto is = [&](int64_t number) { return b.binary(Opcode::eq_i, code, b.i32(number)); };
  const ValueId plain = b.binary(Opcode::shl_i, code, b.i32(kMantissaBits));
  const ValueId half = b.i32(1 << (kMantissaBits - 1));
  const ValueId smallest = b.select(is(0), half, plain);
  const ValueId nan = b.i32(0x7fc00000);
  return b.convert(Opcode::float_from_bits, b.select(is(kScaleNan), nan, smallest));
}

ValueId small_float_code(Builder& b, DType dtype, ValueId value) {
  if (dtype != DType::f8e8m0) return code_from_float(b, layout_of(dtype), value);
  const ValueId all_but_sign = b.i32(INT32_MAX);
  const ValueId bits =
      b.binary(Opcode::and_i, b.convert(Opcode::bits_from_float, value), all_but_sign);
  const ValueId mantissa_bits = b.i32(kMantissaBits);
  const ValueId code =
      b.binary(Opcode::shr_u, b.add(bits, b.i32((1 << kMantissaBits) - 1)), mantissa_bits);
  const ValueId is_smallest = b.binary(Opcode::le_i, bits, b.i32(1 << (kMantissaBits - 1)));
  return b.select(is_smallest, b.i32(0), code);
}

}  // namespace leat
