// Packets of the copy engine (SDMA 6.0 of gfx11, 7.0 of gfx12), as this route sends them. Wire
// test: tests/amd/amd_sdma_route_test.cpp. Source: Linux amdgpu/sdma_v6_0_0_pkt_open.h (opcodes,
// fields), sdma_v6_0.c (a fence's MTYPE).
#pragma once

#include "leat/base/numbers.h"
#include "leat/route/command_words.h"

namespace leat::sdma {

inline constexpr uint32_t kNopWord = 0;
inline constexpr uint32_t kCopyLinear = 1, kFence = 5, kPollRegmem = 8;
inline constexpr uint32_t kCopyDwords = 7, kFenceDwords = 4, kPollDwords = 6;
inline constexpr uint32_t kFenceUncached = 3u << 16;          // MTYPE
inline constexpr uint32_t kPollEqual = 3u << 28 | 1u << 31;   // FUNC, MEM_POLL
inline constexpr uint32_t kPollRetry = 0xfffu << 16 | 10;     // without end; interval
inline constexpr uint64_t kCopyBytesMax = uint64_t{1} << 30;  // COUNT, from gfx10.3 on

/// Until the dword at `address` is `value`.
inline void wait_equal(CommandWords& words, uint64_t address, uint32_t value) {
  words.add({kPollRegmem | kPollEqual, low(address), high(address), value, ~0u, kPollRetry});
}
/// 1 to kCopyBytesMax bytes.
inline void copy(CommandWords& words, uint64_t target, uint64_t source, uint32_t size_bytes) {
  words.add({kCopyLinear, size_bytes - 1, 0, low(source), high(source), low(target), high(target)});
}
/// Once all before is done.
inline void fence(CommandWords& words, uint64_t address, uint32_t value) {
  words.add({kFence | kFenceUncached, low(address), high(address), value});
}

}  // namespace leat::sdma
