// A normal number of the narrow type moves to the places of an f32 by a shift, and its exponent by
// the difference of the biases. A subnormal is a whole number of units, which a multiplication by
// the unit turns into an f32, and an addition of a number with that unit in its last place back:
// the addition rounds to nearest even. No step has a subnormal f32, which some devices flush.
// Source: IEEE 754-2019, section 3.4.
#include "leat/lower/narrow_floats.h"

#include <bit>
#include <cmath>

#include "leat/base/check.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

constexpr int kMantissaBits = 23;  // of an f32
constexpr int kBias = 127;
constexpr int32_t kSign = INT32_MIN;
constexpr int32_t kInfinity = 0x7f800000;
constexpr int32_t kNan = 0x7fc00000;

int32_t bits_of(float value) { return static_cast<int32_t>(std::bit_cast<uint32_t>(value)); }

}  // namespace

ValueId float_from_code(Builder& b, const FloatLayout& layout, ValueId code) {
  const int shift = kMantissaBits - layout.mantissa_bits;
  const ValueId top = b.i32(kSign);
  const ValueId sign =
      b.binary(Opcode::and_i, b.binary(Opcode::shl_i, code, b.i32(32 - layout.bits)), top);
  const auto with_sign = [&](ValueId bits) {
    return b.convert(Opcode::float_from_bits, b.binary(Opcode::or_i, bits, sign));
  };
  const int32_t sign_bit = 1 << (layout.bits - 1);
  const ValueId size = b.binary(Opcode::and_i, code, b.i32(sign_bit - 1));
  const ValueId moved = b.binary(Opcode::shl_i, size, b.i32(shift));
  if (layout.bias == kBias) return with_sign(moved);
  const ValueId normal = b.add(moved, b.i32((kBias - layout.bias) << kMantissaBits));
  const ValueId unit = b.f32(std::ldexp(1.0f, 1 - layout.bias - layout.mantissa_bits));
  const ValueId units = b.mul(b.convert(Opcode::float_from_int, size), unit);
  const ValueId is_small = b.binary(Opcode::lt_i, size, b.i32(1 << layout.mantissa_bits));
  ValueId bits = b.select(is_small, b.convert(Opcode::bits_from_float, units), normal);
  if (layout.zero_has_no_sign()) {
    const ValueId all = b.binary(Opcode::and_i, code, b.i32(2 * sign_bit - 1));
    const ValueId nan = b.i32(kNan);
    bits = b.select(b.binary(Opcode::eq_i, all, b.i32(sign_bit)), nan, bits);
  } else if (layout.has_specials()) {
    const ValueId is_number = b.binary(Opcode::lt_i, size, b.i32(layout.overflow));
    const ValueId special = b.binary(Opcode::or_i, moved, b.i32(kInfinity));  // a NaN stays one
    bits = b.select(is_number, bits, special);
  }
  return with_sign(bits);
}

ValueId code_from_float(Builder& b, const FloatLayout& layout, ValueId value) {
  const int shift = kMantissaBits - layout.mantissa_bits;
  const ValueId bits = b.convert(Opcode::bits_from_float, value);
  const ValueId size = b.binary(Opcode::and_i, bits, b.i32(INT32_MAX));
  // Half a unit, less one where the number below is even, rounds up what is above the middle.
  const ValueId one = b.i32(1);
  const ValueId is_odd = b.binary(Opcode::and_i, b.binary(Opcode::shr_u, size, b.i32(shift)), one);
  const int32_t half = (1 << (shift - 1)) - 1;
  const ValueId moves = b.i32(int64_t{half} - (int64_t{kBias - layout.bias} << kMantissaBits));
  const ValueId rounded = b.add(b.add(size, is_odd), moves);
  ValueId code = b.binary(Opcode::shr_s, rounded, b.i32(shift));
  if (layout.bias != kBias) {
    const float magic = std::ldexp(1.0f, 1 - layout.bias - layout.mantissa_bits + kMantissaBits);
    const ValueId added = b.f32(magic);
    const ValueId sum = b.add(b.convert(Opcode::float_from_bits, size), added);
    const ValueId above = b.i32(bits_of(magic));
    const ValueId units = b.sub(b.convert(Opcode::bits_from_float, sum), above);
    const int32_t smallest_normal = (kBias - layout.bias + 1) << kMantissaBits;
    code = b.select(b.binary(Opcode::lt_i, size, b.i32(smallest_normal)), units, code);
  }
  code = b.binary(Opcode::min_i, code, b.i32(layout.overflow));
  const ValueId is_nan = b.binary(Opcode::lt_i, b.i32(kInfinity), size);
  code = b.select(is_nan, b.i32(layout.nan), code);
  const ValueId sign_bit = b.i32(1 << (layout.bits - 1));
  const ValueId sign =
      b.binary(Opcode::and_i, b.binary(Opcode::shr_u, bits, b.i32(32 - layout.bits)), sign_bit);
  const ValueId signed_code = b.binary(Opcode::or_i, code, sign);
  if (!layout.zero_has_no_sign()) return signed_code;
  const ValueId is_plain = b.binary(Opcode::or_b, is_nan, b.binary(Opcode::eq_i, code, b.i32(0)));
  return b.select(is_plain, code, signed_code);
}

}  // namespace leat
