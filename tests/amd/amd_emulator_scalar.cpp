// Scalar instructions: SOP1, SOP2, SOPC, SOPK, SOPP. RDNA3 ISA, "Scalar ALU Operations" and
// "Program Flow Control"; RDNA4 ISA, the same, with scalar floats and split barriers.
#include <bit>

#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

uint32_t source(Wave& w, const Instruction& i, uint32_t k) { return w.scalar(i, i.src[k]); }
uint64_t source64(Wave& w, const Instruction& i, uint32_t k) { return w.scalar64(i, i.src[k]); }
int64_t signed64(Wave& w, const Instruction& i, uint32_t k) {
  return int64_t(w.scalar64(i, i.src[k], true));
}
float real(Wave& w, const Instruction& i, uint32_t k) {
  return std::bit_cast<float>(source(w, i, k));
}
float real16(Wave& w, const Instruction& i, uint32_t k) {
  return half_to_float(uint16_t(scalar_half(w, i, i.src[k], true)));
}
uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

void set(Wave& w, const Instruction& i, uint32_t value) { w.set_scalar(i, i.dst, value); }
void set64(Wave& w, const Instruction& i, uint64_t value) { w.set_scalar64(i, i.dst, value); }
void set_half(Wave& w, const Instruction& i, float value) { set(w, i, float_to_half(value)); }

/// Writes the result, and whether it is not 0 to SCC.
void set_flag(Wave& w, const Instruction& i, uint32_t value) {
  set(w, i, value);
  w.scc = value != 0;
}
void set64_flag(Wave& w, const Instruction& i, uint64_t value) {
  set64(w, i, value);
  w.scc = value != 0;
}

void add(Wave& w, const Instruction& i, uint64_t a, uint64_t b, uint64_t carry) {
  const uint64_t sum = a + b + carry;
  set(w, i, uint32_t(sum));
  w.scc = sum >> 32 != 0;
}
void subtract(Wave& w, const Instruction& i, uint64_t a, uint64_t b, uint64_t borrow) {
  set(w, i, uint32_t(a - b - borrow));
  w.scc = b + borrow > a;
}
void add_signed(Wave& w, const Instruction& i, int32_t a, int32_t b) {
  int32_t sum;
  w.scc = __builtin_add_overflow(a, b, &sum);
  set(w, i, uint32_t(sum));
}
void subtract_signed(Wave& w, const Instruction& i, int32_t a, int32_t b) {
  int32_t difference;
  w.scc = __builtin_sub_overflow(a, b, &difference);
  set(w, i, uint32_t(difference));
}
void shift_add(Wave& w, const Instruction& i, uint32_t shift) {
  const uint64_t sum = (uint64_t(source(w, i, 0)) << shift) + source(w, i, 1);
  set(w, i, uint32_t(sum));
  w.scc = sum >> 32 != 0;
}

uint64_t field(uint64_t value, uint32_t offset, uint32_t width) {
  if (width == 0 || offset >= 64) return 0;
  return value >> offset & (width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1);
}
int64_t signed_field(int64_t value, uint32_t offset, uint32_t width, uint32_t bits) {
  if (width == 0) return 0;
  if (offset + width >= bits) return value >> std::min(offset, bits - 1);
  return int64_t(uint64_t(value) << (64 - offset - width)) >> (64 - width);
}

void save_exec(Wave& w, const Instruction& i, uint32_t next) {
  const uint32_t before = w.exec();
  set(w, i, before);
  w.set_scalar(i, kExec, next);
  w.scc = next != 0;
}

void branch(Wave& w, const Instruction& i, bool is_taken) {
  if (is_taken) w.pc = i.address + 4 + uint64_t(int64_t(i.offset) * 4);
}

/// Reads or writes bits of MODE. RDNA3 ISA, "Hardware Register Values".
uint32_t mode_bits(const Mode& mode) {
  return uint32_t(mode.round_single | mode.round_double << 2 | mode.denormal_single << 4 |
                  mode.denormal_double << 6 | (mode.dx10_clamp ? 1 << 8 : 0) |
                  (mode.ieee ? 1 << 9 : 0));
}
void set_mode(Wave& w, uint32_t bits) {
  w.mode.round_single = bits & 3;
  w.mode.round_double = bits >> 2 & 3;
  w.mode.denormal_single = bits >> 4 & 3;
  w.mode.denormal_double = bits >> 6 & 3;
  set_host_float_mode(w.mode.round_single, w.mode.denormal_single);
}
constexpr uint32_t kHwRegMode = 1;
constexpr uint32_t kHwRegShaderCycles = 29;

void write_hardware_register(Wave& w, const Instruction& i, uint32_t value) {
  const uint32_t id = uint32_t(i.offset) & 63;
  const uint32_t offset = uint32_t(i.offset) >> 6 & 31;
  const uint32_t size = (uint32_t(i.offset) >> 11 & 31) + 1;
  const uint32_t mask = (size == 32 ? ~0U : (1U << size) - 1) << offset;
  // DX10_CLAMP and IEEE stay as the launch says; nothing that we compile changes them.
  if (id != kHwRegMode || (mask & ~0xffU) != 0) return w.fail(i, "only MODE [7:0] can be written");
  set_mode(w, (mode_bits(w.mode) & ~mask) | (value << offset & mask));
}

}  // namespace

#define SOP(name, statement)                            \
  void exec_##name(Wave& w, const Instruction& i) {     \
    const auto a = [&] { return source(w, i, 0); };     \
    const auto b = [&] { return source(w, i, 1); };     \
    const auto a64 = [&] { return source64(w, i, 0); }; \
    const auto b64 = [&] { return source64(w, i, 1); }; \
    const auto fa = [&] { return real(w, i, 0); };      \
    const auto fb = [&] { return real(w, i, 1); };      \
    const auto ha = [&] { return real16(w, i, 0); };    \
    const auto hb = [&] { return real16(w, i, 1); };    \
    (void)a, (void)b, (void)a64, (void)b64;             \
    (void)fa, (void)fb, (void)ha, (void)hb;             \
    statement;                                          \
  }

// --- SOP2 ----------------------------------------------------------------------------------------

SOP(s_add_u32, add(w, i, a(), b(), 0))
SOP(s_addc_u32, add(w, i, a(), b(), w.scc ? 1 : 0))
SOP(s_sub_u32, subtract(w, i, a(), b(), 0))
SOP(s_subb_u32, subtract(w, i, a(), b(), w.scc ? 1 : 0))
SOP(s_add_i32, add_signed(w, i, int32_t(a()), int32_t(b())))
SOP(s_sub_i32, subtract_signed(w, i, int32_t(a()), int32_t(b())))
SOP(s_absdiff_i32, const int64_t d = int64_t(int32_t(a())) - int32_t(b());
    set_flag(w, i, uint32_t(d < 0 ? -d : d)))
SOP(s_lshl_b32, set_flag(w, i, a() << (b() & 31)))
SOP(s_lshr_b32, set_flag(w, i, a() >> (b() & 31)))
SOP(s_ashr_i32, set_flag(w, i, uint32_t(int32_t(a()) >> (b() & 31))))
SOP(s_lshl_b64, set64_flag(w, i, a64() << (b() & 63)))
SOP(s_lshr_b64, set64_flag(w, i, a64() >> (b() & 63)))
SOP(s_ashr_i64, set64_flag(w, i, uint64_t(signed64(w, i, 0) >> (b() & 63))))
SOP(s_lshl1_add_u32, shift_add(w, i, 1))
SOP(s_lshl2_add_u32, shift_add(w, i, 2))
SOP(s_lshl3_add_u32, shift_add(w, i, 3))
SOP(s_lshl4_add_u32, shift_add(w, i, 4))
SOP(s_min_i32, const bool f = int32_t(a()) < int32_t(b()); set(w, i, f ? a() : b()); w.scc = f)
SOP(s_min_u32, const bool f = a() < b(); set(w, i, f ? a() : b()); w.scc = f)
SOP(s_max_i32, const bool f = int32_t(a()) >= int32_t(b()); set(w, i, f ? a() : b()); w.scc = f)
SOP(s_max_u32, const bool f = a() >= b(); set(w, i, f ? a() : b()); w.scc = f)
SOP(s_and_b32, set_flag(w, i, a() & b()))
SOP(s_and_b64, set64_flag(w, i, a64() & b64()))
SOP(s_or_b32, set_flag(w, i, a() | b()))
SOP(s_or_b64, set64_flag(w, i, a64() | b64()))
SOP(s_xor_b32, set_flag(w, i, a() ^ b()))
SOP(s_xor_b64, set64_flag(w, i, a64() ^ b64()))
SOP(s_nand_b32, set_flag(w, i, ~(a() & b())))
SOP(s_nand_b64, set64_flag(w, i, ~(a64() & b64())))
SOP(s_nor_b32, set_flag(w, i, ~(a() | b())))
SOP(s_nor_b64, set64_flag(w, i, ~(a64() | b64())))
SOP(s_xnor_b32, set_flag(w, i, ~(a() ^ b())))
SOP(s_xnor_b64, set64_flag(w, i, ~(a64() ^ b64())))
SOP(s_and_not1_b32, set_flag(w, i, a() & ~b()))
SOP(s_and_not1_b64, set64_flag(w, i, a64() & ~b64()))
SOP(s_or_not1_b32, set_flag(w, i, a() | ~b()))
SOP(s_or_not1_b64, set64_flag(w, i, a64() | ~b64()))
SOP(s_bfe_u32, set_flag(w, i, uint32_t(field(a(), b() & 31, b() >> 16 & 127))))
SOP(s_bfe_u64, set64_flag(w, i, field(a64(), b() & 63, b() >> 16 & 127)))
SOP(s_bfe_i32, set_flag(w, i, uint32_t(signed_field(int32_t(a()), b() & 31, b() >> 16 & 127, 32))))
SOP(s_bfe_i64,
    set64_flag(w, i, uint64_t(signed_field(signed64(w, i, 0), b() & 63, b() >> 16 & 127, 64))))
SOP(s_bfm_b32, set(w, i, ((1U << (a() & 31)) - 1) << (b() & 31)))
SOP(s_bfm_b64, set64(w, i, ((uint64_t{1} << (a() & 63)) - 1) << (b() & 63)))
SOP(s_mul_i32, set(w, i, a() * b()))
SOP(s_mul_hi_u32, set(w, i, uint32_t(uint64_t(a()) * b() >> 32)))
SOP(s_mul_hi_i32, set(w, i, uint32_t(int64_t(int32_t(a())) * int32_t(b()) >> 32)))
SOP(s_cselect_b32, set(w, i, w.scc ? a() : b()))
SOP(s_cselect_b64, set64(w, i, w.scc ? a64() : b64()))
SOP(s_pack_ll_b32_b16, set(w, i, (a() & 0xffff) | b() << 16))
SOP(s_pack_lh_b32_b16, set(w, i, (a() & 0xffff) | (b() & 0xffff0000)))
SOP(s_pack_hh_b32_b16, set(w, i, a() >> 16 | (b() & 0xffff0000)))
SOP(s_pack_hl_b32_b16, set(w, i, a() >> 16 | b() << 16))
SOP(s_add_nc_u64, set64(w, i, a64() + b64()))
SOP(s_sub_nc_u64, set64(w, i, a64() - b64()))
SOP(s_mul_u64, set64(w, i, a64() * b64()))
SOP(s_add_f32, set(w, i, bits_of(fa() + fb())))
SOP(s_sub_f32, set(w, i, bits_of(fa() - fb())))
SOP(s_mul_f32, set(w, i, bits_of(fa() * fb())))
SOP(s_min_num_f32, set(w, i, bits_of(minimum_number(fa(), fb()))))
SOP(s_max_num_f32, set(w, i, bits_of(maximum_number(fa(), fb()))))
SOP(s_minimum_f32, set(w, i, bits_of(minimum_nan(fa(), fb()))))
SOP(s_maximum_f32, set(w, i, bits_of(maximum_nan(fa(), fb()))))
SOP(s_fma_f32, set(w, i, bits_of(std::fma(fa(), fb(), real(w, i, 2)))))
SOP(s_fmac_f32, set(w, i, bits_of(std::fma(fa(), fb(), std::bit_cast<float>(w.scalar(i, i.dst))))))
SOP(s_cvt_pk_rtz_f16_f32, const uint32_t low = _cvtss_sh(fa(), _MM_FROUND_TO_ZERO);
    set(w, i, low | uint32_t(_cvtss_sh(fb(), _MM_FROUND_TO_ZERO)) << 16))
SOP(s_add_f16, set_half(w, i, ha() + hb()))
SOP(s_sub_f16, set_half(w, i, ha() - hb()))
SOP(s_mul_f16, set_half(w, i, ha() * hb()))
SOP(s_min_num_f16, set_half(w, i, minimum_number(ha(), hb())))
SOP(s_max_num_f16, set_half(w, i, maximum_number(ha(), hb())))
SOP(s_minimum_f16, set_half(w, i, minimum_nan(ha(), hb())))
SOP(s_maximum_f16, set_half(w, i, maximum_nan(ha(), hb())))
SOP(s_fmac_f16, const float c = half_to_float(uint16_t(w.scalar(i, i.dst)));
    set_half(w, i, double_to_odd(double(ha()) * double(hb()) + double(c))))

// --- SOP1 ----------------------------------------------------------------------------------------

SOP(s_mov_b32, set(w, i, a()))
SOP(s_mov_b64, set64(w, i, a64()))
SOP(s_cmov_b32, if (w.scc) set(w, i, a()))
SOP(s_cmov_b64, if (w.scc) set64(w, i, a64()))
SOP(s_not_b32, set_flag(w, i, ~a()))
SOP(s_not_b64, set64_flag(w, i, ~a64()))
SOP(s_brev_b32, uint32_t r = 0;
    for (uint32_t k = 0, x = a(); k < 32; ++k) r |= (x >> k & 1) << (31 - k); set(w, i, r))
SOP(s_ctz_i32_b32, const uint32_t x = a(); set(w, i, x == 0 ? ~0U : uint32_t(std::countr_zero(x))))
SOP(s_ctz_i32_b64, const uint64_t x = a64();
    set(w, i, x == 0 ? ~0U : uint32_t(std::countr_zero(x))))
SOP(s_clz_i32_u32, const uint32_t x = a(); set(w, i, x == 0 ? ~0U : uint32_t(std::countl_zero(x))))
SOP(s_clz_i32_u64, const uint64_t x = a64();
    set(w, i, x == 0 ? ~0U : uint32_t(std::countl_zero(x))))
SOP(s_cls_i32, const int32_t x = int32_t(a()); const uint32_t y = uint32_t(x < 0 ? ~x : x);
    set(w, i, y == 0 ? ~0U : uint32_t(std::countl_zero(y))))
SOP(s_sext_i32_i8, set(w, i, uint32_t(int8_t(uint8_t(a())))))
SOP(s_sext_i32_i16, set(w, i, uint32_t(int16_t(uint16_t(a())))))
SOP(s_bitset0_b32, set(w, i, w.scalar(i, i.dst) & ~(1U << (a() & 31))))
SOP(s_bitset1_b32, set(w, i, w.scalar(i, i.dst) | 1U << (a() & 31)))
SOP(s_abs_i32, const uint32_t x = a(); set_flag(w, i, int32_t(x) < 0 ? 0 - x : x))
SOP(s_bcnt0_i32_b32, set_flag(w, i, uint32_t(32 - std::popcount(a()))))
SOP(s_bcnt1_i32_b32, set_flag(w, i, uint32_t(std::popcount(a()))))
SOP(s_bcnt0_i32_b64, set_flag(w, i, uint32_t(64 - std::popcount(a64()))))
SOP(s_bcnt1_i32_b64, set_flag(w, i, uint32_t(std::popcount(a64()))))
SOP(s_and_saveexec_b32, save_exec(w, i, a() & w.exec()))
SOP(s_or_saveexec_b32, save_exec(w, i, a() | w.exec()))
SOP(s_xor_saveexec_b32, save_exec(w, i, a() ^ w.exec()))
SOP(s_nand_saveexec_b32, save_exec(w, i, ~(a() & w.exec())))
SOP(s_nor_saveexec_b32, save_exec(w, i, ~(a() | w.exec())))
SOP(s_xnor_saveexec_b32, save_exec(w, i, ~(a() ^ w.exec())))
SOP(s_and_not0_saveexec_b32, save_exec(w, i, ~a() & w.exec()))
SOP(s_or_not0_saveexec_b32, save_exec(w, i, ~a() | w.exec()))
SOP(s_and_not1_saveexec_b32, save_exec(w, i, a() & ~w.exec()))
SOP(s_or_not1_saveexec_b32, save_exec(w, i, a() | ~w.exec()))
SOP(s_and_not0_wrexec_b32, const uint32_t x = ~a() & w.exec(); set(w, i, x);
    w.set_scalar(i, kExec, x); w.scc = x != 0)
SOP(s_and_not1_wrexec_b32, const uint32_t x = a() & ~w.exec(); set(w, i, x);
    w.set_scalar(i, kExec, x); w.scc = x != 0)
SOP(s_getpc_b64, set64(w, i, i.address + 4))
SOP(s_setpc_b64, w.pc = a64())
SOP(s_swappc_b64, const uint64_t to = a64(); set64(w, i, i.address + 4); w.pc = to)
SOP(s_ceil_f32, set(w, i, bits_of(std::ceil(fa()))))
SOP(s_floor_f32, set(w, i, bits_of(std::floor(fa()))))
SOP(s_trunc_f32, set(w, i, bits_of(std::trunc(fa()))))
SOP(s_rndne_f32, set(w, i, bits_of(__builtin_roundevenf(fa()))))
SOP(s_ceil_f16, set_half(w, i, std::ceil(ha())))
SOP(s_floor_f16, set_half(w, i, std::floor(ha())))
SOP(s_trunc_f16, set_half(w, i, std::trunc(ha())))
SOP(s_rndne_f16, set_half(w, i, __builtin_roundevenf(ha())))
SOP(s_cvt_f32_i32, set(w, i, bits_of(float(int32_t(a())))))
SOP(s_cvt_f32_u32, set(w, i, bits_of(float(a()))))
SOP(s_cvt_i32_f32, set(w, i, uint32_t(saturate_to<int32_t>(fa()))))
SOP(s_cvt_u32_f32, set(w, i, saturate_to<uint32_t>(fa())))
SOP(s_cvt_f16_f32, set_half(w, i, fa()))
SOP(s_cvt_f32_f16, set(w, i, bits_of(ha())))
SOP(s_cvt_hi_f32_f16, set(w, i, bits_of(half_to_float(uint16_t(a() >> 16)))))

// --- SOPC ----------------------------------------------------------------------------------------

SOP(s_cmp_eq_i32, w.scc = a() == b())
SOP(s_cmp_lg_i32, w.scc = a() != b())
SOP(s_cmp_gt_i32, w.scc = int32_t(a()) > int32_t(b()))
SOP(s_cmp_ge_i32, w.scc = int32_t(a()) >= int32_t(b()))
SOP(s_cmp_lt_i32, w.scc = int32_t(a()) < int32_t(b()))
SOP(s_cmp_le_i32, w.scc = int32_t(a()) <= int32_t(b()))
SOP(s_cmp_eq_u32, w.scc = a() == b())
SOP(s_cmp_lg_u32, w.scc = a() != b())
SOP(s_cmp_gt_u32, w.scc = a() > b())
SOP(s_cmp_ge_u32, w.scc = a() >= b())
SOP(s_cmp_lt_u32, w.scc = a() < b())
SOP(s_cmp_le_u32, w.scc = a() <= b())
SOP(s_bitcmp0_b32, w.scc = (a() >> (b() & 31) & 1) == 0)
SOP(s_bitcmp1_b32, w.scc = (a() >> (b() & 31) & 1) == 1)
SOP(s_bitcmp0_b64, w.scc = (a64() >> (b() & 63) & 1) == 0)
SOP(s_bitcmp1_b64, w.scc = (a64() >> (b() & 63) & 1) == 1)
SOP(s_cmp_eq_u64, w.scc = a64() == b64())
SOP(s_cmp_lg_u64, w.scc = a64() != b64())
#define SOPC_FLOAT(type, first, second)                                      \
  SOP(s_cmp_lt_##type, w.scc = first() < second())                           \
  SOP(s_cmp_eq_##type, w.scc = first() == second())                          \
  SOP(s_cmp_le_##type, w.scc = first() <= second())                          \
  SOP(s_cmp_gt_##type, w.scc = first() > second())                           \
  SOP(s_cmp_lg_##type, w.scc = first() < second() || first() > second())     \
  SOP(s_cmp_ge_##type, w.scc = first() >= second())                          \
  SOP(s_cmp_o_##type, w.scc = !std::isnan(first()) && !std::isnan(second())) \
  SOP(s_cmp_u_##type, w.scc = std::isnan(first()) || std::isnan(second()))   \
  SOP(s_cmp_nge_##type, w.scc = !(first() >= second()))                      \
  SOP(s_cmp_nlg_##type, w.scc = !(first() < second() || first() > second())) \
  SOP(s_cmp_ngt_##type, w.scc = !(first() > second()))                       \
  SOP(s_cmp_nle_##type, w.scc = !(first() <= second()))                      \
  SOP(s_cmp_neq_##type, w.scc = !(first() == second()))                      \
  SOP(s_cmp_nlt_##type, w.scc = !(first() < second()))
SOPC_FLOAT(f32, fa, fb)
SOPC_FLOAT(f16, ha, hb)

// --- SOPK: the constant is i.offset, the register is both source and destination -----------------

#define SOPK_COMPARE(name, type, op) SOP(name, w.scc = type(w.scalar(i, i.dst)) op type(i.offset))
SOP(s_movk_i32, set(w, i, uint32_t(i.offset)))
SOP(s_cmovk_i32, if (w.scc) set(w, i, uint32_t(i.offset)))
SOPK_COMPARE(s_cmpk_eq_i32, int32_t, ==)
SOPK_COMPARE(s_cmpk_lg_i32, int32_t, !=)
SOPK_COMPARE(s_cmpk_gt_i32, int32_t, >)
SOPK_COMPARE(s_cmpk_ge_i32, int32_t, >=)
SOPK_COMPARE(s_cmpk_lt_i32, int32_t, <)
SOPK_COMPARE(s_cmpk_le_i32, int32_t, <=)
#define SOPK_COMPARE_U(name, op) SOP(name, w.scc = w.scalar(i, i.dst) op uint16_t(i.offset))
SOPK_COMPARE_U(s_cmpk_eq_u32, ==)
SOPK_COMPARE_U(s_cmpk_lg_u32, !=)
SOPK_COMPARE_U(s_cmpk_gt_u32, >)
SOPK_COMPARE_U(s_cmpk_ge_u32, >=)
SOPK_COMPARE_U(s_cmpk_lt_u32, <)
SOPK_COMPARE_U(s_cmpk_le_u32, <=)
SOP(s_addk_i32, add_signed(w, i, int32_t(w.scalar(i, i.dst)), i.offset))
SOP(s_mulk_i32, set(w, i, w.scalar(i, i.dst) * uint32_t(i.offset)))
SOP(s_call_b64, set64(w, i, i.address + 4); branch(w, i, true))
SOP(s_setreg_b32, write_hardware_register(w, i, w.scalar(i, i.dst)))
SOP(s_setreg_imm32_b32, write_hardware_register(w, i, i.literal))

void exec_s_getreg_b32(Wave& w, const Instruction& i) {
  const uint32_t id = uint32_t(i.offset) & 63;
  const uint32_t offset = uint32_t(i.offset) >> 6 & 31;
  const uint32_t size = (uint32_t(i.offset) >> 11 & 31) + 1;
  if (id != kHwRegMode && id != kHwRegShaderCycles) {
    return w.fail(i, fmt::format("hardware register {} is not known", id));
  }
  const uint32_t value = id == kHwRegMode ? mode_bits(w.mode) : uint32_t(w.cycles);
  set(w, i, uint32_t(field(value, offset, size)));
}

// --- SOPP ----------------------------------------------------------------------------------------

SOP(s_nop, )
SOP(s_trap, w.fail(i, "the kernel traps"))
SOP(s_branch, branch(w, i, true))
SOP(s_cbranch_scc0, branch(w, i, !w.scc))
SOP(s_cbranch_scc1, branch(w, i, w.scc))
SOP(s_cbranch_vccz, branch(w, i, w.scalar(i, kVcc) == 0))
SOP(s_cbranch_vccnz, branch(w, i, w.scalar(i, kVcc) != 0))
SOP(s_cbranch_execz, branch(w, i, w.exec() == 0))
SOP(s_cbranch_execnz, branch(w, i, w.exec() != 0))
SOP(s_code_end, w.fail(i, "the wave ran past its end"))
SOP(s_round_mode, set_mode(w, (mode_bits(w.mode) & ~0xfU) | (uint32_t(i.offset) & 0xf)))
SOP(s_denorm_mode, set_mode(w, (mode_bits(w.mode) & ~0xf0U) | (uint32_t(i.offset) & 0xf) << 4))

void exec_s_endpgm(Wave& w, const Instruction&) {
  for (size_t k = 0; k < kCounters; ++k) w.wait(Counter(k), 0);
  w.release_held();
  w.state = WaveState::ended;
}

void exec_s_sendmsg(Wave& w, const Instruction& i) {
  constexpr uint32_t kDeallocVgprs = 3;  // "Send Message": gives registers back before the end
  if ((uint32_t(i.offset) & 0xff) != kDeallocVgprs) w.fail(i, "the message is not known");
}

/// RDNA3 ISA, "S_WAITCNT": EXP_CNT [2:0], LGKM_CNT [9:4], VM_CNT [15:10].
void exec_s_waitcnt(Wave& w, const Instruction& i) {
  const uint32_t bits = uint32_t(i.offset) & 0xffff;
  w.wait(Counter::ds, bits >> 4 & 63);
  w.wait(Counter::load, bits >> 10 & 63);
}
SOP(s_waitcnt_vscnt, w.wait(Counter::store, uint32_t(i.offset) & 0xffff))
SOP(s_waitcnt_vmcnt, w.wait(Counter::load, uint32_t(i.offset) & 0xffff))
SOP(s_waitcnt_lgkmcnt, w.wait(Counter::ds, uint32_t(i.offset) & 0xffff))
SOP(s_wait_loadcnt, w.wait(Counter::load, uint32_t(i.offset) & 63))
SOP(s_wait_storecnt, w.wait(Counter::store, uint32_t(i.offset) & 63))
SOP(s_wait_dscnt, w.wait(Counter::ds, uint32_t(i.offset) & 63))
SOP(s_wait_kmcnt, w.wait(Counter::scalar, uint32_t(i.offset) & 31))
/// RDNA4 ISA: DS_CNT in [5:0], LOAD_CNT or STORE_CNT in [13:8].
SOP(s_wait_loadcnt_dscnt, w.wait(Counter::ds, uint32_t(i.offset) & 63);
    w.wait(Counter::load, uint32_t(i.offset) >> 8 & 63))
SOP(s_wait_storecnt_dscnt, w.wait(Counter::ds, uint32_t(i.offset) & 63);
    w.wait(Counter::store, uint32_t(i.offset) >> 8 & 63))
SOP(s_wait_idle, for (size_t k = 0; k < kCounters; ++k) w.wait(Counter(k), 0))

// --- Barriers ------------------------------------------------------------------------------------

namespace {

void signal(Wave& w) {
  w.waited_generation = w.group->generation + 1;
  w.has_signalled = true;
  if (++w.group->signalled < w.group->waves) return;
  w.group->signalled = 0;
  ++w.group->generation;
}

void wait_for_others(Wave& w, const Instruction& i) {
  if (!w.has_signalled) return w.fail(i, "the wave waits at a barrier that it did not signal");
  w.has_signalled = false;
  if (w.group->generation < w.waited_generation) w.state = WaveState::at_barrier;
}

}  // namespace

SOP(s_barrier, signal(w); wait_for_others(w, i))

/// RDNA4 ISA, "Barriers": barrier -1 is the workgroup's own.
void exec_s_barrier_signal(Wave& w, const Instruction& i) {
  if (i.src[0] != 193) return w.fail(i, "only barrier -1 is known");
  if (w.has_signalled) return w.fail(i, "the wave signals a barrier twice");
  signal(w);
}
void exec_s_barrier_wait(Wave& w, const Instruction& i) {
  if (i.offset != -1) return w.fail(i, "only barrier -1 is known");
  wait_for_others(w, i);
}

#undef SOP

}  // namespace leat::amd_card
