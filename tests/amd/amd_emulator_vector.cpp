// Vector arithmetic on 32- and 64-bit lanes: VOP1, VOP2, VOP3. RDNA3 and RDNA4 ISA, "Vector ALU
// Operations" and the instruction lists. V_EXP, V_LOG, V_RCP, V_RSQ, V_SQRT, V_SIN, V_COS are
// computed in f64 and rounded once, which is within the 1 ulp of hardware but not its bits; the
// first five treat f32 denormals as 0 in and out, as LLVM's expansions assume.
#include <bit>
#include <numbers>

#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

float flush(float value) {
  return std::fabs(value) < 0x1p-126F ? std::copysign(0.0F, value) : value;
}
template <class F>
float transcendental(float value, F function) {
  return flush(float(function(double(flush(value)))));
}

uint32_t reverse(uint32_t value) {
  uint32_t result = 0;
  for (uint32_t k = 0; k < 32; ++k) result |= (value >> k & 1) << (31 - k);
  return result;
}
int32_t sign24(uint32_t value) { return int32_t(value << 8) >> 8; }

template <class T>
T fract(T value) {
  const T below_one = sizeof(T) == 4 ? T(0x1.fffffep-1) : T(0x1.fffffffffffffp-1);
  const T part = value - std::floor(value);
  return part > below_one ? below_one : part;
}
template <class T>
T mantissa(T value) {
  if (!std::isfinite(value) || value == 0) return value;
  int exponent;
  return std::frexp(value, &exponent);
}
template <class T>
int32_t exponent_of(T value) {
  if (!std::isfinite(value) || value == 0) return 0;
  int exponent;
  (void)std::frexp(value, &exponent);
  return exponent;
}
double sine(double turns) { return std::sin(2 * std::numbers::pi * (turns - std::floor(turns))); }
double cosine(double turns) { return std::cos(2 * std::numbers::pi * (turns - std::floor(turns))); }

/// gfx11 with IEEE set makes a signalling NaN quiet and gives it as the result.
template <class T>
bool quiets(const Wave& w, T a, T b) {
  return w.generation == Generation::gfx11 && w.mode.ieee && (is_signalling(a) || is_signalling(b));
}
template <class T>
T minimum_of(const Wave& w, T a, T b) {
  return quiets(w, a, b) ? a + b : minimum_number(a, b);
}
template <class T>
T maximum_of(const Wave& w, T a, T b) {
  return quiets(w, a, b) ? a + b : maximum_number(a, b);
}
template <class T>
T median_number(T a, T b, T c) {
  if (std::isnan(a) || std::isnan(b) || std::isnan(c)) {
    return minimum_number(minimum_number(a, b), c);
  }
  const T top = maximum_number(maximum_number(a, b), c);
  if (top == a) return maximum_number(b, c);
  return top == b ? maximum_number(a, c) : maximum_number(a, b);
}

/// V_FMAC and its kin: the destination is the third source.
template <class T, class F>
void accumulate(Wave& w, const Instruction& i, F function) {
  Instruction with_sum = i;
  with_sum.src[2] = i.dst;
  ternary<T, T, T, T>(w, with_sum, function);
}

uint32_t saturated(const Instruction& i, int64_t value, int64_t low, int64_t high) {
  return uint32_t(i.clamp ? std::clamp(value, low, high) : value);
}
/// Whole-number CLAMP saturates; the output stage for floats must not see it.
template <class F>
void saturating(Wave& w, const Instruction& i, F function) {
  Instruction plain = i;
  plain.clamp = false;
  binary<U32, U32, U32>(w, plain, [&](uint32_t a, uint32_t b) { return function(a, b); });
}

}  // namespace

#define V1(name, D, A, expression)                         \
  void exec_##name(Wave& w, const Instruction& i) {        \
    unary<D, A>(w, i, [&](auto a) { return expression; }); \
  }
#define V2(name, D, A, B, expression)                                  \
  void exec_##name(Wave& w, const Instruction& i) {                    \
    binary<D, A, B>(w, i, [&](auto a, auto b) { return expression; }); \
  }
#define V3(name, D, A, B, C, expression)                                           \
  void exec_##name(Wave& w, const Instruction& i) {                                \
    ternary<D, A, B, C>(w, i, [&](auto a, auto b, auto c) { return expression; }); \
  }
// f64 arithmetic under the f64 mode.
#define V1D(name, D, A, expression)                        \
  void exec_##name(Wave& w, const Instruction& i) {        \
    const DoubleMode mode(w);                              \
    unary<D, A>(w, i, [&](auto a) { return expression; }); \
  }
#define V2D(name, D, A, B, expression)                                 \
  void exec_##name(Wave& w, const Instruction& i) {                    \
    const DoubleMode mode(w);                                          \
    binary<D, A, B>(w, i, [&](auto a, auto b) { return expression; }); \
  }

// --- f32 -----------------------------------------------------------------------------------------

V2(v_add_f32, F32, F32, F32, a + b)
V2(v_sub_f32, F32, F32, F32, a - b)
V2(v_subrev_f32, F32, F32, F32, b - a)
V2(v_mul_f32, F32, F32, F32, a* b)
V2(v_mul_dx9_zero_f32, F32, F32, F32, a == 0 || b == 0 ? 0.0F : a * b)
V2(v_min_f32, F32, F32, F32, minimum_of(w, a, b))
V2(v_max_f32, F32, F32, F32, maximum_of(w, a, b))
V2(v_minimum_f32, F32, F32, F32, minimum_nan(a, b))
V2(v_maximum_f32, F32, F32, F32, maximum_nan(a, b))
V3(v_fma_f32, F32, F32, F32, F32, std::fma(a, b, c))
V3(v_min3_f32, F32, F32, F32, F32, minimum_of(w, minimum_of(w, a, b), c))
V3(v_max3_f32, F32, F32, F32, F32, maximum_of(w, maximum_of(w, a, b), c))
V3(v_med3_f32, F32, F32, F32, F32, median_number(a, b, c))
V3(v_minmax_f32, F32, F32, F32, F32, maximum_of(w, minimum_of(w, a, b), c))
V3(v_maxmin_f32, F32, F32, F32, F32, minimum_of(w, maximum_of(w, a, b), c))
V3(v_minimum3_f32, F32, F32, F32, F32, minimum_nan(minimum_nan(a, b), c))
V3(v_maximum3_f32, F32, F32, F32, F32, maximum_nan(maximum_nan(a, b), c))
void exec_v_fmac_f32(Wave& w, const Instruction& i) {
  accumulate<F32>(w, i, [](float a, float b, float c) { return std::fma(a, b, c); });
}
V1(v_fract_f32, F32, F32, fract(a))
V1(v_trunc_f32, F32, F32, std::trunc(a))
V1(v_ceil_f32, F32, F32, std::ceil(a))
V1(v_floor_f32, F32, F32, std::floor(a))
V1(v_rndne_f32, F32, F32, __builtin_roundevenf(a))
V1(v_exp_f32, F32, F32, transcendental(a, [](double x) { return std::exp2(x); }))
V1(v_log_f32, F32, F32, transcendental(a, [](double x) { return std::log2(x); }))
V1(v_rcp_f32, F32, F32, transcendental(a, [](double x) { return 1 / x; }))
V1(v_rsq_f32, F32, F32, transcendental(a, [](double x) { return 1 / std::sqrt(x); }))
V1(v_sqrt_f32, F32, F32, transcendental(a, [](double x) { return std::sqrt(x); }))
V1(v_sin_f32, F32, F32, float(sine(double(a))))
V1(v_cos_f32, F32, F32, float(cosine(double(a))))
V1(v_frexp_exp_i32_f32, I32, F32, exponent_of(a))
V1(v_frexp_mant_f32, F32, F32, mantissa(a))
V2(v_ldexp_f32, F32, F32, I32, std::ldexp(a, std::clamp(b, -1000, 1000)))

// --- f64 -----------------------------------------------------------------------------------------

V2D(v_add_f64, F64, F64, F64, a + b)
V2D(v_mul_f64, F64, F64, F64, a* b)
V2D(v_min_f64, F64, F64, F64, minimum_of(w, a, b))
V2D(v_max_f64, F64, F64, F64, maximum_of(w, a, b))
V2D(v_minimum_f64, F64, F64, F64, minimum_nan(a, b))
V2D(v_maximum_f64, F64, F64, F64, maximum_nan(a, b))
void exec_v_fma_f64(Wave& w, const Instruction& i) {
  const DoubleMode mode(w);
  ternary<F64, F64, F64, F64>(w, i, [](double a, double b, double c) { return std::fma(a, b, c); });
}
V1D(v_trunc_f64, F64, F64, std::trunc(a))
V1D(v_ceil_f64, F64, F64, std::ceil(a))
V1D(v_floor_f64, F64, F64, std::floor(a))
V1D(v_rndne_f64, F64, F64, __builtin_roundeven(a))
V1D(v_fract_f64, F64, F64, fract(a))
V1D(v_rcp_f64, F64, F64, 1 / a)
V1D(v_rsq_f64, F64, F64, 1 / std::sqrt(a))
V1D(v_sqrt_f64, F64, F64, std::sqrt(a))
V1D(v_frexp_exp_i32_f64, I32, F64, exponent_of(a))
V1D(v_frexp_mant_f64, F64, F64, mantissa(a))
V2D(v_ldexp_f64, F64, F64, I32, std::ldexp(a, std::clamp(b, -5000, 5000)))

// --- Conversions ---------------------------------------------------------------------------------

V1(v_cvt_f32_i32, F32, I32, float(a))
V1(v_cvt_f32_u32, F32, U32, float(a))
V1(v_cvt_i32_f32, I32, F32, saturate_to<int32_t>(a))
V1(v_cvt_u32_f32, U32, F32, saturate_to<uint32_t>(a))
V1(v_cvt_floor_i32_f32, I32, F32, saturate_to<int32_t>(std::floor(a)))
V1(v_cvt_nearest_i32_f32, I32, F32, saturate_to<int32_t>(std::floor(a + 0.5F)))
V1D(v_cvt_i32_f64, I32, F64, saturate_to<int32_t>(a))
V1D(v_cvt_u32_f64, U32, F64, saturate_to<uint32_t>(a))
V1(v_cvt_f64_i32, F64, I32, double(a))
V1(v_cvt_f64_u32, F64, U32, double(a))
V1(v_cvt_f64_f32, F64, F32, double(a))
V1(v_cvt_f32_f64, F32, F64, float(a))
V1(v_cvt_f32_ubyte0, F32, U32, float(a & 255))
V1(v_cvt_f32_ubyte1, F32, U32, float(a >> 8 & 255))
V1(v_cvt_f32_ubyte2, F32, U32, float(a >> 16 & 255))
V1(v_cvt_f32_ubyte3, F32, U32, float(a >> 24))
V1(v_cvt_i32_i16, I32, I16, a)
V1(v_cvt_u32_u16, U32, U16, a)

// --- Whole numbers -------------------------------------------------------------------------------

V1(v_mov_b32, U32, U32, a)
V1(v_not_b32, U32, U32, ~a)
V1(v_bfrev_b32, U32, U32, reverse(a))
V1(v_clz_i32_u32, U32, U32, a == 0 ? ~0U : uint32_t(std::countl_zero(a)))
V1(v_ctz_i32_b32, U32, U32, a == 0 ? ~0U : uint32_t(std::countr_zero(a)))
V1(v_cls_i32, U32, I32,
   a == 0 || a == -1 ? ~0U : uint32_t(std::countl_zero(uint32_t(a < 0 ? ~a : a))))
V2(v_min_i32, I32, I32, I32, std::min(a, b))
V2(v_max_i32, I32, I32, I32, std::max(a, b))
V2(v_min_u32, U32, U32, U32, std::min(a, b))
V2(v_max_u32, U32, U32, U32, std::max(a, b))
V2(v_lshlrev_b32, U32, U32, U32, b << (a & 31))
V2(v_lshrrev_b32, U32, U32, U32, b >> (a & 31))
V2(v_ashrrev_i32, I32, U32, I32, b >> (a & 31))
V2(v_lshlrev_b64, U64, U32, U64, b << (a & 63))
V2(v_lshrrev_b64, U64, U32, U64, b >> (a & 63))
V2(v_ashrrev_i64, I64, U32, I64, b >> (a & 63))
V2(v_and_b32, U32, U32, U32, a& b)
V2(v_or_b32, U32, U32, U32, a | b)
V2(v_xor_b32, U32, U32, U32, a ^ b)
V2(v_xnor_b32, U32, U32, U32, ~(a ^ b))
V2(v_mul_i32_i24, U32, U32, U32, uint32_t(int64_t(sign24(a)) * sign24(b)))
V2(v_mul_hi_i32_i24, U32, U32, U32, uint32_t(int64_t(sign24(a)) * sign24(b) >> 32))
V2(v_mul_u32_u24, U32, U32, U32, (a & 0xffffff) * (b & 0xffffff))
V2(v_mul_hi_u32_u24, U32, U32, U32, uint32_t(uint64_t(a & 0xffffff) * (b & 0xffffff) >> 32))
V2(v_mul_lo_u32, U32, U32, U32, a* b)
V2(v_mul_hi_u32, U32, U32, U32, uint32_t(uint64_t(a) * b >> 32))
V2(v_mul_hi_i32, I32, I32, I32, int32_t(int64_t(a) * b >> 32))
V2(v_bfm_b32, U32, U32, U32, ((1U << (a & 31)) - 1) << (b & 31))
V2(v_bcnt_u32_b32, U32, U32, U32, uint32_t(std::popcount(a)) + b)
void exec_v_add_nc_u32(Wave& w, const Instruction& i) {
  saturating(w, i, [&](uint32_t a, uint32_t b) {
    return saturated(i, int64_t(a) + b, 0, std::numeric_limits<uint32_t>::max());
  });
}
void exec_v_sub_nc_u32(Wave& w, const Instruction& i) {
  saturating(w, i, [&](uint32_t a, uint32_t b) {
    return saturated(i, int64_t(a) - b, 0, std::numeric_limits<uint32_t>::max());
  });
}
void exec_v_subrev_nc_u32(Wave& w, const Instruction& i) {
  saturating(w, i, [&](uint32_t a, uint32_t b) {
    return saturated(i, int64_t(b) - a, 0, std::numeric_limits<uint32_t>::max());
  });
}
void exec_v_add_nc_i32(Wave& w, const Instruction& i) {
  saturating(w, i, [&](uint32_t a, uint32_t b) {
    return saturated(i, int64_t(int32_t(a)) + int32_t(b), std::numeric_limits<int32_t>::min(),
                     std::numeric_limits<int32_t>::max());
  });
}
void exec_v_sub_nc_i32(Wave& w, const Instruction& i) {
  saturating(w, i, [&](uint32_t a, uint32_t b) {
    return saturated(i, int64_t(int32_t(a)) - int32_t(b), std::numeric_limits<int32_t>::min(),
                     std::numeric_limits<int32_t>::max());
  });
}
V3(v_mad_i32_i24, U32, U32, U32, U32, uint32_t(int64_t(sign24(a)) * sign24(b)) + c)
V3(v_mad_u32_u24, U32, U32, U32, U32, (a & 0xffffff) * (b & 0xffffff) + c)
V3(v_bfe_u32, U32, U32, U32, U32, (c & 31) == 0 ? 0 : a >> (b & 31) & ((1U << (c & 31)) - 1))
V3(v_bfe_i32, I32, I32, U32, U32,
   (c & 31) == 0 ? 0
   : (b & 31) + (c & 31) > 31
       ? a >> (b & 31)
       : int32_t(uint32_t(a) << (32 - (b & 31) - (c & 31))) >> (32 - (c & 31)))
V3(v_bfi_b32, U32, U32, U32, U32, (a & b) | (~a & c))
V3(v_alignbit_b32, U32, U32, U32, U32, uint32_t((uint64_t(a) << 32 | b) >> (c & 31)))
V3(v_alignbyte_b32, U32, U32, U32, U32, uint32_t((uint64_t(a) << 32 | b) >> (8 * (c & 3))))
V3(v_min3_i32, I32, I32, I32, I32, std::min(std::min(a, b), c))
V3(v_max3_i32, I32, I32, I32, I32, std::max(std::max(a, b), c))
V3(v_med3_i32, I32, I32, I32, I32, median(a, b, c))
V3(v_min3_u32, U32, U32, U32, U32, std::min(std::min(a, b), c))
V3(v_max3_u32, U32, U32, U32, U32, std::max(std::max(a, b), c))
V3(v_med3_u32, U32, U32, U32, U32, median(a, b, c))
V3(v_maxmin_i32, I32, I32, I32, I32, std::min(std::max(a, b), c))
V3(v_minmax_i32, I32, I32, I32, I32, std::max(std::min(a, b), c))
V3(v_maxmin_u32, U32, U32, U32, U32, std::min(std::max(a, b), c))
V3(v_minmax_u32, U32, U32, U32, U32, std::max(std::min(a, b), c))
V3(v_xor3_b32, U32, U32, U32, U32, a ^ b ^ c)
V3(v_or3_b32, U32, U32, U32, U32, a | b | c)
V3(v_add3_u32, U32, U32, U32, U32, a + b + c)
V3(v_xad_u32, U32, U32, U32, U32, (a ^ b) + c)
V3(v_lshl_add_u32, U32, U32, U32, U32, (a << (b & 31)) + c)
V3(v_add_lshl_u32, U32, U32, U32, U32, (a + b) << (c & 31))
V3(v_lshl_or_b32, U32, U32, U32, U32, a << (b & 31) | c)
V3(v_and_or_b32, U32, U32, U32, U32, (a & b) | c)
V3(v_mad_u32_u16, U32, U16, U16, U32, a* b + c)
V3(v_mad_i32_i16, U32, I16, I16, U32, uint32_t(a* b) + c)
V3(v_sad_u32, U32, U32, U32, U32, (a > b ? a - b : b - a) + c)

/// V_PERM_B32: bytes 0..3 of the second source, 4..7 of the first; 8..11 signs, 12 is 0, above
/// 0xff.
V3(v_perm_b32, U32, U32, U32, U32, [](uint32_t high, uint32_t low, uint32_t select) {
  const uint64_t bytes = uint64_t(high) << 32 | low;
  uint32_t result = 0;
  for (uint32_t k = 0; k < 4; ++k) {
    const uint32_t s = select >> (8 * k) & 255;
    const uint32_t sign = s < 12 && s >= 8 ? uint32_t(bytes >> (16 * (s - 8) + 15) & 1) : 0;
    const uint32_t byte = s < 8    ? uint32_t(bytes >> (8 * s) & 255)
                          : s < 12 ? sign * 255
                                   : (s == 12 ? 0U : 255U);
    result |= byte << (8 * k);
  }
  return result;
}(a, b, c))

// --- Carries: VOP2 takes and gives VCC, VOP3SD names its scalar registers ------------------------

namespace {

/// Sum or difference with the carry of scalar `carry_in` (kNull: none) and the carry out in i.sdst.
template <class F>
void carried(Wave& w, const Instruction& i, uint16_t carry_in, F function) {
  Instruction plain = i;
  plain.clamp = false;
  Lanes<U32> a{}, b{}, d, carry;
  load<U32>(w, plain, 0, a);
  load<U32>(w, plain, 1, b);
  const uint32_t in = carry_in == kNull ? 0 : w.scalar(i, carry_in);
  for (uint32_t l = 0; l < kLanes; ++l) {
    const uint64_t wide = function(uint64_t(a.at[l]), uint64_t(b.at[l]), uint64_t(in >> l & 1));
    d.at[l] = uint32_t(wide);
    carry.at[l] = uint32_t(wide >> 32) & 1;
  }
  if (i.clamp) return w.fail(i, "clamp of a carrying sum is not known");
  store<U32>(w, plain, d);
  w.set_scalar(i, i.sdst, mask_of(carry) & w.exec());
}
uint64_t sum(uint64_t a, uint64_t b, uint64_t c) { return a + b + c; }
uint64_t difference(uint64_t a, uint64_t b, uint64_t c) { return a - b - c; }
uint64_t reversed(uint64_t a, uint64_t b, uint64_t c) { return b - a - c; }

}  // namespace

void exec_v_add_co_u32(Wave& w, const Instruction& i) { carried(w, i, kNull, sum); }
void exec_v_sub_co_u32(Wave& w, const Instruction& i) { carried(w, i, kNull, difference); }
void exec_v_subrev_co_u32(Wave& w, const Instruction& i) { carried(w, i, kNull, reversed); }
void exec_v_add_co_ci_u32(Wave& w, const Instruction& i) { carried(w, i, i.src[2], sum); }
void exec_v_sub_co_ci_u32(Wave& w, const Instruction& i) { carried(w, i, i.src[2], difference); }
void exec_v_subrev_co_ci_u32(Wave& w, const Instruction& i) { carried(w, i, i.src[2], reversed); }

namespace {

template <class Wide, class A, class F>
void wide_multiply_add(Wave& w, const Instruction& i, F overflows) {
  Lanes<A> a{}, b{};
  Lanes<Wide> c{}, d;
  Lanes<U32> carry;
  load<A>(w, i, 0, a);
  load<A>(w, i, 1, b);
  // LLVM takes it for 32-bit sums too: then the addend's upper half is nothing, and so the
  // result's.
  const bool is_register = i.src[2] >= kVgpr0 && i.src[2] - kVgpr0 + 1U < kVgprs;
  const uint32_t high = is_register ? i.src[2] - kVgpr0 + 1U : 0;
  const uint32_t unknown = is_register ? w.exec() & ~w.defined[high] : 0;
  w.defined[high] |= unknown;
  load<Wide>(w, i, 2, c);
  w.defined[high] &= ~unknown;
  for (uint32_t l = 0; l < kLanes; ++l) {
    using Value = typename Wide::Value;
    const Value product = Value(a.at[l]) * Value(b.at[l]);
    d.at[l] = Value(uint64_t(product) + uint64_t(c.at[l]));
    carry.at[l] = overflows(product, c.at[l]) ? 1 : 0;
  }
  store<Wide>(w, i, d);
  if (unknown != 0) w.defined[i.dst - kVgpr0 + 1U] &= ~unknown;
  w.set_scalar(i, i.sdst, mask_of(carry) & w.exec());
}

}  // namespace

void exec_v_mad_u64_u32(Wave& w, const Instruction& i) {
  wide_multiply_add<U64, U32>(w, i, [](uint64_t product, uint64_t c) {
    uint64_t sum;
    return __builtin_add_overflow(product, c, &sum);
  });
}
void exec_v_mad_i64_i32(Wave& w, const Instruction& i) {
  wide_multiply_add<I64, I32>(w, i, [](int64_t product, int64_t c) {
    int64_t sum;
    return __builtin_add_overflow(product, c, &sum);
  });
}

// --- Choice --------------------------------------------------------------------------------------

/// A lane needs only the source that it takes, so poison in the other is no error.
void exec_v_cndmask_b32(Wave& w, const Instruction& i) {
  const uint32_t choose = w.scalar(i, i.encoding == Format::vop3 ? i.src[2] : kVcc);
  const uint32_t exec = w.exec();
  alignas(64) uint32_t words[2][kLanes];
  for (uint32_t k = 0; k < 2; ++k) {
    if (i.src[k] >= kVgpr0) {
      const uint32_t needed = exec & (k == 0 ? ~choose : choose);
      if (i.src[k] == kLaneSource) {
        std::memcpy(words[k], w.dpp, sizeof(w.dpp));
      } else {
        if (!w.check_read(i, uint32_t(i.src[k] - kVgpr0), 1, needed)) return;
        std::memcpy(words[k], w.v[i.src[k] - kVgpr0], sizeof(w.dpp));
      }
    } else {
      std::fill(std::begin(words[k]), std::end(words[k]), w.scalar(i, i.src[k]));
    }
    const uint32_t clear = (i.abs >> k & 1) != 0 ? 0x80000000 : 0;
    const uint32_t flip = (i.neg >> k & 1) != 0 ? 0x80000000 : 0;
    for (uint32_t& word : words[k]) word = (word & ~clear) ^ flip;
  }
  if (!w.check_write(i, uint32_t(i.dst - kVgpr0), 1)) return;
  for (uint32_t l = 0; l < kLanes; ++l) {
    words[0][l] = (choose >> l & 1) != 0 ? words[1][l] : words[0][l];
  }
  write_words(w, uint32_t(i.dst - kVgpr0), words[0], exec);
}

// --- Division: RDNA3 ISA, V_DIV_SCALE, V_DIV_FMAS, V_DIV_FIXUP
// ------------------------------------

namespace {

template <class T>
struct DivisionLimits;
template <>
struct DivisionLimits<float> {
  static constexpr int kBias = 127, kHuge = 96, kScale = 64, kTiny = 23;
};
template <>
struct DivisionLimits<double> {
  static constexpr int kBias = 1023, kHuge = 768, kScale = 128, kTiny = 53;
};

template <class T>
int biased_exponent(T value) {
  if constexpr (sizeof(T) == 4) {
    return int(std::bit_cast<uint32_t>(value) >> 23 & 255);
  } else {
    return int(std::bit_cast<uint64_t>(value) >> 52 & 2047);
  }
}
template <class T>
bool is_denormal(T value) {
  return value != 0 && biased_exponent(value) == 0;
}
/// Whether n / d, in unbounded range, would be a denormal of T (or 0). Quotients lie within a
/// factor of 2 of what the exponents say, so the decision is taken on the exact mantissas.
template <class T>
bool quotient_is_denormal(T n, T d) {
  int en, ed;
  const T mn = std::frexp(std::fabs(n), &en);
  const T md = std::frexp(std::fabs(d), &ed);
  const int exponent = en - ed - (mn < md ? 1 : 0);
  return n != 0 && exponent < 1 - DivisionLimits<T>::kBias;
}

/// V_DIV_SCALE: s0 is the one of denominator s1 and numerator s2 that is to be scaled.
template <class T>
T division_scale(T s0, T s1, T s2, bool& flag) {
  using L = DivisionLimits<T>;
  flag = false;
  const bool scales_denominator = s0 == s1;
  const bool scales_numerator = s0 == s2;
  if (s2 == 0 || s1 == 0) return std::numeric_limits<T>::quiet_NaN();
  if (biased_exponent(s2) - biased_exponent(s1) >= L::kHuge) {
    flag = true;
    return scales_denominator ? std::ldexp(s0, L::kScale) : s0;
  }
  if (is_denormal(s1)) return std::ldexp(s0, L::kScale);
  const bool reciprocal_is_denormal = quotient_is_denormal(T(1), s1);
  const bool quotient_is_small = quotient_is_denormal(s2, s1);
  // The text has the scale upwards here, with which the denominator overflows; V_DIV_FMAS then
  // scales the quotient down, for which it must have been scaled down.
  if (reciprocal_is_denormal && quotient_is_small) {
    flag = true;
    return scales_denominator ? std::ldexp(s0, -L::kScale) : s0;
  }
  if (reciprocal_is_denormal) return std::ldexp(s0, -L::kScale);
  if (quotient_is_small) {
    flag = true;
    return scales_numerator ? std::ldexp(s0, L::kScale) : s0;
  }
  return biased_exponent(s2) <= L::kTiny ? std::ldexp(s0, L::kScale) : s0;
}

template <class T>
void scale_lanes(Wave& w, const Instruction& i) {
  Lanes<T> a{}, b{}, c{}, d;
  Lanes<U32> flags;
  load<T>(w, i, 0, a);
  load<T>(w, i, 1, b);
  load<T>(w, i, 2, c);
  for (uint32_t l = 0; l < kLanes; ++l) {
    bool flag;
    d.at[l] = division_scale(a.at[l], b.at[l], c.at[l], flag);
    flags.at[l] = flag ? 1 : 0;
  }
  store<T>(w, i, d);
  w.set_scalar(i, i.sdst, mask_of(flags) & w.exec());
}

template <class T>
void fused_lanes(Wave& w, const Instruction& i) {
  using L = DivisionLimits<typename T::Value>;
  const uint32_t vcc = w.scalar(i, kVcc);
  Lanes<T> a{}, b{}, c{}, d;
  load<T>(w, i, 0, a);
  load<T>(w, i, 1, b);
  load<T>(w, i, 2, c);
  for (uint32_t l = 0; l < kLanes; ++l) {
    d.at[l] = std::fma(a.at[l], b.at[l], c.at[l]);
    if ((vcc >> l & 1) == 0) continue;
    const int scale = biased_exponent(c.at[l]) > L::kBias ? L::kScale : -L::kScale;
    d.at[l] = std::ldexp(d.at[l], scale);
  }
  store<T>(w, i, d);
}

/// V_DIV_FIXUP: quotient s0, denominator s1, numerator s2.
template <class T>
T division_fixup(T s0, T s1, T s2) {
  const bool sign = std::signbit(s1) != std::signbit(s2);
  const T infinity = std::numeric_limits<T>::infinity();
  if (std::isnan(s2)) return s2 + s2;
  if (std::isnan(s1)) return s1 + s1;
  if ((s1 == 0 && s2 == 0) || (std::isinf(s1) && std::isinf(s2))) {
    return std::numeric_limits<T>::quiet_NaN();
  }
  if (s1 == 0 || std::isinf(s2)) return sign ? -infinity : infinity;
  if (std::isinf(s1) || s2 == 0) return sign ? T(-0.0) : T(0);
  const int below = biased_exponent(s2) - biased_exponent(s1);
  if (below < (sizeof(T) == 4 ? -150 : -1075)) return sign ? T(-0.0) : T(0);
  // The text asks whether the denominator's exponent is all ones, which was answered above; the
  // overflow that it names is of the quotient, which scaling alone does not keep finite.
  if (below > DivisionLimits<T>::kBias + 1) return sign ? -infinity : infinity;
  return std::copysign(s0, sign ? T(-1) : T(1));
}

}  // namespace

void exec_v_div_scale_f32(Wave& w, const Instruction& i) { scale_lanes<F32>(w, i); }
void exec_v_div_scale_f64(Wave& w, const Instruction& i) {
  const DoubleMode mode(w);
  scale_lanes<F64>(w, i);
}
void exec_v_div_fmas_f32(Wave& w, const Instruction& i) { fused_lanes<F32>(w, i); }
void exec_v_div_fmas_f64(Wave& w, const Instruction& i) {
  const DoubleMode mode(w);
  fused_lanes<F64>(w, i);
}
V3(v_div_fixup_f32, F32, F32, F32, F32, division_fixup(a, b, c))
void exec_v_div_fixup_f64(Wave& w, const Instruction& i) {
  const DoubleMode mode(w);
  ternary<F64, F64, F64, F64>(w, i,
                              [](double a, double b, double c) { return division_fixup(a, b, c); });
}

// --- Literals within VOP2 ------------------------------------------------------------------------

// src[2] is the literal where the decoder put it: V_FMAMK D = a * K + b, V_FMAAK D = a * b + K.
V3(v_fmamk_f32, F32, F32, F32, F32, std::fma(a, b, c))
V3(v_fmaak_f32, F32, F32, F32, F32, std::fma(a, b, c))

#undef V1
#undef V2
#undef V3
#undef V1D
#undef V2D

}  // namespace leat::amd_card
