// 16-bit lanes: f16 and whole numbers in VOP1, VOP2, VOP3, and the packed pairs of VOP3P with the
// mixed-precision and dot-product instructions. RDNA3 and RDNA4 ISA, "Packed Math". f16 arithmetic
// is done in f32 (in f64 for fused sums) and rounded once more, which for these widths is exact.
#include <bit>
#include <numbers>

#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

float fused(float a, float b, float c) { return double_to_odd(double(a) * double(b) + double(c)); }
uint32_t pack(uint32_t low, uint32_t high) { return (low & 0xffff) | high << 16; }
float fract(float value) { return std::min(value - std::floor(value), 0x1.ffcp-1F); }
float half_mantissa(float value) {
  int exponent;
  return std::isfinite(value) && value != 0 ? std::frexp(value, &exponent) : value;
}
int32_t half_exponent(float value) {
  int exponent = 0;
  if (std::isfinite(value) && value != 0) (void)std::frexp(value, &exponent);
  return exponent;
}
float median_half(float a, float b, float c) {
  return maximum_number(minimum_number(a, b), minimum_number(maximum_number(a, b), c));
}
float bfloat(uint32_t bits) { return std::bit_cast<float>(bits << 16); }

}  // namespace

#define H1(name, D, A, expression)                         \
  void exec_##name(Wave& w, const Instruction& i) {        \
    const DoubleMode mode(w);                              \
    unary<D, A>(w, i, [&](auto a) { return expression; }); \
  }
#define H2(name, D, A, B, expression)                                  \
  void exec_##name(Wave& w, const Instruction& i) {                    \
    const DoubleMode mode(w);                                          \
    binary<D, A, B>(w, i, [&](auto a, auto b) { return expression; }); \
  }
#define H3(name, D, A, B, C, expression)                                           \
  void exec_##name(Wave& w, const Instruction& i) {                                \
    const DoubleMode mode(w);                                                      \
    ternary<D, A, B, C>(w, i, [&](auto a, auto b, auto c) { return expression; }); \
  }

H2(v_add_f16, F16, F16, F16, a + b)
H2(v_sub_f16, F16, F16, F16, a - b)
H2(v_subrev_f16, F16, F16, F16, b - a)
H2(v_mul_f16, F16, F16, F16, a* b)
H2(v_min_f16, F16, F16, F16, minimum_number(a, b))
H2(v_max_f16, F16, F16, F16, maximum_number(a, b))
H2(v_minimum_f16, F16, F16, F16, minimum_nan(a, b))
H2(v_maximum_f16, F16, F16, F16, maximum_nan(a, b))
H2(v_ldexp_f16, F16, F16, I16, std::ldexp(a, b))
H3(v_fma_f16, F16, F16, F16, F16, fused(a, b, c))
H3(v_fmamk_f16, F16, F16, F16, F16, fused(a, b, c))
H3(v_fmaak_f16, F16, F16, F16, F16, fused(a, b, c))
H3(v_min3_f16, F16, F16, F16, F16, minimum_number(minimum_number(a, b), c))
H3(v_max3_f16, F16, F16, F16, F16, maximum_number(maximum_number(a, b), c))
H3(v_med3_f16, F16, F16, F16, F16, median_half(a, b, c))
H3(v_minmax_f16, F16, F16, F16, F16, maximum_number(minimum_number(a, b), c))
H3(v_maxmin_f16, F16, F16, F16, F16, minimum_number(maximum_number(a, b), c))
void exec_v_fmac_f16(Wave& w, const Instruction& i) {
  Instruction with_sum = i;
  with_sum.src[2] = i.dst;
  with_sum.op_sel = uint8_t(i.op_sel | (i.op_sel >> 1 & 4));
  exec_v_fma_f16(w, with_sum);
}
/// D = A / B by the quotient in a: only the special cases are set right. RDNA3 ISA,
/// V_DIV_FIXUP_F16.
H3(v_div_fixup_f16, F16, F16, F16, F16,
   std::isnan(c)                                            ? c
   : std::isnan(b)                                          ? b
   : (b == 0 && c == 0) || (std::isinf(b) && std::isinf(c)) ? NAN
   : b == 0 || std::isinf(c) ? (std::signbit(b) != std::signbit(c) ? -INFINITY : INFINITY)
   : std::isinf(b) || c == 0 ? (std::signbit(b) != std::signbit(c) ? -0.0F : 0.0F)
                             : std::copysign(a, std::signbit(b) != std::signbit(c) ? -1.0F : 1.0F))
H1(v_rcp_f16, F16, F16, double_to_odd(1 / double(a)))
H1(v_sqrt_f16, F16, F16, double_to_odd(std::sqrt(double(a))))
H1(v_rsq_f16, F16, F16, double_to_odd(1 / std::sqrt(double(a))))
H1(v_log_f16, F16, F16, double_to_odd(std::log2(double(a))))
H1(v_exp_f16, F16, F16, double_to_odd(std::exp2(double(a))))
H1(v_sin_f16, F16, F16, double_to_odd(std::sin(2 * std::numbers::pi * double(a - std::floor(a)))))
H1(v_cos_f16, F16, F16, double_to_odd(std::cos(2 * std::numbers::pi * double(a - std::floor(a)))))
H1(v_frexp_mant_f16, F16, F16, half_mantissa(a))
H1(v_frexp_exp_i16_f16, I16, F16, half_exponent(a))
H1(v_floor_f16, F16, F16, std::floor(a))
H1(v_ceil_f16, F16, F16, std::ceil(a))
H1(v_trunc_f16, F16, F16, std::trunc(a))
H1(v_rndne_f16, F16, F16, __builtin_roundevenf(a))
H1(v_fract_f16, F16, F16, fract(a))
H1(v_cvt_f16_u16, F16, U16, float(a))
H1(v_cvt_f16_i16, F16, I16, float(a))
H1(v_cvt_u16_f16, U16, F16, saturate_to<uint16_t>(a))
H1(v_cvt_i16_f16, I16, F16, saturate_to<int16_t>(a))
H1(v_cvt_f16_f32, F16, F32, a)
H1(v_cvt_f32_f16, F32, F16, a)

H1(v_mov_b16, U16, U16, a)
H1(v_not_b16, U16, U16, ~a)
H2(v_and_b16, U16, U16, U16, a& b)
H2(v_or_b16, U16, U16, U16, a | b)
H2(v_xor_b16, U16, U16, U16, a ^ b)
H2(v_add_nc_u16, U16, U16, U16, a + b)
H2(v_sub_nc_u16, U16, U16, U16, a - b)
H2(v_add_nc_i16, I16, I16, I16, a + b)
H2(v_sub_nc_i16, I16, I16, I16, a - b)
H2(v_mul_lo_u16, U16, U16, U16, a* b)
H2(v_min_u16, U16, U16, U16, std::min(a, b))
H2(v_max_u16, U16, U16, U16, std::max(a, b))
H2(v_min_i16, I16, I16, I16, std::min(a, b))
H2(v_max_i16, I16, I16, I16, std::max(a, b))
H2(v_lshlrev_b16, U16, U16, U16, b << (a & 15))
H2(v_lshrrev_b16, U16, U16, U16, b >> (a & 15))
H2(v_ashrrev_i16, I16, U16, I16, b >> (a & 15))
H3(v_mad_u16, U16, U16, U16, U16, a* b + c)
H3(v_mad_i16, I16, I16, I16, I16, a* b + c)
H3(v_min3_i16, I16, I16, I16, I16, std::min(std::min(a, b), c))
H3(v_max3_i16, I16, I16, I16, I16, std::max(std::max(a, b), c))
H3(v_med3_i16, I16, I16, I16, I16, median(a, b, c))
H3(v_min3_u16, U16, U16, U16, U16, std::min(std::min(a, b), c))
H3(v_max3_u16, U16, U16, U16, U16, std::max(std::max(a, b), c))
H3(v_med3_u16, U16, U16, U16, U16, median(a, b, c))

/// The bits of two halves, as floats so that neg and abs apply.
H2(v_pack_b32_f16, U32, F16, F16, pack(float_to_half(a), float_to_half(b)))
H2(v_cvt_pk_rtz_f16_f32, U32, F32, F32,
   pack(_cvtss_sh(a, _MM_FROUND_TO_ZERO), _cvtss_sh(b, _MM_FROUND_TO_ZERO)))
H2(v_cvt_pk_i16_f32, U32, F32, F32,
   pack(uint16_t(saturate_to<int16_t>(a)), uint16_t(saturate_to<int16_t>(b))))
H2(v_cvt_pk_u16_f32, U32, F32, F32, pack(saturate_to<uint16_t>(a), saturate_to<uint16_t>(b)))
H2(v_cvt_pk_u16_u32, U32, U32, U32, pack(std::min(a, 65535U), std::min(b, 65535U)))
H2(v_cvt_pk_i16_i32, U32, I32, I32,
   pack(uint32_t(std::clamp(a, -32768, 32767)), uint32_t(std::clamp(b, -32768, 32767))))

// --- VOP3P ---------------------------------------------------------------------------------------

namespace {

/// Both halves of source `k` as T: OP_SEL picks the half for the low result, OP_SEL_HI for the
/// high.
template <class T>
void load_pair(Wave& w, const Instruction& i, uint32_t k, Lanes<T>& low, Lanes<T>& high) {
  alignas(64) uint32_t words[kLanes] = {};
  if (i.src[k] >= kVgpr0) {
    load_words(w, i, k, words, false);
  } else {
    std::fill(std::begin(words), std::end(words), scalar_half(w, i, i.src[k], kIsFloat<T>));
  }
  const uint32_t low_shift = (i.op_sel >> k & 1) * 16;
  const uint32_t high_shift = (i.op_sel_hi >> k & 1) * 16;
  for (uint32_t l = 0; l < kLanes; ++l) {
    low.at[l] = from_word<T>(words[l], low_shift);
    high.at[l] = from_word<T>(words[l], high_shift);
    if constexpr (kIsFloat<T>) {
      if ((i.neg >> k & 1) != 0) low.at[l] = -low.at[l];
      if ((i.abs >> k & 1) != 0) high.at[l] = -high.at[l];
    }
  }
}

template <class T>
uint32_t half_bits(Wave& w, const Instruction& i, typename T::Value value) {
  if constexpr (std::is_same_v<T, F16>) {
    if (i.clamp) value = std::isnan(value) ? 0.0F : std::clamp(value, 0.0F, 1.0F);
    return float_to_half(flush_half(w, value, 2));
  } else {
    if (i.clamp) w.fail(i, "clamp of packed whole numbers is not known");
    return uint32_t(value) & 0xffff;
  }
}

template <class T, class F>
void packed(Wave& w, const Instruction& i, uint32_t sources, F function) {
  const DoubleMode mode(w);
  Lanes<T> low[3] = {}, high[3] = {};
  for (uint32_t k = 0; k < sources; ++k) load_pair<T>(w, i, k, low[k], high[k]);
  if (!w.check_write(i, uint32_t(i.dst - kVgpr0), 1) || w.state == WaveState::failed) return;
  alignas(64) uint32_t words[kLanes];
  for (uint32_t l = 0; l < kLanes; ++l) {
    words[l] = pack(half_bits<T>(w, i, function(low[0].at[l], low[1].at[l], low[2].at[l])),
                    half_bits<T>(w, i, function(high[0].at[l], high[1].at[l], high[2].at[l])));
  }
  write_words(w, uint32_t(i.dst - kVgpr0), words, w.exec());
}

}  // namespace

#define P2(name, T, expression)                                                       \
  void exec_##name(Wave& w, const Instruction& i) {                                   \
    packed<T>(w, i, 2, [](auto a, auto b, auto) { return decltype(a)(expression); }); \
  }
#define P3(name, T, expression)                                                         \
  void exec_##name(Wave& w, const Instruction& i) {                                     \
    packed<T>(w, i, 3, [](auto a, auto b, auto c) { return decltype(a)(expression); }); \
  }
P3(v_pk_mad_i16, I16, a* b + c)
P2(v_pk_mul_lo_u16, U16, a* b)
P2(v_pk_add_i16, I16, a + b)
P2(v_pk_sub_i16, I16, a - b)
P2(v_pk_lshlrev_b16, U16, b << (a & 15))
P2(v_pk_lshrrev_b16, U16, b >> (a & 15))
P2(v_pk_ashrrev_i16, I16, b >> (a & 15))
P2(v_pk_max_i16, I16, std::max(a, b))
P2(v_pk_min_i16, I16, std::min(a, b))
P3(v_pk_mad_u16, U16, a* b + c)
P2(v_pk_add_u16, U16, a + b)
P2(v_pk_sub_u16, U16, a - b)
P2(v_pk_max_u16, U16, std::max(a, b))
P2(v_pk_min_u16, U16, std::min(a, b))
P3(v_pk_fma_f16, F16, fused(a, b, c))
P2(v_pk_add_f16, F16, a + b)
P2(v_pk_mul_f16, F16, a* b)
P2(v_pk_min_f16, F16, minimum_number(a, b))
P2(v_pk_max_f16, F16, maximum_number(a, b))
P2(v_pk_minimum_f16, F16, minimum_nan(a, b))
P2(v_pk_maximum_f16, F16, maximum_nan(a, b))

namespace {

/// V_FMA_MIX*: each source is f32, or the half of an f16 register where OP_SEL_HI is set.
void load_mixed(Wave& w, const Instruction& i, uint32_t k, Lanes<F32>& lanes) {
  alignas(64) uint32_t words[kLanes] = {};
  const bool is_half = (i.op_sel_hi >> k & 1) != 0;
  if (i.src[k] >= kVgpr0) {
    load_words(w, i, k, words, false);
  } else {
    const uint16_t code = i.src[k];
    std::fill(std::begin(words), std::end(words),
              is_half ? scalar_half(w, i, code, true) : w.scalar(i, code));
  }
  const uint32_t shift = is_half ? (i.op_sel >> k & 1) * 16 : 0;
  for (uint32_t l = 0; l < kLanes; ++l) {
    float value =
        is_half ? half_to_float(uint16_t(words[l] >> shift)) : std::bit_cast<float>(words[l]);
    if ((i.abs >> k & 1) != 0) value = std::fabs(value);
    if ((i.neg >> k & 1) != 0) value = -value;
    lanes.at[l] = value;
  }
}

/// The sum of three mixed sources: f32, or one half of the destination.
void mix(Wave& w, const Instruction& i, int half) {
  Lanes<F32> a, b, c;
  load_mixed(w, i, 0, a);
  load_mixed(w, i, 1, b);
  load_mixed(w, i, 2, c);
  Instruction plain = i;
  plain.encoding = Format::vop3;
  plain.op_sel = half == 1 ? 8 : 0;
  plain.neg = plain.abs = 0;
  Lanes<F32> sum;
  for (uint32_t l = 0; l < kLanes; ++l) sum.at[l] = std::fma(a.at[l], b.at[l], c.at[l]);
  if (half < 0) return store<F32>(w, plain, sum);
  Lanes<F16> narrow;
  for (uint32_t l = 0; l < kLanes; ++l) narrow.at[l] = sum.at[l];
  store<F16>(w, plain, narrow);
}

/// Sum of products of two halves in f32, each product and sum rounded once in f64.
template <class F>
void dot2(Wave& w, const Instruction& i, F widen, uint16_t sum_source) {
  Instruction with_sum = i;
  with_sum.src[2] = sum_source;
  Lanes<U16> a[2] = {}, b[2] = {};
  Instruction plain = with_sum;
  plain.neg = plain.abs = 0;
  load_pair<U16>(w, plain, 0, a[0], a[1]);
  load_pair<U16>(w, plain, 1, b[0], b[1]);
  Lanes<F32> c{}, d;
  Instruction third = with_sum;
  third.encoding = Format::vop3;
  third.neg = i.neg & 4;
  third.abs = 0;
  load<F32>(w, third, 2, c);
  for (uint32_t l = 0; l < kLanes; ++l) {
    double sum = c.at[l];
    for (uint32_t half = 0; half < 2; ++half) {
      const uint8_t negs = half == 0 ? i.neg : i.abs;
      const double sign = ((negs ^ negs >> 1) & 1) != 0 ? -1 : 1;
      sum += sign * double(widen(a[half].at[l])) * double(widen(b[half].at[l]));
    }
    d.at[l] = float(sum);
  }
  store<F32>(w, third, d);
}

template <bool kMayBeSigned>
void dot4(Wave& w, const Instruction& i) {
  Instruction plain = i;
  plain.neg = plain.abs = 0;
  plain.clamp = false;
  plain.encoding = Format::vop3;
  const bool a_signed = kMayBeSigned && (i.neg & 1) != 0;
  const bool b_signed = kMayBeSigned && (i.neg & 2) != 0;
  if (i.clamp) return w.fail(i, "clamp of dot products is not known");
  ternary<U32, U32, U32, U32>(w, plain, [&](uint32_t a, uint32_t b, uint32_t c) {
    for (uint32_t k = 0; k < 4; ++k) {
      const uint32_t x = a >> (8 * k) & 255, y = b >> (8 * k) & 255;
      c += uint32_t((a_signed ? int8_t(uint8_t(x)) : int32_t(x)) *
                    (b_signed ? int8_t(uint8_t(y)) : int32_t(y)));
    }
    return c;
  });
}

}  // namespace

void exec_v_fma_mix_f32(Wave& w, const Instruction& i) { mix(w, i, -1); }
void exec_v_fma_mixlo_f16(Wave& w, const Instruction& i) { mix(w, i, 0); }
void exec_v_fma_mixhi_f16(Wave& w, const Instruction& i) { mix(w, i, 1); }
void exec_v_dot2_f32_f16(Wave& w, const Instruction& i) {
  dot2(
      w, i, [](uint32_t bits) { return half_to_float(uint16_t(bits)); }, i.src[2]);
}
void exec_v_dot2_f32_bf16(Wave& w, const Instruction& i) { dot2(w, i, bfloat, i.src[2]); }
/// VOP2 and VOPD form: no selection, the destination is the sum.
void exec_v_dot2acc_f32_f16(Wave& w, const Instruction& i) {
  Instruction pairs = i;
  pairs.op_sel = 0;
  pairs.op_sel_hi = 3;
  dot2(
      w, pairs, [](uint32_t bits) { return half_to_float(uint16_t(bits)); }, i.dst);
}
void exec_v_dot4_i32_iu8(Wave& w, const Instruction& i) { dot4<true>(w, i); }
void exec_v_dot4_u32_u8(Wave& w, const Instruction& i) { dot4<false>(w, i); }

}  // namespace leat::amd_card
