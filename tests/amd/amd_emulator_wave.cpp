#include "tests/amd/amd_emulator_wave.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace leat::amd_card {

namespace {

/// Inline constants 240..248 as f32. RDNA3 ISA, "Inline Constants".
constexpr float kInlineFloats[9] = {
    0.5F, -0.5F, 1.0F, -1.0F, 2.0F, -2.0F, 4.0F, -4.0F, 0.15915494309189532F};

bool is_register(uint16_t code) { return code < 128 && code != kNull; }

}  // namespace

void Wave::fail(const Instruction& instruction, const std::string& text) {
  if (state == WaveState::failed) return;
  state = WaveState::failed;
  std::string words;
  for (uint32_t k = 0; k < std::min<uint32_t>(instruction.size_dwords, 3); ++k) {
    words += fmt::format(" {:08x}", instruction.words[k]);
  }
  error = fmt::format("{} at 0x{:x} (words{}): {}",
                      instruction.opcode != nullptr ? instruction.opcode->name : "instruction",
                      instruction.address, words, text);
}

uint32_t Wave::scalar(const Instruction& i, uint16_t code) {
  if (is_register(code)) {
    if (!s_defined[code]) {
      fail(i, fmt::format("s{} is read {}", code,
                          s_busy[code] != 0 ? "before a wait covers the load that writes it"
                                            : "but was never written"));
    }
    return s[code];
  }
  if (code == kNull) return 0;
  if (code <= 192) return uint32_t(code) - 128;
  if (code <= 208) return uint32_t(192 - int(code));
  if (code == 235) return 1U << 16;  // SRC_SHARED_BASE: the high half of the aperture's address
  if (code == 236) return (1U << 16) - 1 + 0;
  if (code == 237) return 2U << 16;  // SRC_PRIVATE_BASE
  if (code >= 240 && code <= 248) {
    uint32_t bits;
    std::memcpy(&bits, &kInlineFloats[code - 240], 4);
    return bits;
  }
  if (code == kScc) return scc ? 1 : 0;
  if (code == kLiteral) return i.literal;
  fail(i, fmt::format("operand code {} is not known", code));
  return 0;
}

uint64_t Wave::scalar64(const Instruction& i, uint16_t code, bool is_signed) {
  if (code == kNull) return 0;
  if (is_register(code)) {
    return uint64_t(scalar(i, code)) | uint64_t(scalar(i, uint16_t(code + 1))) << 32;
  }
  if (code >= 240 && code <= 248) {
    const double value = code == 248 ? 0.15915494309189532 : double(kInlineFloats[code - 240]);
    uint64_t bits;
    std::memcpy(&bits, &value, 8);
    return bits;
  }
  // The apertures: the low half of the pair is 0, the high half is the register's value.
  if (code == 235 || code == 237) return uint64_t(scalar(i, code)) << 32;
  const uint32_t low = scalar(i, code);
  if (code == kLiteral && !is_signed) return low;
  return uint64_t(int64_t(int32_t(low)));
}

void Wave::set_scalar(const Instruction& i, uint16_t code, uint32_t value) {
  if (code == kNull) return;
  if (code >= 128 || (code == kExec + 1 && value != 0)) {
    return fail(i, fmt::format("scalar destination {} cannot be written in wave32", code));
  }
  if (s_busy[code] != 0) {
    return fail(i,
                fmt::format("s{} is written before a wait covers the load that writes it", code));
  }
  s[code] = value;
  s_defined[code] = true;
}

void Wave::set_scalar64(const Instruction& i, uint16_t code, uint64_t value) {
  if (code == kNull) return;
  set_scalar(i, code, uint32_t(value));
  set_scalar(i, uint16_t(code + 1), uint32_t(value >> 32));
}

bool Wave::check_read(const Instruction& i, uint32_t first, uint32_t count, uint32_t lanes) {
  for (uint32_t r = first; r < first + count; ++r) {
    if (r >= vgprs) {
      fail(i, fmt::format("v{} is outside the {} registers allocated", r, vgprs));
      return false;
    }
    if ((lanes & ~defined[r]) == 0) continue;
    fail(i, fmt::format("v{} is read {} (lanes 0x{:08x})", r,
                        busy[r] != 0 ? "before a wait covers the load that writes it"
                                     : "but was never written",
                        lanes & ~defined[r]));
    return false;
  }
  return true;
}

bool Wave::check_write(const Instruction& i, uint32_t first, uint32_t count) {
  for (uint32_t r = first; r < first + count; ++r) {
    if (r >= vgprs) {
      fail(i, fmt::format("v{} is outside the {} registers allocated", r, vgprs));
      return false;
    }
    if (busy[r] == 0) continue;
    fail(i, fmt::format("v{} is written before a wait covers the load that writes it", r));
    return false;
  }
  return true;
}

void Wave::begin_load(const Instruction& i, Counter counter, const Pending& entry) {
  PendingQueue& queue = pending[size_t(counter)];
  if (queue.count == PendingQueue::kLimit) {
    // Counters have at most 6 bits ("S_WAITCNT"): hardware would have waited long before.
    wait(counter, PendingQueue::kLimit - 1);
  }
  if (entry.first != kNoRegister && (entry.first & kScalarRegister) != 0) {
    const uint32_t first = entry.first & ~uint32_t{kScalarRegister};
    for (uint32_t r = first; r < first + entry.count; ++r) {
      if (s_busy[r] != 0) return fail(i, fmt::format("s{} has a load under way", r));
      s_defined[r] = false;
      ++s_busy[r];
    }
  } else if (entry.first != kNoRegister) {
    for (uint32_t r = entry.first; r < uint32_t(entry.first) + entry.count; ++r) {
      defined[r] &= ~entry.lanes;
      ++busy[r];
    }
  }
  queue.entries[(queue.head + queue.count++) % PendingQueue::kLimit] = entry;
}

void Wave::wait(Counter counter, uint32_t left) {
  PendingQueue& queue = pending[size_t(counter)];
  if (left > 0) {
    for (uint32_t k = 0; k < queue.count; ++k) {
      if (queue.entries[(queue.head + k) % PendingQueue::kLimit].unordered) return;
    }
  }
  if (counter == Counter::ds && queue.count > left && !held.empty()) release_held();
  while (queue.count > left) {
    const Pending entry = queue.entries[queue.head];
    queue.head = (queue.head + 1) % PendingQueue::kLimit;
    --queue.count;
    if (entry.first == kNoRegister) continue;
    if ((entry.first & kScalarRegister) != 0) {
      const uint32_t first = entry.first & ~uint32_t{kScalarRegister};
      for (uint32_t r = first; r < first + entry.count; ++r) {
        s_defined[r] = true;
        --s_busy[r];
      }
    } else {
      for (uint32_t r = entry.first; r < uint32_t(entry.first) + entry.count; ++r) {
        defined[r] |= entry.lanes;
        --busy[r];
      }
    }
  }
}

void Wave::release_held() {
  for (const HeldStore& store : held) {
    std::memcpy(group->local.data() + store.address, store.bytes, store.size);
    std::memset(group->local_defined.data() + store.address, 1, store.size);
  }
  held.clear();
}

void Wave::reset(uint32_t vgprs_allocated, uint32_t scratch_bytes_per_lane) {
  vgprs = vgprs_allocated;
  std::fill(&v[0][0], &v[0][0] + size_t{vgprs} * kLanes, kPoison);
  std::memset(defined, 0, sizeof(defined));
  std::memset(busy, 0, sizeof(busy));
  std::fill(std::begin(s), std::end(s), kPoison);
  std::memset(s_defined, 0, sizeof(s_defined));
  std::memset(s_busy, 0, sizeof(s_busy));
  for (PendingQueue& queue : pending) queue.head = queue.count = 0;
  held.clear();
  scratch_bytes = scratch_bytes_per_lane;
  scratch.assign(size_t{scratch_bytes / 4} * kLanes, kPoison);
  scratch_defined.assign(scratch.size(), 0);
  scc = false;
  state = WaveState::running;
  waited_generation = 0;
  has_signalled = false;
  last_range = nullptr;
  cycles = 0;
  error.clear();
}

uint32_t set_host_float_mode(uint8_t round, uint8_t denormal) {
  constexpr uint32_t kRoundBits[4] = {_MM_ROUND_NEAREST, _MM_ROUND_UP, _MM_ROUND_DOWN,
                                      _MM_ROUND_TOWARD_ZERO};
  const uint32_t saved = _mm_getcsr();
  uint32_t next = (saved & ~uint32_t{_MM_ROUND_MASK | 0x8040}) | kRoundBits[round & 3];
  if ((denormal & 1) == 0) next |= 0x0040;  // denormals are zero
  if ((denormal & 2) == 0) next |= 0x8000;  // flush to zero
  _mm_setcsr(next);
  return saved;
}

void restore_host_float_mode(uint32_t saved) { _mm_setcsr(saved); }

}  // namespace leat::amd_card
