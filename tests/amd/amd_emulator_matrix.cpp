// WMMA: D = A * B + C on 16x16x16 fragments that lie over the lanes of a wave. RDNA3 ISA, "Wave
// Matrix Multiply Accumulate (WMMA)": A and B are held twice, in lanes 0-15 and 16-31. RDNA4 ISA,
// the same section: each half of the wave holds 8 of the 16 steps of k. Sums are taken in order of
// k in f32, each product and sum rounded once; hardware's order is not documented, so results of
// f16 and bf16 agree within a rounding per step, those of whole numbers exactly.
#include <bit>

#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

constexpr uint32_t kSide = 16;

struct Fragment {
  float at[kSide][kSide];  // A: [row][k], B: [column][k]
};

/// Reads a fragment of 16-bit elements. `widen` makes a float of 16 bits.
template <class F>
bool load_fragment(Wave& w, const Instruction& i, uint32_t k_source, F widen, Fragment& out) {
  const bool is_gfx12 = w.generation == Generation::gfx12;
  const uint32_t r = i.src[k_source] - kVgpr0;
  if (!w.check_read(i, r, is_gfx12 ? 4 : 8, ~0U)) return false;
  for (uint32_t row = 0; row < kSide; ++row) {
    for (uint32_t k = 0; k < kSide; ++k) {
      const uint32_t lane = is_gfx12 ? row + 16 * (k / 8) : row;
      const uint32_t word = is_gfx12 ? k % 8 / 2 : k / 2;
      const uint32_t bits = w.v[r + word][lane];
      if (!is_gfx12 && bits != w.v[r + word][lane + 16]) {
        w.fail(i, fmt::format("v{} differs between lanes {} and {}, which both hold row {}",
                              r + word, lane, lane + 16, row));
        return false;
      }
      out.at[row][k] = widen((bits >> (16 * (k & 1))) & 0xffff);
    }
  }
  return true;
}

/// Register and lane of row m, column n of C and D with 32-bit elements.
struct Place {
  uint32_t r, lane;
};
Place place_of(const Wave& w, uint32_t m, uint32_t n) {
  if (w.generation == Generation::gfx12) return {m % 8, n + 16 * (m / 8)};
  return {m / 2, n + 16 * (m & 1)};
}

bool is_allowed(Wave& w, const Instruction& i, bool negs_are_signs) {
  if (w.exec() != ~0U) {
    w.fail(i, "WMMA needs all lanes enabled");
  } else if (i.src[0] < kVgpr0 || i.src[1] < kVgpr0) {
    w.fail(i, "A and B must be vector registers");
  } else if ((!negs_are_signs && i.neg != 0) || i.abs != 0) {
    w.fail(i, "neg of WMMA is not known");
  }
  return w.state != WaveState::failed;
}

/// C's 32-bit word for row m, column n: a register, or one constant for all.
uint32_t word_of_c(Wave& w, const Instruction& i, uint32_t m, uint32_t n) {
  if (i.src[2] < kVgpr0) return w.scalar(i, i.src[2]);
  const Place at = place_of(w, m, n);
  return w.v[i.src[2] - kVgpr0 + at.r][at.lane];
}

void multiply(const Fragment& a, const Fragment& b, float (&sums)[kSide][kSide]) {
  for (uint32_t m = 0; m < kSide; ++m) {
    for (uint32_t n = 0; n < kSide; ++n) {
      for (uint32_t k = 0; k < kSide; ++k) {
        sums[m][n] = std::fma(a.at[m][k], b.at[n][k], sums[m][n]);
      }
    }
  }
}

void write_word(Wave& w, uint32_t r, uint32_t lane, uint32_t word) {
  w.v[r][lane] = word;
  w.defined[r] |= 1U << lane;
}

template <class F>
void wmma_f32(Wave& w, const Instruction& i, F widen) {
  Fragment a, b;
  if (!is_allowed(w, i, false) || !load_fragment(w, i, 0, widen, a) ||
      !load_fragment(w, i, 1, widen, b)) {
    return;
  }
  const uint32_t d = i.dst - kVgpr0;
  if (i.src[2] >= kVgpr0 && !w.check_read(i, uint32_t(i.src[2] - kVgpr0), 8, ~0U)) return;
  if (!w.check_write(i, d, 8)) return;
  float sums[kSide][kSide];
  for (uint32_t m = 0; m < kSide; ++m) {
    for (uint32_t n = 0; n < kSide; ++n) sums[m][n] = std::bit_cast<float>(word_of_c(w, i, m, n));
  }
  multiply(a, b, sums);
  for (uint32_t m = 0; m < kSide; ++m) {
    for (uint32_t n = 0; n < kSide; ++n) {
      const Place at = place_of(w, m, n);
      write_word(w, d + at.r, at.lane, std::bit_cast<uint32_t>(sums[m][n]));
    }
  }
}

/// 16-bit results. gfx11: one per register, in the half that OP_SEL[2] names. gfx12: pairs of rows.
template <class Widen, class Narrow>
void wmma_16(Wave& w, const Instruction& i, Widen widen, Narrow narrow) {
  Fragment a, b;
  if (!is_allowed(w, i, false) || !load_fragment(w, i, 0, widen, a) ||
      !load_fragment(w, i, 1, widen, b)) {
    return;
  }
  const bool is_gfx12 = w.generation == Generation::gfx12;
  const uint32_t registers = is_gfx12 ? 4 : 8;
  const uint32_t d = i.dst - kVgpr0;
  if (i.src[2] >= kVgpr0 && !w.check_read(i, uint32_t(i.src[2] - kVgpr0), registers, ~0U)) return;
  if (!w.check_write(i, d, registers)) return;
  const auto place = [&](uint32_t m, uint32_t n, uint32_t& shift) {
    Place at = place_of(w, m, n);
    shift = is_gfx12 ? 16 * (at.r & 1) : ((i.op_sel & 4) != 0 ? 16 : 0);
    if (is_gfx12) at.r /= 2;
    return at;
  };
  float sums[kSide][kSide];
  for (uint32_t m = 0; m < kSide; ++m) {
    for (uint32_t n = 0; n < kSide; ++n) {
      uint32_t shift;
      const Place at = place(m, n, shift);
      const bool is_constant = i.src[2] < kVgpr0;
      const uint32_t word = is_constant ? scalar_half(w, i, i.src[2], true)
                                        : w.v[i.src[2] - kVgpr0 + at.r][at.lane] >> shift;
      sums[m][n] = widen(word & 0xffff);
    }
  }
  multiply(a, b, sums);
  for (uint32_t m = 0; m < kSide; ++m) {
    for (uint32_t n = 0; n < kSide; ++n) {
      uint32_t shift;
      const Place at = place(m, n, shift);
      const uint32_t old = w.v[d + at.r][at.lane] & ~(0xffffU << shift);
      write_word(w, d + at.r, at.lane, old | uint32_t(narrow(sums[m][n])) << shift);
    }
  }
}

/// 8-bit whole numbers; NEG[0] and NEG[1] say that A and B are signed.
void wmma_i32(Wave& w, const Instruction& i) {
  if (!is_allowed(w, i, true)) return;
  const bool is_gfx12 = w.generation == Generation::gfx12;
  const uint32_t registers = is_gfx12 ? 2 : 4;
  const uint32_t d = i.dst - kVgpr0;
  if (i.clamp) return w.fail(i, "clamp of WMMA is not known");
  for (uint32_t k = 0; k < 2; ++k) {
    if (!w.check_read(i, uint32_t(i.src[k] - kVgpr0), registers, ~0U)) return;
  }
  if (i.src[2] >= kVgpr0 && !w.check_read(i, uint32_t(i.src[2] - kVgpr0), 8, ~0U)) return;
  if (!w.check_write(i, d, 8)) return;
  const auto element = [&](uint32_t source, uint32_t row, uint32_t k) -> int32_t {
    const uint32_t r = i.src[source] - kVgpr0;
    const uint32_t lane = is_gfx12 ? row + 16 * (k / 8) : row;
    const uint32_t word = w.v[r + (is_gfx12 ? k % 8 / 4 : k / 4)][lane];
    const uint8_t byte = uint8_t(word >> (8 * (k % 4)));
    return (i.neg >> source & 1) != 0 ? int8_t(byte) : int32_t(byte);
  };
  uint32_t sums[kSide][kSide];
  for (uint32_t m = 0; m < kSide; ++m) {
    for (uint32_t n = 0; n < kSide; ++n) {
      sums[m][n] = word_of_c(w, i, m, n);
      for (uint32_t k = 0; k < kSide; ++k) {
        sums[m][n] += uint32_t(element(0, m, k) * element(1, n, k));
      }
    }
  }
  for (uint32_t m = 0; m < kSide; ++m) {
    for (uint32_t n = 0; n < kSide; ++n) {
      const Place at = place_of(w, m, n);
      write_word(w, d + at.r, at.lane, sums[m][n]);
    }
  }
}

float widen_half(uint32_t bits) { return half_to_float(uint16_t(bits)); }
float widen_bfloat(uint32_t bits) { return std::bit_cast<float>(bits << 16); }
/// To nearest, ties to even.
uint16_t narrow_bfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace

void exec_v_wmma_f32_16x16x16_f16(Wave& w, const Instruction& i) { wmma_f32(w, i, widen_half); }
void exec_v_wmma_f32_16x16x16_bf16(Wave& w, const Instruction& i) { wmma_f32(w, i, widen_bfloat); }
void exec_v_wmma_f16_16x16x16_f16(Wave& w, const Instruction& i) {
  wmma_16(w, i, widen_half, float_to_half);
}
void exec_v_wmma_bf16_16x16x16_bf16(Wave& w, const Instruction& i) {
  wmma_16(w, i, widen_bfloat, narrow_bfloat);
}
void exec_v_wmma_i32_16x16x16_iu8(Wave& w, const Instruction& i) { wmma_i32(w, i); }

}  // namespace leat::amd_card
