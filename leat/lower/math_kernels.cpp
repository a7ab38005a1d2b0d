// Elementary functions from argument reduction and short polynomials.
// Sources: exp and log from their Taylor and atanh series over the reduced range; the minimax
// coefficients of asin, atan, tanh and the inner range of erf are those of S. Moshier's Cephes
// library (asinf, atanf, tanhf, ndtrf), public; the outer range of erf is Abramowitz and
// Stegun 7.1.26.
#include "leat/lower/math_kernels.h"

#include <array>
#include <initializer_list>
#include <limits>

namespace leat {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kPi = 3.14159265358979f;
constexpr float kHalfPi = 1.57079632679490f;
constexpr float kLn2 = 0.693147180559945f;

/// Horner's rule, highest power first.
ValueId polynomial(Builder& b, ValueId x, std::initializer_list<float> coefficients) {
  ValueId sum = ir::kNone;
  for (float coefficient : coefficients) {
    sum = sum == ir::kNone ? b.f32(coefficient) : b.fma(sum, x, b.f32(coefficient));
  }
  return sum;
}

ValueId less(Builder& b, ValueId a, ValueId c) { return b.binary(Opcode::lt_f, a, c); }

/// |magnitude| with the sign of x.
ValueId with_sign(Builder& b, ValueId magnitude, ValueId x) {
  const ValueId top = b.i32(std::numeric_limits<int32_t>::min());
  const ValueId sign = b.binary(Opcode::and_i, b.convert(Opcode::bits_from_float, x), top);
  const ValueId bits = b.convert(Opcode::bits_from_float, magnitude);
  return b.convert(Opcode::float_from_bits, b.binary(Opcode::or_i, bits, sign));
}

/// 2^n for n in [-126, 127].
ValueId power_of_two(Builder& b, ValueId n) {
  const ValueId biased = b.binary(Opcode::add_i, n, b.i32(127));
  return b.convert(Opcode::float_from_bits, b.binary(Opcode::shl_i, biased, b.i32(23)));
}

struct Reduced {
  ValueId r;         // in [-pi/4, pi/4]
  ValueId quadrant;  // i32, of which the two low bits count
};

/// Up to here pi/2 in three parts is enough, and n times each is exact or nearly so without a fused
/// multiply-add.
constexpr int kNearExponent = 13;
constexpr int kFloatBias = 127;
constexpr int kMantissaBits = 23;

/// pi/2 in three parts, the first of 8 bits.
constexpr float kHalfPiFirst = 1.5703125f;
constexpr float kHalfPiMiddle = 4.837512969970703125e-4f;
constexpr float kHalfPiLast = 7.54978995489188e-8f;

/// x = quadrant * pi/2 + r, with pi/2 in three parts of falling size.
Reduced reduce_near(Builder& b, ValueId x) {
  const ValueId n = b.unary(Opcode::round_even, b.mul(x, b.f32(0.636619772367581f)));
  const ValueId minus = b.unary(Opcode::neg, n);
  ValueId r = b.fma(minus, b.f32(kHalfPiFirst), x);
  r = b.fma(minus, b.f32(kHalfPiMiddle), r);
  r = b.fma(minus, b.f32(kHalfPiLast), r);
  // Beside 1.5 * 2^23 the bits of n are the last of the mantissa, which takes no conversion.
  return {r, b.convert(Opcode::bits_from_float, b.add(n, b.f32(12582912.0f)))};
}

/// The bits of 2/pi, behind as many zeros as there are in 2^kNearExponent: bit 0, the top one, has
/// the weight 2^11.
constexpr uint32_t kTwoOverPi[] = {0x000a2f98, 0x36e4e441, 0x529fc275, 0x7d1f534d,
                                   0xdc0db629, 0x5993c439, 0x041fe516};

/// The upper word of the product without sign of a number below 2^24 and a word.
ValueId high_product(Builder& b, ValueId number, ValueId word) {
  const auto with = [&](Opcode op, ValueId a, int64_t c) { return b.binary(op, a, b.i32(c)); };
  const ValueId low = with(Opcode::and_i, number, 0xffff);
  const ValueId high = with(Opcode::shr_u, number, 16);
  const ValueId word_low = with(Opcode::and_i, word, 0xffff);
  const ValueId word_high = with(Opcode::shr_u, word, 16);
  const ValueId above = with(Opcode::shr_u, b.mul(low, word_low), 16);
  const ValueId first = b.add(b.mul(high, word_low), above);
  const ValueId below = with(Opcode::and_i, first, 0xffff);
  const ValueId second = b.add(b.mul(low, word_high), below);
  const ValueId of_second = with(Opcode::shr_u, second, 16);
  const ValueId of_first = with(Opcode::shr_u, first, 16);
  return b.add(b.add(b.mul(high, word_high), of_first), of_second);
}

/// Three words of 2/pi from bit `place` on, which is at most 115.
std::array<ValueId, 3> window_of_two_over_pi(Builder& b, ValueId place) {
  const ValueId shift = b.binary(Opcode::and_i, place, b.i32(31));
  const ValueId rest = b.sub(b.i32(31), shift);
  const auto starts_at = [&](int word) { return b.binary(Opcode::lt_i, place, b.i32(32 * word)); };
  const std::array<ValueId, 3> before = {starts_at(1), starts_at(2), starts_at(3)};
  std::array<ValueId, 4> words = {};
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = b.i32(kTwoOverPi[i + 3]);
    for (size_t first = before.size(); first-- > 0;) {
      words[i] = b.select(before[first], b.i32(kTwoOverPi[i + first]), words[i]);
    }
  }
  std::array<ValueId, 3> window = {};
  for (size_t i = 0; i < window.size(); ++i) {
    const ValueId below = b.binary(Opcode::shr_u, words[i + 1], b.i32(1));
    const ValueId joined = b.binary(Opcode::shr_u, below, rest);
    window[i] = b.binary(Opcode::or_i, b.binary(Opcode::shl_i, words[i], shift), joined);
  }
  return window;
}

/// (large + small) * pi/2, rounded about once without a fused multiply-add, too: what is not small
/// beside the result are products of 12 bits and 8, which are exact.
ValueId quarters_to_radians(Builder& b, ValueId large, ValueId small) {
  const ValueId sum = b.add(large, small);
  const ValueId left = b.sub(small, b.sub(sum, large));
  const ValueId bits = b.convert(Opcode::bits_from_float, sum);
  const ValueId upper =
      b.convert(Opcode::float_from_bits, b.binary(Opcode::and_i, bits, b.i32(~0xfff)));
  const ValueId lower = b.sub(sum, upper);
  ValueId rest = b.mul(left, b.f32(kHalfPiFirst));
  rest = b.fma(sum, b.f32(kHalfPiLast), rest);
  rest = b.fma(sum, b.f32(kHalfPiMiddle), rest);
  rest = b.fma(lower, b.f32(kHalfPiFirst), rest);
  return b.fma(upper, b.f32(kHalfPiFirst), rest);
}

/// The same from 2^kNearExponent on, exact but for the last rounding: x is a whole number of 24
/// bits times a power of two, so of 2/pi only the bits count that are below the weight 4 with that
/// power taken in. Three words of them leave 32 good bits of the r that is nearest to 0. Source: M.
/// Payne and R. Hanek, "Radian reduction for trigonometric functions", SIGNUM Newsletter 18, 1983.
Reduced reduce_far(Builder& b, ValueId x) {
  const auto with = [&](Opcode op, ValueId a, int64_t c) { return b.binary(op, a, b.i32(c)); };
  const ValueId bits = b.convert(Opcode::bits_from_float, x);
  const ValueId number =
      with(Opcode::or_i, with(Opcode::and_i, bits, (1 << kMantissaBits) - 1), 1 << kMantissaBits);
  const ValueId exponent = with(Opcode::and_i, with(Opcode::shr_u, bits, kMantissaBits), 0xff);
  const auto [top, middle, last] =
      window_of_two_over_pi(b, b.sub(exponent, b.i32(kFloatBias + kNearExponent)));
  const ValueId carried = b.mul(number, middle);
  const ValueId low = b.add(carried, high_product(b, number, last));
  const ValueId carry = b.convert(Opcode::int_from_bool, b.binary(Opcode::lt_u, low, carried));
  const ValueId of_middle = high_product(b, number, middle);
  const ValueId high = b.add(b.add(b.mul(number, top), of_middle), carry);

  // Two bits of the quadrant, to the nearest; what is left of it has a sign.
  const ValueId quadrant = with(Opcode::shr_u, b.add(high, b.i32(1 << 29)), 30);
  const ValueId left = b.sub(high, with(Opcode::shl_i, quadrant, 30));
  const ValueId sign = with(Opcode::shr_s, left, 31);
  const ValueId size = b.binary(Opcode::xor_i, left, sign);
  const ValueId size_low = b.binary(Opcode::xor_i, low, sign);
  // 23 bits, which are exact, and the 30 below them.
  const ValueId above = b.convert(Opcode::float_from_int, with(Opcode::and_i, size, ~63));
  const ValueId of_low = with(Opcode::shr_u, size_low, 8);
  const ValueId of_size = with(Opcode::shl_i, with(Opcode::and_i, size, 63), 24);
  const ValueId below = b.convert(Opcode::float_from_int, b.binary(Opcode::or_i, of_size, of_low));
  const ValueId small = b.mul(below, b.f32(0x1p-54f));
  const ValueId magnitude = quarters_to_radians(b, b.mul(above, b.f32(0x1p-30f)), small);

  const ValueId signs = b.binary(Opcode::xor_i, sign, bits);
  const ValueId is_negative = b.binary(Opcode::lt_i, bits, b.i32(0));
  const ValueId is_infinite = b.binary(Opcode::eq_i, exponent, b.i32(0xff));
  const ValueId r = with_sign(b, magnitude, b.convert(Opcode::float_from_bits, signs));
  return {b.select(is_infinite, b.f32(kNan), r),
          b.select(is_negative, b.sub(b.i32(0), quadrant), quadrant)};
}

/// What is far out is reduced in a loop that the lanes take which have it, and nobody where none
/// has.
Reduced reduce_quadrant(Builder& b, ValueId x) {
  const Reduced near = reduce_near(b, x);
  const ValueId size = b.unary(Opcode::abs, x);
  const ValueId is_far = b.binary(Opcode::le_f, b.f32(0x1p13f), size);
  static_assert(kNearExponent == 13);
  const ValueId rounds = b.rounds(b.convert(Opcode::int_from_bool, is_far));
  // x is carried so that the builder leaves what it is used for in the loop.
  const ValueId init[] = {x, near.r, near.quadrant};
  const std::vector<ValueId> found = b.loop(
      b.i32(0), rounds, 1, init, b.type(x).varying, [&](ValueId, std::span<const ValueId> carried) {
        const Reduced far = reduce_far(b, carried[0]);
        return std::vector<ValueId>{carried[0], b.select(is_far, far.r, carried[1]),
                                    b.select(is_far, far.quadrant, carried[2])};
      });
  return {found[1], found[2]};
}

ValueId sine_of_quadrant(Builder& b, ValueId r, ValueId quadrant) {
  const ValueId z = b.mul(r, r);
  const ValueId p = polynomial(b, z, {2.7557319e-6f, -1.9841270e-4f, 8.3333333e-3f, -0.16666667f});
  const ValueId sine = b.fma(b.mul(r, z), p, r);
  const ValueId cosine =
      polynomial(b, z, {-2.7557319e-7f, 2.4801587e-5f, -1.3888889e-3f, 4.1666667e-2f, -0.5f, 1.0f});
  auto bit_set = [&](int bit) {
    const ValueId masked = b.binary(Opcode::and_i, quadrant, b.i32(bit));
    return b.not_b(b.binary(Opcode::eq_i, masked, b.i32(0)));
  };
  const ValueId value = b.select(bit_set(1), cosine, sine);
  const ValueId negative = b.unary(Opcode::neg, value);
  return b.select(bit_set(2), negative, value);
}

/// asin on [0, 0.5].
ValueId asin_small(Builder& b, ValueId x) {
  const ValueId z = b.mul(x, x);
  const ValueId p = polynomial(
      b, z,
      {4.2163199048e-2f, 2.4181311049e-2f, 4.5470025998e-2f, 7.4953002686e-2f, 1.6666752422e-1f});
  return b.fma(b.mul(x, z), p, x);
}

/// 2 asin(sqrt((1 - a) / 2)) = acos(a), for a in [0.5, 1].
ValueId acos_large(Builder& b, ValueId a) {
  const ValueId one_half = b.f32(0.5f);
  const ValueId half = b.mul(b.sub(b.f32(1), a), one_half);
  const ValueId angle = asin_small(b, b.unary(Opcode::sqrt, half));
  return b.mul(b.f32(2), angle);
}

/// e^x = 2^n e^r, with |r| at most half of log(2); x held to [lowest, 89].
struct ReducedExponent {
  ValueId n, r;
};
ReducedExponent powers_of_two_in(Builder& b, ValueId x, float lowest) {
  const ValueId low = b.binary(Opcode::max_f, x, b.f32(lowest));
  const ValueId clamped = b.binary(Opcode::min_f, low, b.f32(89.0f));
  const ValueId n = b.unary(Opcode::round_even, b.mul(clamped, b.f32(1.44269504088896f)));
  ValueId r = b.fma(n, b.f32(-0.693359375f), clamped);
  r = b.fma(n, b.f32(2.12194440e-4f), r);
  return {n, r};
}

}  // namespace

ValueId is_nan(Builder& b, ValueId x) {
  const ValueId all_but_sign = b.i32(std::numeric_limits<int32_t>::max());
  const ValueId bits = b.binary(Opcode::and_i, b.convert(Opcode::bits_from_float, x), all_but_sign);
  return b.binary(Opcode::lt_i, b.i32(0x7f800000), bits);
}

ValueId math_exp(Builder& b, ValueId x) {
  // Beyond these ends the result is 0 or infinity whatever x is.
  const auto [n, r] = powers_of_two_in(b, x, -104.0f);
  const ValueId p = polynomial(b, r,
                               {1.98412698e-4f, 1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f,
                                0.166666667f, 0.5f, 1.0f, 1.0f});
  // 2^n in two steps, so that neither factor leaves the exponent range.
  const ValueId whole = b.convert(Opcode::int_from_float, n);
  const ValueId half = b.binary(Opcode::shr_s, whole, b.i32(1));
  const ValueId rest = b.binary(Opcode::sub_i, whole, half);
  const ValueId second = power_of_two(b, rest);
  const ValueId value = b.mul(b.mul(p, power_of_two(b, half)), second);
  return b.select(is_nan(b, x), x, value);
}

ValueId math_expm1(Builder& b, ValueId x) {
  // Beyond these ends the result is -1 or infinity whatever x is.
  const auto [n, r] = powers_of_two_in(b, x, -18.0f);
  const ValueId p = polynomial(b, r,
                               {2.48015873e-5f, 1.98412698e-4f, 1.38888889e-3f, 8.33333333e-3f,
                                4.16666667e-2f, 0.166666667f, 0.5f});
  const ValueId near_zero = b.fma(b.mul(r, r), p, r);
  // 2^n (1 + near_zero) - 1, and half of it first, as 2^n may be beyond the exponent range.
  const ValueId whole = b.convert(Opcode::int_from_float, n);
  const ValueId scale = power_of_two(b, b.binary(Opcode::sub_i, whole, b.i32(1)));
  const ValueId half = b.fma(scale, near_zero, b.sub(scale, b.f32(0.5f)));
  const ValueId is_near = b.binary(Opcode::eq_i, whole, b.i32(0));
  const ValueId value = b.select(is_near, near_zero, b.add(half, half));
  return b.select(is_nan(b, x), x, value);
}

ValueId math_log(Builder& b, ValueId x) {
  const ValueId tiny = less(b, x, b.f32(1.17549435e-38f));
  const ValueId scaled = b.select(tiny, b.mul(x, b.f32(33554432.0f)), x);  // 2^25
  const ValueId bits = b.convert(Opcode::bits_from_float, scaled);
  // Offset by sqrt(1/2), so that the mantissa falls into [sqrt(1/2), sqrt(2)).
  const ValueId shifted = b.binary(Opcode::sub_i, bits, b.i32(0x3f3504f3));
  const ValueId exponent = b.binary(Opcode::shr_s, shifted, b.i32(23));
  const ValueId mantissa_bits =
      b.binary(Opcode::sub_i, bits, b.binary(Opcode::shl_i, exponent, b.i32(23)));
  const ValueId one = b.f32(1);
  const ValueId f = b.sub(b.convert(Opcode::float_from_bits, mantissa_bits), one);
  const ValueId s = b.binary(Opcode::div_f, f, b.add(f, b.f32(2)));
  const ValueId z = b.mul(s, s);
  const ValueId p =
      polynomial(b, z, {0.181818182f, 0.222222222f, 0.285714286f, 0.4f, 0.666666667f});
  const ValueId twice = b.mul(s, b.f32(2));
  const ValueId tail = b.fma(b.mul(s, z), p, twice);
  const ValueId zero = b.f32(0);
  const ValueId scale = b.select(tiny, b.f32(25), zero);
  const ValueId e = b.sub(b.convert(Opcode::float_from_int, exponent), scale);
  ValueId value = b.fma(e, b.f32(-2.12194440e-4f), tail);
  value = b.fma(e, b.f32(0.693359375f), value);
  value = b.select(b.binary(Opcode::eq_f, x, b.f32(kInfinity)), x, value);
  const ValueId of_zero = b.f32(-kInfinity);
  value = b.select(b.binary(Opcode::eq_f, x, zero), of_zero, value);
  const ValueId of_negative = b.f32(kNan);
  value = b.select(less(b, x, zero), of_negative, value);
  return b.select(is_nan(b, x), x, value);
}

/// Kahan's correction of the rounding of 1 + u.
ValueId math_log1p(Builder& b, ValueId u) {
  const ValueId w = b.add(u, b.f32(1));
  const ValueId d = b.sub(w, b.f32(1));
  const ValueId same = b.binary(Opcode::eq_f, d, b.f32(0));
  const ValueId safe = b.select(same, b.f32(1), d);
  const ValueId factor = b.binary(Opcode::div_f, u, safe);
  const ValueId corrected = b.mul(math_log(b, w), factor);
  const ValueId infinity = b.f32(kInfinity);
  const ValueId is_infinite = b.binary(Opcode::eq_f, w, infinity);
  return b.select(is_infinite, infinity, b.select(same, u, corrected));
}

ValueId math_sin(Builder& b, ValueId x) {
  const Reduced reduced = reduce_quadrant(b, x);
  return sine_of_quadrant(b, reduced.r, reduced.quadrant);
}

ValueId math_cos(Builder& b, ValueId x) {
  const Reduced reduced = reduce_quadrant(b, x);
  return sine_of_quadrant(b, reduced.r, b.binary(Opcode::add_i, reduced.quadrant, b.i32(1)));
}

ValueId math_tan(Builder& b, ValueId x) {
  const Reduced reduced = reduce_quadrant(b, x);
  const ValueId cosine = sine_of_quadrant(b, reduced.r, b.add(reduced.quadrant, b.i32(1)));
  return b.binary(Opcode::div_f, sine_of_quadrant(b, reduced.r, reduced.quadrant), cosine);
}

ValueId math_asin(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId complement = acos_large(b, a);
  const ValueId large = b.sub(b.f32(kHalfPi), complement);
  const ValueId small = asin_small(b, a);
  return with_sign(b, b.select(less(b, a, b.f32(0.5f)), small, large), x);
}

ValueId math_acos(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId complement = with_sign(b, asin_small(b, a), x);
  const ValueId small = b.sub(b.f32(kHalfPi), complement);
  const ValueId large = acos_large(b, a);
  const ValueId negative = less(b, x, b.f32(0));
  const ValueId folded = b.select(negative, b.sub(b.f32(kPi), large), large);
  return b.select(less(b, a, b.f32(0.5f)), small, folded);
}

ValueId math_atan(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId large = less(b, b.f32(2.414213562f), a);
  const ValueId middle = less(b, b.f32(0.414213562f), a);
  const ValueId inverse = b.binary(Opcode::div_f, b.f32(-1), a);
  const ValueId more = b.add(a, b.f32(1));
  const ValueId quotient = b.binary(Opcode::div_f, b.sub(a, b.f32(1)), more);
  const ValueId t = b.select(large, inverse, b.select(middle, quotient, a));
  const ValueId zero = b.f32(0);
  const ValueId not_large = b.select(middle, b.f32(kHalfPi / 2), zero);
  const ValueId base = b.select(large, b.f32(kHalfPi), not_large);
  const ValueId z = b.mul(t, t);
  const ValueId p = polynomial(
      b, z, {8.05374449538e-2f, -1.38776856032e-1f, 1.99777106478e-1f, -3.33329491539e-1f});
  return with_sign(b, b.add(base, b.fma(b.mul(t, z), p, t)), x);
}

/// exp(a) / 2 for a >= 0, finite as long as the result is. a - 1 is exact from 1 on.
static ValueId half_exp(Builder& b, ValueId a) {
  const ValueId half_e = b.f32(1.35914091422952f);
  return b.mul(math_exp(b, b.sub(a, b.f32(1))), half_e);
}

ValueId math_sinh(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId z = b.mul(x, x);
  const ValueId p = polynomial(
      b, z, {2.50521084e-8f, 2.75573192e-6f, 1.98412698e-4f, 8.33333333e-3f, 0.166666667f});
  const ValueId series = b.fma(b.mul(x, z), p, x);
  const ValueId half = half_exp(b, a);
  const ValueId size = b.sub(half, b.binary(Opcode::div_f, b.f32(0.25f), half));
  const ValueId large = with_sign(b, size, x);
  return b.select(less(b, a, b.f32(1)), series, large);
}

ValueId math_cosh(Builder& b, ValueId x) {
  const ValueId half = half_exp(b, b.unary(Opcode::abs, x));
  return b.add(half, b.binary(Opcode::div_f, b.f32(0.25f), half));
}

ValueId math_tanh(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId z = b.mul(x, x);
  const ValueId p = polynomial(b, z,
                               {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                                1.33314422036e-1f, -3.33332819422e-1f});
  const ValueId small = b.fma(b.mul(x, z), p, x);
  const ValueId e = math_exp(b, b.mul(a, b.f32(2)));
  const ValueId one = b.f32(1);
  const ValueId more = b.add(e, one);
  const ValueId size = b.sub(one, b.binary(Opcode::div_f, b.f32(2), more));
  const ValueId large = with_sign(b, size, x);
  return b.select(less(b, a, b.f32(0.625f)), small, large);
}

ValueId math_asinh(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId root = b.unary(Opcode::sqrt, b.fma(a, a, b.f32(1)));
  const ValueId more = b.add(root, b.f32(1));
  const ValueId u = b.add(a, b.binary(Opcode::div_f, b.mul(a, a), more));
  const ValueId log_two = b.f32(kLn2);
  const ValueId huge = b.add(math_log(b, a), log_two);
  const ValueId near = math_log1p(b, u);
  const ValueId magnitude = b.select(less(b, b.f32(1e9f), a), huge, near);
  const ValueId value = with_sign(b, magnitude, x);
  return b.select(is_nan(b, x), x, value);
}

ValueId math_acosh(Builder& b, ValueId x) {
  const ValueId t = b.sub(x, b.f32(1));
  const ValueId root = b.unary(Opcode::sqrt, b.mul(t, b.add(t, b.f32(2))));
  const ValueId log_two = b.f32(kLn2);
  const ValueId huge = b.add(math_log(b, x), log_two);
  const ValueId near = math_log1p(b, b.add(t, root));
  const ValueId value = b.select(less(b, b.f32(1e9f), x), huge, near);
  const ValueId nan = b.f32(kNan);
  return b.select(less(b, x, b.f32(1)), nan, value);
}

ValueId math_atanh(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId one = b.f32(1);
  const ValueId less_than_one = b.sub(one, a);
  const ValueId u = b.binary(Opcode::div_f, b.mul(a, b.f32(2)), less_than_one);
  const ValueId log = math_log1p(b, u);
  const ValueId inside = with_sign(b, b.mul(b.f32(0.5f), log), x);
  const ValueId nan = b.f32(kNan);
  return b.select(less(b, one, a), nan, inside);
}

ValueId math_erf(Builder& b, ValueId x) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId z = b.mul(x, x);
  const ValueId inner =
      b.mul(x, polynomial(b, z,
                          {7.853861353153693e-5f, -8.010193625184903e-4f, 5.188327685732524e-3f,
                           -2.685381193529856e-2f, 1.128358514861418e-1f, -3.761262582423300e-1f,
                           1.128379165726710f}));
  const ValueId unit = b.f32(1);
  const ValueId t = b.binary(Opcode::div_f, unit, b.fma(a, b.f32(0.3275911f), unit));
  const ValueId p = b.mul(
      t,
      polynomial(b, t, {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f}));
  const ValueId tail = b.mul(p, math_exp(b, b.unary(Opcode::neg, z)));
  const ValueId outer = with_sign(b, b.sub(b.f32(1), tail), x);
  const ValueId far = b.select(is_nan(b, x), x, outer);
  return b.select(less(b, a, unit), inner, far);
}

ValueId math_pow(Builder& b, ValueId x, ValueId y) {
  const ValueId a = b.unary(Opcode::abs, x);
  const ValueId whole = b.binary(Opcode::eq_f, b.unary(Opcode::floor, y), y);
  const ValueId magnitude_y = b.unary(Opcode::abs, y);
  // Every float from 2^24 on is even.
  const ValueId even = b.f32(16777216.0f);
  ValueId bits = b.convert(Opcode::int_from_float, b.binary(Opcode::min_f, magnitude_y, even));
  auto odd = [&](ValueId value) {
    const ValueId last = b.i32(1);
    return b.binary(Opcode::eq_i, b.binary(Opcode::and_i, value, last), last);
  };
  const ValueId y_odd = odd(bits);
  // Whole exponents below 64 by squaring: exact where the result is.
  ValueId power = b.f32(1);
  ValueId square = a;
  for (int i = 0; i < 6; ++i) {
    const ValueId multiplied = b.mul(power, square);
    power = b.select(odd(bits), multiplied, power);
    square = b.mul(square, square);
    bits = b.binary(Opcode::shr_s, bits, b.i32(1));
  }
  const ValueId reciprocal = b.binary(Opcode::div_f, b.f32(1), power);
  const ValueId inverted = less(b, y, b.f32(0));
  const ValueId by_squaring = b.select(inverted, reciprocal, power);
  const ValueId by_log = math_exp(b, b.mul(y, math_log(b, a)));
  // 1 / x^n is finite where x^n is already subnormal, which some chips take for 0.
  const ValueId lost = b.logical_and(inverted, less(b, power, b.f32(1.17549435e-38f)));
  const ValueId kept = b.not_b(lost);
  const ValueId small = b.logical_and(b.logical_and(whole, less(b, magnitude_y, b.f32(64))), kept);
  const ValueId one = b.binary(Opcode::eq_f, a, b.f32(1));
  const ValueId magnitude = b.select(one, a, b.select(small, by_squaring, by_log));
  const ValueId negative = less(b, x, b.f32(0));
  const ValueId below_zero = b.unary(Opcode::neg, magnitude);
  const ValueId signed_value =
      b.select(b.logical_and(negative, b.logical_and(whole, y_odd)), below_zero, magnitude);
  const ValueId finite = less(b, a, b.f32(kInfinity));
  const ValueId fraction = b.not_b(whole);
  const ValueId no_power = b.logical_and(b.logical_and(negative, finite), fraction);
  return b.select(no_power, b.f32(kNan), signed_value);
}

}  // namespace leat
