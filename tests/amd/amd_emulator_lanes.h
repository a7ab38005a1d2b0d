// How vector instructions read and write their 32 lanes: one template per number of sources, over
// element types that know how they lie in registers. All lanes are computed, the enabled ones are
// written: the loops have 32 steps and no branch, so the compiler makes vectors of them.
// Input and output modifiers: "VOP3 Input Modifiers", "Output Modifiers" of both guides.
#pragma once

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tests/amd/amd_emulator_wave.h"

namespace leat::amd_card {

// Element types: F16 and the 16-bit whole numbers lie in half a register, chosen by OP_SEL.
struct F32 {
  using Value = float;
};
struct F64 {
  using Value = double;
};
struct F16 {
  using Value = float;
};
struct U32 {
  using Value = uint32_t;
};
struct I32 {
  using Value = int32_t;
};
struct U64 {
  using Value = uint64_t;
};
struct I64 {
  using Value = int64_t;
};
struct U16 {
  using Value = uint32_t;
};
struct I16 {
  using Value = int32_t;
};

template <class T>
inline constexpr bool kIsFloat =
    std::is_same_v<T, F32> || std::is_same_v<T, F64> || std::is_same_v<T, F16>;
template <class T>
inline constexpr bool kIsHalf =
    std::is_same_v<T, F16> || std::is_same_v<T, U16> || std::is_same_v<T, I16>;
template <class T>
inline constexpr bool kIsWide = sizeof(typename T::Value) == 8;

template <class T>
struct alignas(64) Lanes {
  typename T::Value at[kLanes];
};

inline float half_to_float(uint16_t bits) { return _cvtsh_ss(bits); }
/// Rounds as the wave's f16 mode says: MXCSR holds it while f16 instructions run.
inline uint16_t float_to_half(float value) { return _cvtss_sh(value, _MM_FROUND_CUR_DIRECTION); }
/// Rounded once from f64: through f32 to odd, so that the second rounding cannot err.
inline float double_to_odd(double value) {
  float narrow = float(value);
  if (std::isfinite(narrow) && double(narrow) != value) {
    uint32_t bits = std::bit_cast<uint32_t>(narrow);
    if (std::fabs(double(narrow)) > std::fabs(value)) --bits;
    narrow = std::bit_cast<float>(bits | 1U);
  }
  return narrow;
}

/// Sets the f64/f16 mode on the host while it lives, where it differs from the f32 mode.
class DoubleMode {
 public:
  explicit DoubleMode(const Wave& w)
      : is_set_(w.mode.denormal_single != w.mode.denormal_double ||
                w.mode.round_single != w.mode.round_double) {
    if (is_set_) saved_ = set_host_float_mode(w.mode.round_double, w.mode.denormal_double);
  }
  ~DoubleMode() {
    if (is_set_) restore_host_float_mode(saved_);
  }
  DoubleMode(const DoubleMode&) = delete;
  DoubleMode& operator=(const DoubleMode&) = delete;

 private:
  bool is_set_;
  uint32_t saved_ = 0;
};

/// f16 arithmetic runs in f32, where every f16 is a normal number: only results are flushed.
inline float flush_half(const Wave& w, float value, uint8_t bit) {
  const bool is_denormal = std::fabs(value) < 0x1p-14F && value != 0;
  return is_denormal && (w.mode.denormal_double & bit) == 0 ? std::copysign(0.0F, value) : value;
}

inline __m256i exec_mask(uint32_t exec, uint32_t part) {
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i lane = _mm256_set1_epi32(int((exec >> (8 * part)) & 0xff));
  return _mm256_cmpeq_epi32(_mm256_and_si256(lane, bits), bits);
}

/// Writes 32 words into register `r` where `exec` allows. The register was checked.
inline void write_words(Wave& w, uint32_t r, const uint32_t* words, uint32_t exec) {
  if (exec == 0xffffffff) {
    std::memcpy(w.v[r], words, sizeof(w.v[r]));
  } else {
    for (uint32_t part = 0; part < 4; ++part) {
      _mm256_maskstore_epi32(
          reinterpret_cast<int*>(w.v[r] + 8 * part), exec_mask(exec, part),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + 8 * part)));
    }
  }
  w.defined[r] |= exec;
}

/// The words of source `k` (32-bit), and of its second register for `high`.
inline void load_words(Wave& w, const Instruction& i, uint32_t k, uint32_t* words, bool high) {
  const uint16_t code = i.src[k];
  if (code == kLaneSource) {
    if (high) return w.fail(i, "a DPP source of 64 bits is not known");
    std::memcpy(words, w.dpp, sizeof(w.dpp));
    return;
  }
  const uint32_t r = code - kVgpr0 + (high ? 1U : 0U);
  if (!w.check_read(i, r, 1, w.exec())) return;
  std::memcpy(words, w.v[r], sizeof(w.v[r]));
}

/// An inline constant or literal for a 16-bit source: floats as f16. "Inline Constants".
inline uint32_t scalar_half(Wave& w, const Instruction& i, uint16_t code, bool is_float) {
  if (code >= 240 && code <= 248) {
    if (!is_float) w.fail(i, "a float constant for a 16-bit whole number is not known");
    if (code == 248) return 0x3118;
    return float_to_half(std::bit_cast<float>(w.scalar(i, code)));
  }
  return w.scalar(i, code);
}

template <class T>
inline void apply_modifiers(const Instruction& i, uint32_t k, Lanes<T>& lanes) {
  if constexpr (kIsFloat<T>) {
    const uint32_t bit = 1U << k;
    if (i.encoding == Format::vop3p || ((i.neg | i.abs) & bit) == 0) return;
    if ((i.abs & bit) != 0) {
      for (auto& value : lanes.at) value = std::fabs(value);
    }
    if ((i.neg & bit) != 0) {
      for (auto& value : lanes.at) value = -value;
    }
  }
}

/// 32 bits of each lane as T, a half of them where T has 16 bits.
template <class T>
inline typename T::Value from_word(uint32_t word, uint32_t shift) {
  if constexpr (std::is_same_v<T, F16>) {
    return half_to_float(uint16_t(word >> shift));
  } else if constexpr (std::is_same_v<T, U16>) {
    return (word >> shift) & 0xffff;
  } else if constexpr (std::is_same_v<T, I16>) {
    return int16_t(uint16_t(word >> shift));
  } else {
    return std::bit_cast<typename T::Value>(word);
  }
}

/// Source `k` of a vector instruction, modifiers applied.
template <class T>
inline void load(Wave& w, const Instruction& i, uint32_t k, Lanes<T>& lanes) {
  const uint16_t code = i.src[k];
  if (((i.neg | i.abs) >> k & 1) != 0 && !kIsFloat<T> && i.encoding != Format::vop3p) {
    return w.fail(i, "neg and abs are for floats");
  }
  if constexpr (kIsWide<T>) {
    if (code >= kVgpr0) {
      alignas(64) uint32_t low[kLanes] = {};
      alignas(64) uint32_t high[kLanes] = {};
      load_words(w, i, k, low, false);
      load_words(w, i, k, high, true);
      for (uint32_t l = 0; l < kLanes; ++l) {
        lanes.at[l] = std::bit_cast<typename T::Value>(uint64_t(low[l]) | uint64_t(high[l]) << 32);
      }
    } else {
      uint64_t bits = w.scalar64(i, code, std::is_same_v<T, I64>);
      if (code == kLiteral && std::is_same_v<T, F64>) bits = uint64_t(i.literal) << 32;
      for (auto& value : lanes.at) value = std::bit_cast<typename T::Value>(bits);
    }
  } else {
    const uint32_t shift = kIsHalf<T> && (i.op_sel >> k & 1) != 0 ? 16 : 0;
    if (code >= kVgpr0) {
      if constexpr (kIsHalf<T>) {
        alignas(64) uint32_t words[kLanes] = {};
        load_words(w, i, k, words, false);
        for (uint32_t l = 0; l < kLanes; ++l) lanes.at[l] = from_word<T>(words[l], shift);
      } else {
        load_words(w, i, k, reinterpret_cast<uint32_t*>(lanes.at), false);
      }
    } else {
      const uint32_t word = kIsHalf<T> ? scalar_half(w, i, code, kIsFloat<T>) : w.scalar(i, code);
      const auto value = from_word<T>(word, code < 128 ? shift : 0);
      for (auto& lane : lanes.at) lane = value;
    }
    if constexpr (std::is_same_v<T, F16>) {
      if ((w.mode.denormal_double & 1) == 0) {
        for (auto& value : lanes.at) value = flush_half(w, value, 1);
      }
    }
  }
  apply_modifiers<T>(i, k, lanes);
}

/// OMOD (times 2, 4, half) and CLAMP of a float result.
template <class T>
inline void apply_output(Wave& w, const Instruction& i, Lanes<T>& lanes) {
  using Value = typename T::Value;
  if (i.omod == 0 && !i.clamp) return;
  if constexpr (kIsFloat<T>) {
    const Value factor = i.omod == 1 ? Value(2) : i.omod == 2 ? Value(4) : Value(0.5);
    if (i.omod != 0) {
      for (auto& value : lanes.at) value *= factor;
    }
    if (!i.clamp) return;
    for (auto& value : lanes.at) {
      if (std::isnan(value)) {
        value = w.mode.dx10_clamp || w.generation == Generation::gfx12 ? Value(0) : value;
      } else {
        value = value < 0 ? Value(0) : value > 1 ? Value(1) : value;
      }
    }
  } else {
    w.fail(i, "clamp and omod of this instruction are not known");
  }
}

template <class T>
inline void store(Wave& w, const Instruction& i, Lanes<T>& lanes) {
  apply_output<T>(w, i, lanes);
  const uint32_t r = i.dst - kVgpr0;
  if (!w.check_write(i, r, kIsWide<T> ? 2 : 1) || w.state == WaveState::failed) return;
  const uint32_t exec = w.exec();
  alignas(64) uint32_t words[kLanes];
  if constexpr (kIsWide<T>) {
    for (uint32_t half = 0; half < 2; ++half) {
      for (uint32_t l = 0; l < kLanes; ++l) {
        words[l] = uint32_t(std::bit_cast<uint64_t>(lanes.at[l]) >> (32 * half));
      }
      write_words(w, r + half, words, exec);
    }
  } else if constexpr (kIsHalf<T>) {
    // The other half is kept.
    const uint32_t shift = (i.op_sel & 8) != 0 ? 16 : 0;
    for (uint32_t l = 0; l < kLanes; ++l) {
      uint32_t half;
      if constexpr (std::is_same_v<T, F16>) {
        half = float_to_half(flush_half(w, lanes.at[l], 2));
      } else {
        half = uint32_t(lanes.at[l]) & 0xffff;
      }
      words[l] = (w.v[r][l] & ~(0xffffU << shift)) | half << shift;
    }
    write_words(w, r, words, exec);
  } else {
    write_words(w, r, reinterpret_cast<const uint32_t*>(lanes.at), exec);
  }
}

/// True where a type's arithmetic must run in the f64/f16 mode.
template <class D>
inline constexpr bool kUsesDoubleMode = std::is_same_v<D, F64> || std::is_same_v<D, F16>;

template <class D, class A, class F>
inline void unary(Wave& w, const Instruction& i, F function) {
  Lanes<A> a{};
  Lanes<D> d;
  load<A>(w, i, 0, a);
  for (uint32_t l = 0; l < kLanes; ++l) d.at[l] = function(a.at[l]);
  store<D>(w, i, d);
}

template <class D, class A, class B, class F>
inline void binary(Wave& w, const Instruction& i, F function) {
  Lanes<A> a{};
  Lanes<B> b{};
  Lanes<D> d;
  load<A>(w, i, 0, a);
  load<B>(w, i, 1, b);
  for (uint32_t l = 0; l < kLanes; ++l) d.at[l] = function(a.at[l], b.at[l]);
  store<D>(w, i, d);
}

template <class D, class A, class B, class C, class F>
inline void ternary(Wave& w, const Instruction& i, F function) {
  Lanes<A> a{};
  Lanes<B> b{};
  Lanes<C> c{};
  Lanes<D> d;
  load<A>(w, i, 0, a);
  load<B>(w, i, 1, b);
  load<C>(w, i, 2, c);
  for (uint32_t l = 0; l < kLanes; ++l) d.at[l] = function(a.at[l], b.at[l], c.at[l]);
  store<D>(w, i, d);
}

/// Bit l is whether lane l of `flags` is not 0.
inline uint32_t mask_of(const Lanes<U32>& flags) {
  uint32_t mask = 0;
  for (uint32_t l = 0; l < kLanes; ++l) mask |= (flags.at[l] != 0 ? 1U : 0U) << l;
  return mask;
}

inline bool is_signalling(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::isnan(value) && (bits & 0x00400000) == 0;
}
inline bool is_signalling(double value) {
  return std::isnan(value) && (std::bit_cast<uint64_t>(value) & 0x0008000000000000) == 0;
}

/// V_MIN / V_MAX and their *_NUM forms: the number when one is a NaN; -0 is below +0.
template <class T>
inline T minimum_number(T a, T b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  return a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class T>
inline T maximum_number(T a, T b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  return a > b || (a == b && !std::signbit(a)) ? a : b;
}
/// V_MINIMUM / V_MAXIMUM of gfx12: a NaN when one is.
template <class T>
inline T minimum_nan(T a, T b) {
  return std::isnan(a) ? a : std::isnan(b) ? b : minimum_number(a, b);
}
template <class T>
inline T maximum_nan(T a, T b) {
  return std::isnan(a) ? a : std::isnan(b) ? b : maximum_number(a, b);
}
template <class T>
inline T median(T a, T b, T c) {
  return a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
}

/// Float to whole number: truncated, saturated, 0 for a NaN.
template <class To, class From>
inline To saturate_to(From value) {
  if (std::isnan(value)) return 0;
  constexpr double low = double(std::numeric_limits<To>::min());
  constexpr double high = double(std::numeric_limits<To>::max());
  const double wide = std::trunc(double(value));
  return wide <= low    ? std::numeric_limits<To>::min()
         : wide >= high ? std::numeric_limits<To>::max()
                        : To(wide);
}

}  // namespace leat::amd_card
