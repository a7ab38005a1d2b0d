// What moves values between lanes: V_READLANE and its kin, V_PERMLANE*, DPP, and V_MBCNT, which
// counts lanes below. RDNA3 ISA, "DPP", "V_PERMLANE16_B32", "DS_PERMUTE" (the latter in
// amd_emulator_local.cpp). A lane that is off gives no value, unless FI (fetch inactive) is set.
#include <bit>

#include "tests/amd/amd_emulator_dpp.h"
#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

void exec_v_readfirstlane_b32(Wave& w, const Instruction& i) {
  if (i.src[0] < kVgpr0) return w.set_scalar(i, i.dst, w.scalar(i, i.src[0]));
  const uint32_t lane = w.exec() == 0 ? 0 : uint32_t(std::countr_zero(w.exec()));
  const uint32_t r = i.src[0] - kVgpr0;
  if (!w.check_read(i, r, 1, 1U << lane)) return;
  w.set_scalar(i, i.dst, w.v[r][lane]);
}

void exec_v_readlane_b32(Wave& w, const Instruction& i) {
  const uint32_t lane = w.scalar(i, i.src[1]) & 31;
  if (i.src[0] < kVgpr0) return w.fail(i, "the source must be a vector register");
  const uint32_t r = i.src[0] - kVgpr0;
  if (!w.check_read(i, r, 1, 1U << lane)) return;
  w.set_scalar(i, i.dst, w.v[r][lane]);
}

/// Compilers save scalar registers so, and of a group of them also those that hold nothing.
void exec_v_writelane_b32(Wave& w, const Instruction& i) {
  const uint16_t from = i.src[0];
  const bool holds_nothing = from < kNull && !w.s_defined[from] && w.s_busy[from] == 0;
  const uint32_t value = holds_nothing ? w.s[from] : w.scalar(i, from);
  const uint32_t lane = w.scalar(i, i.src[1]) & 31;
  const uint32_t r = i.dst - kVgpr0;
  if (!w.check_write(i, r, 1)) return;
  w.v[r][lane] = value;
  w.defined[r] |= 1U << lane;
}

void exec_v_mbcnt_lo_u32_b32(Wave& w, const Instruction& i) {
  Lanes<U32> a{}, b{};
  load<U32>(w, i, 0, a);
  load<U32>(w, i, 1, b);
  for (uint32_t l = 0; l < kLanes; ++l) {
    b.at[l] += uint32_t(std::popcount(a.at[l] & ((1U << l) - 1)));
  }
  store<U32>(w, i, b);
}
/// The high 32 lanes of a wave64: in a wave32 none lies below.
void exec_v_mbcnt_hi_u32_b32(Wave& w, const Instruction& i) {
  binary<U32, U32, U32>(w, i, [](uint32_t, uint32_t b) { return b; });
}

namespace {

/// Takes lane `from(l)` of register `r`; lanes without a valid source keep what they have, or
/// become 0 with `bound_control`. OP_SEL 0 is FI, 1 is bound control ("V_PERMLANE16_B32").
template <class F>
void permute_lanes(Wave& w, const Instruction& i, F from) {
  if (i.src[0] < kVgpr0) return w.fail(i, "the source must be a vector register");
  const uint32_t r = i.src[0] - kVgpr0;
  const bool fetches_inactive = (i.op_sel & 1) != 0;
  uint32_t write = w.exec();
  uint32_t read = 0;
  alignas(64) uint32_t words[kLanes] = {};
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    const uint32_t source = from(l);
    if (fetches_inactive || (w.exec() >> source & 1) != 0) {
      read |= 1U << source;
      words[l] = w.v[r][source];
    } else if ((i.op_sel & 2) == 0) {
      write &= ~(1U << l);
    }
  }
  if (!w.check_read(i, r, 1, read) || !w.check_write(i, uint32_t(i.dst - kVgpr0), 1)) return;
  write_words(w, uint32_t(i.dst - kVgpr0), words, write);
}

template <bool kOtherRow>
void permlane16(Wave& w, const Instruction& i) {
  const uint64_t select = uint64_t(w.scalar(i, i.src[1])) | uint64_t(w.scalar(i, i.src[2])) << 32;
  permute_lanes(w, i, [&](uint32_t l) {
    const uint32_t row = kOtherRow ? (l & 16) ^ 16 : l & 16;
    return row | uint32_t(select >> (4 * (l & 15)) & 15);
  });
}

template <bool kOtherRow>
void permlane16_var(Wave& w, const Instruction& i) {
  Lanes<U32> select{};
  load<U32>(w, i, 1, select);
  permute_lanes(w, i, [&](uint32_t l) {
    return ((kOtherRow ? (l & 16) ^ 16 : l & 16) | (select.at[l] & 15));
  });
}

}  // namespace

void exec_v_permlane16_b32(Wave& w, const Instruction& i) { permlane16<false>(w, i); }
void exec_v_permlanex16_b32(Wave& w, const Instruction& i) { permlane16<true>(w, i); }
void exec_v_permlane16_var_b32(Wave& w, const Instruction& i) { permlane16_var<false>(w, i); }
void exec_v_permlanex16_var_b32(Wave& w, const Instruction& i) { permlane16_var<true>(w, i); }

void exec_v_swap_b32(Wave& w, const Instruction& i) {
  const uint32_t a = i.dst - kVgpr0, b = i.src[0] - kVgpr0;
  if (!w.check_read(i, a, 1, w.exec()) || !w.check_read(i, b, 1, w.exec())) return;
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) != 0) std::swap(w.v[a][l], w.v[b][l]);
  }
}

// --- DPP -----------------------------------------------------------------------------------------

namespace {

/// Source lane of lane `l`, or -1 when DPP_CTRL reaches outside its row. "DPP16".
int dpp16_source(uint32_t control, uint32_t l) {
  const uint32_t row = l & 16, in_row = l & 15, n = control & 15;
  if (control < 0x100) return int((l & ~3U) | (control >> (2 * (l & 3)) & 3));
  if (control >= 0x101 && control <= 0x10f) return in_row + n > 15 ? -1 : int(l + n);
  if (control >= 0x111 && control <= 0x11f) return in_row < n ? -1 : int(l - n);
  if (control >= 0x121 && control <= 0x12f) return int(row | ((in_row - n) & 15));
  if (control == 0x140) return int(row | (15 - in_row));
  if (control == 0x141) return int((l & 24) | (7 - (l & 7)));
  if (control >= 0x150 && control <= 0x15f) return int(row | n);
  if (control >= 0x160 && control <= 0x16f) return int(row | (in_row ^ n));
  return -2;
}

struct DppLanes {
  uint32_t write = 0;  // lanes that the instruction may write
  uint32_t read = 0;   // lanes of the source that were fetched
  bool is_known = true;
};

DppLanes gather(Wave& w, const Instruction& i) {
  const bool is_dpp16 = i.dpp_code == kDpp16;
  const bool fetches_inactive = is_dpp16 ? (i.dpp_word >> 18 & 1) != 0 : i.dpp_code == kDpp8Fi;
  const bool zero_fills = is_dpp16 && (i.dpp_word >> 19 & 1) != 0;
  const uint32_t bank_mask = is_dpp16 ? i.dpp_word >> 24 & 15 : 15;
  const uint32_t row_mask = is_dpp16 ? i.dpp_word >> 28 : 15;
  const uint32_t r = i.dpp_word & 255;
  DppLanes lanes;
  for (uint32_t l = 0; l < kLanes; ++l) {
    w.dpp[l] = 0;
    const int source = is_dpp16 ? dpp16_source(i.dpp_word >> 8 & 0x1ff, l)
                                : int((l & 24) | (i.dpp_word >> (8 + 3 * (l & 7)) & 7));
    if (source == -2) lanes.is_known = false;
    const bool is_masked = (row_mask >> (l >> 4) & 1) == 0 || (bank_mask >> (l >> 2 & 3) & 1) == 0;
    if ((w.exec() >> l & 1) == 0 || is_masked) continue;
    const bool is_valid =
        source >= 0 && (fetches_inactive || (w.exec() >> uint32_t(source) & 1) != 0);
    if (is_valid) {
      w.dpp[l] = w.v[r][source];
      lanes.read |= 1U << uint32_t(source);
    }
    // DPP8 has no bound control: a lane that is off gives 0.
    if (is_valid || zero_fills || !is_dpp16) lanes.write |= 1U << l;
  }
  return lanes;
}

}  // namespace

void exec_dpp(Wave& w, const Instruction& i) {
  const DppLanes lanes = gather(w, i);
  if (!lanes.is_known) return w.fail(i, "the DPP control is not known");
  if (!w.check_read(i, i.dpp_word & 255, 1, lanes.read)) return;
  Instruction inner = i;
  inner.execute = i.inner;
  inner.src[0] = kLaneSource;
  const uint32_t exec = w.exec();
  w.s[kExec] = lanes.write;
  i.inner(w, inner);
  w.s[kExec] = exec;
}

}  // namespace leat::amd_card
