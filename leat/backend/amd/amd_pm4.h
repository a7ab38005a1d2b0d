// PM4, the packets of the command processor, for compute on gfx11 and gfx12: opcodes, fields,
// registers, and the words of each packet that this route sends.
// Sources: opcodes and the header: Linux amdgpu/nvd.h (PACKET3_*); registers: Linux
// asic_reg/gc/gc_11_0_0_offset.h and gc_12_0_0_offset.h (regCOMPUTE_*); fields of the compute
// engine: ROCm/hrx-system docs/reference/amd/gpu/pm4, whose tests have the same words. Wire test:
// tests/amd/amd_pm4_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "leat/base/numbers.h"
#include "leat/route/command_words.h"

namespace leat::pm4 {

inline constexpr uint32_t kNop = 0x10, kDispatchDirect = 0x15, kWaitRegMem = 0x3c,
                          kWaitRegMem64 = 0x93, kIndirectBuffer = 0x3f, kEventWrite = 0x46,
                          kReleaseMem = 0x49, kDmaData = 0x50, kAcquireMem = 0x58, kSetShReg = 0x76;
inline constexpr uint32_t kNopWord = 0xffff1000;  // a packet of one word

/// Type 3; bit 1 marks packets of the compute shader.
constexpr uint32_t header(uint32_t opcode, uint32_t body_dwords, bool compute = false) {
  return 3u << 30 | (body_dwords - 1) << 16 | opcode << 8 | (compute ? 2u : 0u);
}

// SET_SH_REG's offsets: a register's dword address less 0x2c00.
inline constexpr uint32_t kStart = 0x204;           // START_X, Y, Z, then
inline constexpr uint32_t kNumThread = 0x207;       // NUM_THREAD_X, Y, Z
inline constexpr uint32_t kProgram = 0x20c;         // PGM_LO, PGM_HI: address >> 8
inline constexpr uint32_t kScratchBase = 0x210;     // DISPATCH_SCRATCH_BASE_LO, HI: address >> 8
inline constexpr uint32_t kResources = 0x212;       // PGM_RSRC1, PGM_RSRC2
inline constexpr uint32_t kResourceLimits = 0x215;  // RESOURCE_LIMITS
inline constexpr uint32_t kTmpringSize = 0x218;     // TMPRING_SIZE
inline constexpr uint32_t kResources3 = 0x228;      // PGM_RSRC3
inline constexpr uint32_t kUserData = 0x240;        // USER_DATA_0 .. 15

/// STATIC_THREAD_MGMT_SE0 to 7: which compute units may run waves. The kernel's own compute rings
/// enable four of six engines: Linux amdgpu/gfx_v11_0.c.
struct UnitMasks {
  uint32_t offset, count;
};
inline constexpr UnitMasks kUnitMasks[] = {{0x216, 2}, {0x219, 2}, {0x22b, 4}};

inline constexpr uint32_t kPriv = 1u << 20;        // PGM_RSRC1
inline constexpr uint32_t kSgprsMask = 0xfu << 6;  // PGM_RSRC1: to be 0 from gfx10 on
inline constexpr uint32_t kLdsShift = 15;          // PGM_RSRC2.LDS_SIZE
inline constexpr uint32_t kLdsUnitsMask = 0x1ff;
inline constexpr uint32_t kLdsUnitBytes = 512;
inline constexpr uint32_t kSimdDestControl = 1u << 22;  // RESOURCE_LIMITS
inline constexpr uint32_t kScratchUnitBytes = 256;      // TMPRING_SIZE.WAVESIZE
inline constexpr uint32_t kWaveSizeShift = 12;          // TMPRING_SIZE: WAVES [11:0], WAVESIZE
inline constexpr uint32_t kScratchWavesMax = 0xfff;
inline constexpr uint32_t kScratchUnitsMax = 0x7fff;  // 15 bits on gfx11, 18 on gfx12

/// DISPATCH_INITIATOR: COMPUTE_SHADER_EN, FORCE_START_AT_000, CS_W32_EN; counts workgroups.
inline constexpr uint32_t kInitiator = 1u << 0 | 1u << 2 | 1u << 15;
inline constexpr uint32_t kPartialFlush = 0x407;       // EVENT_WRITE: CS_PARTIAL_FLUSH, index 4
inline constexpr uint32_t kReleasePlain = 0x528;       // RELEASE_MEM: BOTTOM_OF_PIPE_TS, index 5
inline constexpr uint32_t kReleaseValue = 0x43010000;  // 64 bits to L2, confirmed, no interrupt
inline constexpr uint32_t kReleaseClock = 0x63010000;  // the GPU's clock, the same way
inline constexpr uint32_t kBufferValid = 1u << 23;     // INDIRECT_BUFFER
inline constexpr uint32_t kBufferDwordsMax = 0xfffff;
inline constexpr uint32_t kWaitMemoryLeast = 0x15;  // WAIT_REG_MEM64: memory, >=
inline constexpr uint32_t kWaitMemoryEqual = 0x13;  // WAIT_REG_MEM: memory, ==
inline constexpr uint32_t kWaitInterval = 4;
inline constexpr uint32_t kWaitIntervalEqual = 1u << 31 | 10;  // OPTIMIZE_ACE_OFFLOAD
inline constexpr uint32_t kAcquireInterval = 10;
inline constexpr uint32_t kDmaL2ToL2 = 3u << 29 | 3u << 20;  // DMA_DATA: SRC_SEL, DST_SEL
inline constexpr uint32_t kDmaRawWait = 1u << 30;            // DMA_DATA's command: RAW_WAIT
inline constexpr uint32_t kDmaBytesMax = 1u << 25;           // of 26 bits; a power of two
inline constexpr uint64_t kClockNsPerTick = 10;              // 100 MHz

inline void partial_flush(CommandWords& words) {
  words.add({header(kEventWrite, 1), kPartialFlush});
}
/// Cache work on the whole address range; waits for nothing.
inline void acquire(CommandWords& words, uint32_t gcr_control) {
  words.add({header(kAcquireMem, 7), 0, 0xffffffff, 0xff, 0, 0, kAcquireInterval, gcr_control});
}
/// Once all work before is done: `cache` is its work on caches, `select` what is written.
inline void release(CommandWords& words, uint32_t cache, uint32_t select, uint64_t address,
                    uint64_t value) {
  words.add({header(kReleaseMem, 7), cache, select, low(address), high(address), low(value),
             high(value), 0});
}
inline constexpr uint32_t kReleaseValueWord = 5;
/// Consecutive registers from `offset` on.
inline void set_registers(CommandWords& words, uint32_t offset,
                          std::initializer_list<uint32_t> values) {
  words.add({header(kSetShReg, 1 + static_cast<uint32_t>(values.size()), true), offset});
  words.add(values);
}
inline void enable_all_units(CommandWords& words) {
  for (const UnitMasks& masks : kUnitMasks) {
    words.add({header(kSetShReg, 1 + masks.count, true), masks.offset});
    for (uint32_t i = 0; i < masks.count; ++i) words.add(~0u);
  }
}
inline void dispatch(CommandWords& words, const std::array<uint32_t, 3>& groups) {
  words.add({header(kDispatchDirect, 4, true), groups[0], groups[1], groups[2], kInitiator});
}
/// Fills up to a multiple of `dwords`.
inline void align(CommandWords& words, uint32_t dwords) {
  while (words.size() % dwords != 0) words.add(kNopWord);
}
/// From a ring: runs `dwords` at `address` and comes back.
inline void call_buffer(CommandWords& words, uint64_t address, uint32_t dwords) {
  words.add({header(kIndirectBuffer, 3, true), low(address), high(address), kBufferValid | dwords});
}
/// Of a call that stands at `word`, what it runs; of 0 dwords nothing.
inline void set_call(CommandWords& words, uint32_t word, uint64_t address, uint32_t dwords) {
  words.set(word, dwords > 0 ? header(kIndirectBuffer, 3, true) : kNopWord);
  words.set(word + 1, dwords > 0 ? low(address) : kNopWord);
  words.set(word + 2, dwords > 0 ? high(address) : kNopWord);
  words.set(word + 3, dwords > 0 ? kBufferValid | dwords : kNopWord);
}
/// Until the number at `address` has come to `value` (below 2^31: signs are not documented).
inline void wait_least(CommandWords& words, uint64_t address, uint64_t value) {
  words.add({header(kWaitRegMem64, 8), kWaitMemoryLeast, low(address), high(address), low(value),
             high(value), ~0u, ~0u, kWaitInterval});
}
inline constexpr uint32_t kWaitValueWord = 4;
/// Until the dword at `address` is `value`.
inline void wait_equal(CommandWords& words, uint64_t address, uint32_t value) {
  words.add({header(kWaitRegMem, 6), kWaitMemoryEqual, low(address), high(address), value, ~0u,
             kWaitIntervalEqual});
}
/// At most kDmaBytesMax; 0 bytes wait until those before are done.
inline void copy(CommandWords& words, uint64_t target, uint64_t source, uint32_t size_bytes) {
  words.add({header(kDmaData, 6), kDmaL2ToL2, low(source), high(source), low(target), high(target),
             kDmaRawWait | size_bytes});
}

}  // namespace leat::pm4
