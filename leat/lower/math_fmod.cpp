// The remainder of floats, by long division of their mantissas as whole numbers: exact, as fmod is
// by definition, with a fused multiply-add or without.
#include <limits>

#include "leat/lower/math_kernels.h"

namespace leat {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

namespace {

/// The bits of a f32 or f64, as whole numbers of its size.
class FloatBits {
 public:
  FloatBits(Builder& builder, ir::Scalar scalar)
      : b(builder),
        is_double_(scalar == ir::Scalar::f64),
        mantissa_bits_(is_double_ ? 52 : 23),
        bias_(is_double_ ? 1023 : 127) {}

  ValueId whole(int64_t value) const { return is_double_ ? b.i64(value) : b.i32(value); }
  ValueId number(double value) const {
    return is_double_ ? b.f64(value) : b.f32(static_cast<float>(value));
  }
  ValueId with(Opcode op, ValueId a, int64_t c) const { return b.binary(op, a, whole(c)); }
  ValueId as_i32(ValueId value) const {
    return is_double_ ? b.convert(Opcode::narrow_i, value) : value;
  }
  ValueId to_float(ValueId value) const {
    return b.convert(Opcode::float_from_int, value, is_double_ ? ir::Scalar::f64 : ir::Scalar::f32);
  }
  ValueId to_whole(ValueId value) const {
    return b.convert(Opcode::int_from_float, value, is_double_ ? ir::Scalar::i64 : ir::Scalar::i32);
  }
  /// What is below it is less than half of the mantissa's bits.
  int64_t half_unit() const { return int64_t{1} << (mantissa_bits_ + 1) / 2; }
  int64_t hidden_bit() const { return int64_t{1} << mantissa_bits_; }
  int64_t sign_bit() const { return is_double_ ? INT64_MIN : INT32_MIN; }
  int64_t infinity() const { return int64_t{2 * bias_ + 1} << mantissa_bits_; }
  ValueId magnitude_of(ValueId x) const {
    return with(Opcode::and_i, b.convert(Opcode::bits_from_float, x), ~sign_bit());
  }
  /// What is not negative is mantissa * 2^(exponent - bias - mantissa bits).
  ValueId exponent_of(ValueId bits) const {
    return with(Opcode::max_i, with(Opcode::shr_u, bits, mantissa_bits_), 1);
  }
  ValueId mantissa_of(ValueId bits) const {
    const ValueId is_normal = b.binary(Opcode::le_i, whole(hidden_bit()), bits);
    const ValueId none = whole(0);
    const ValueId hidden = b.select(is_normal, whole(hidden_bit()), none);
    return b.binary(Opcode::or_i, with(Opcode::and_i, bits, hidden_bit() - 1), hidden);
  }
  /// 2^(exponent - bias), exponent from 1 on.
  ValueId power_of_two(ValueId exponent) const {
    return b.convert(Opcode::float_from_bits, with(Opcode::shl_i, exponent, mantissa_bits_));
  }
  int64_t bias() const { return bias_; }

  Builder& b;

 private:
  bool is_double_;
  int mantissa_bits_;
  int bias_;
};

/// So many bits of the quotient are found at once, which float arithmetic does to the last but one.
constexpr int kQuotientBits = 16;

/// number * 2^shift modulo a divisor, whose quotient has no more bits than a mantissa. Its estimate
/// is off by 1 at most, and the rest is exact, since whole numbers wrap.
ValueId rest_of_shifted(const FloatBits& f, ValueId number, ValueId shift, ValueId divisor) {
  Builder& b = f.b;
  const ValueId power = f.power_of_two(f.with(Opcode::add_i, shift, f.bias()));
  const ValueId dividend = b.mul(f.to_float(number), power);
  const ValueId quotient = f.to_whole(b.binary(Opcode::div_f, dividend, f.to_float(divisor)));
  const ValueId product = b.binary(Opcode::mul_i, quotient, divisor);
  const ValueId rest = b.binary(Opcode::sub_i, b.binary(Opcode::shl_i, number, shift), product);
  const ValueId more = b.binary(Opcode::add_i, rest, divisor);
  const ValueId raised = b.select(f.with(Opcode::lt_i, rest, 0), more, rest);
  const ValueId lowered = b.binary(Opcode::sub_i, raised, divisor);
  return b.select(b.binary(Opcode::le_i, divisor, raised), lowered, raised);
}

/// Of the magnitudes' bits: long division of the mantissas, 16 bits of the quotient a round; the
/// first is no loop.
ValueId rest_by_mantissas(const FloatBits& f, ValueId a, ValueId c) {
  Builder& b = f.b;
  const ValueId exponent = f.exponent_of(c);
  const ValueId divisor = f.mantissa_of(c);
  const ValueId distance = b.binary(Opcode::sub_i, f.exponent_of(a), exponent);
  const auto part_of = [&](ValueId bits_left) {
    return f.with(Opcode::min_i, f.with(Opcode::max_i, bits_left, 0), kQuotientBits);
  };
  // A subnormal divisor may be small, so that the quotient has many bits before any is shifted.
  const ValueId is_normal = b.binary(Opcode::le_i, f.whole(f.hidden_bit()), c);
  const ValueId none = f.whole(0);
  const ValueId first = b.select(is_normal, part_of(distance), none);
  const ValueId left = b.binary(Opcode::sub_i, distance, first);
  const ValueId rounds =
      b.rounds(f.as_i32(f.with(Opcode::shr_s, f.with(Opcode::add_i, left, kQuotientBits - 1), 4)));
  static_assert(kQuotientBits == 1 << 4);
  const ValueId init[] = {rest_of_shifted(f, f.mantissa_of(a), first, divisor), left};
  const bool varying = b.type(a).varying || b.type(c).varying;
  const std::vector<ValueId> found =
      b.loop(b.i32(0), rounds, 1, init, varying, [&](ValueId, std::span<const ValueId> carried) {
        const ValueId part = part_of(carried[1]);
        return std::vector<ValueId>{rest_of_shifted(f, carried[0], part, divisor),
                                    b.binary(Opcode::sub_i, carried[1], part)};
      });
  const ValueId power = f.power_of_two(exponent);
  const ValueId unit = f.number(1.0 / static_cast<double>(f.hidden_bit()));
  const ValueId rest = b.mul(b.mul(f.to_float(found[0]), unit), power);
  const ValueId dividend = b.convert(Opcode::float_from_bits, a);
  const ValueId value = b.select(b.binary(Opcode::lt_i, a, c), dividend, rest);
  const ValueId no_dividend = b.binary(Opcode::le_i, f.whole(f.infinity()), a);
  const ValueId is_zero = f.with(Opcode::eq_i, c, 0);
  const ValueId no_divisor =
      b.binary(Opcode::or_b, b.binary(Opcode::lt_i, f.whole(f.infinity()), c), is_zero);
  const ValueId nan = f.number(std::numeric_limits<double>::quiet_NaN());
  return b.select(b.binary(Opcode::or_b, no_dividend, no_divisor), nan, value);
}

struct NearRest {
  ValueId rest;
  ValueId holds;  // b1
};

/// Where the quotient has 10 bits and nothing is near the ends of the exponents: the divisor in two
/// parts, whose products with the quotient are exact. To the nearest whole quotient what is left of
/// the dividend after each is a number, too.
NearRest rest_of_few_bits(const FloatBits& f, ValueId a, ValueId c) {
  Builder& b = f.b;
  const ValueId dividend = b.convert(Opcode::float_from_bits, a);
  const ValueId divisor = b.convert(Opcode::float_from_bits, c);
  const ValueId quotient = b.unary(Opcode::round_even, b.binary(Opcode::div_f, dividend, divisor));
  const ValueId high =
      b.convert(Opcode::float_from_bits, f.with(Opcode::and_i, c, ~(f.half_unit() - 1)));
  const ValueId low = b.sub(divisor, high);
  const ValueId of_low = b.mul(quotient, low);
  const ValueId rest = b.sub(b.sub(dividend, b.mul(quotient, high)), of_low);
  const ValueId is_below = b.binary(Opcode::lt_f, rest, f.number(0));
  const auto less = [&](ValueId left, ValueId right) {
    return b.binary(Opcode::lt_f, left, right);
  };
  const ValueId largest = f.number(0x1p126), smallest = f.number(0x1p-100);
  const ValueId not_small = less(smallest, divisor);
  const ValueId not_large = less(divisor, largest);
  const ValueId in_range =
      b.logical_and(b.logical_and(less(dividend, largest), not_large), not_small);
  return {b.select(is_below, b.add(rest, divisor), rest),
          b.logical_and(in_range, less(quotient, f.number(1024)))};
}

}  // namespace

/// The long way is a loop that the lanes take which need it, and nobody where none does.
ValueId math_fmod(Builder& b, ValueId x, ValueId y) {
  const FloatBits f(b, b.type(x).scalar);
  const bool varying = b.type(x).varying || b.type(y).varying;
  const ValueId a = f.magnitude_of(x);
  const ValueId c = f.magnitude_of(y);
  const NearRest near = rest_of_few_bits(f, a, c);
  const ValueId is_far = b.not_b(near.holds);
  // The magnitudes are carried so that the builder leaves what they are used for in the loop.
  const ValueId init[] = {near.rest, a, c};
  const ValueId rounds = b.rounds(b.convert(Opcode::int_from_bool, is_far));
  const std::vector<ValueId> found =
      b.loop(b.i32(0), rounds, 1, init, varying, [&](ValueId, std::span<const ValueId> carried) {
        const ValueId rest = rest_by_mantissas(f, carried[1], carried[2]);
        return std::vector<ValueId>{b.select(is_far, rest, carried[0]), carried[1], carried[2]};
      });
  const ValueId sign = f.with(Opcode::and_i, b.convert(Opcode::bits_from_float, x), f.sign_bit());
  return b.convert(Opcode::float_from_bits,
                   b.binary(Opcode::or_i, b.convert(Opcode::bits_from_float, found[0]), sign));
}

}  // namespace leat
