// What a push buffer is made of: method headers, the methods of the host, compute and copy classes
// that Leat sends, and the entries of the ring that point at push buffers.
// Source: NVIDIA/open-gpu-doc classes/host/clc56f.h, classes/compute/clcbc0.h, clc6c0.h,
// classes/dma-copy/clc8b5.h; manuals/ampere/ga100/dev_pbdma.ref.txt; open-gpu-kernel-modules
// clc86f.h, clc661.h. The numbers are the same from Ampere to Blackwell.
#pragma once

#include <cstdint>

namespace leat::method {

// --- Headers (clc56f.h, DMA section) ------------------------------------------------------------

inline constexpr uint32_t kIncrementing = 1;
inline constexpr uint32_t kNonIncrementing = 3;
inline constexpr uint32_t kImmediate = 4;
inline constexpr uint32_t kIncrementOnce = 5;
inline constexpr uint32_t kEndSegment = 7;

// The graphics runlist's fixed map; on copy runlists the number is ignored.
inline constexpr uint32_t kComputeSubchannel = 1;
inline constexpr uint32_t kCopySubchannel = 4;

constexpr uint32_t header(uint32_t subchannel, uint32_t method, uint32_t count) {
  return kIncrementing << 29 | count << 16 | subchannel << 13 | method >> 2;
}
/// The data (13 bits) stands in the header.
constexpr uint32_t immediate(uint32_t subchannel, uint32_t method, uint32_t data) {
  return kImmediate << 29 | data << 16 | subchannel << 13 | method >> 2;
}

// --- Host (below 0x100; the subchannel is ignored) ----------------------------------------------

inline constexpr uint32_t kSetObject = 0x00;
inline constexpr uint32_t kSemAddrLo = 0x5C;  // then ADDR_HI, PAYLOAD_LO, PAYLOAD_HI, EXECUTE
inline constexpr uint32_t kSemAddrHi = 0x60;
inline constexpr uint32_t kSemExecute = 0x6C;
// The dwords of a semaphore's five methods behind one header, and which is which.
inline constexpr uint32_t kSemaphoreDwords = 6;
inline constexpr uint32_t kSemaphoreAddress = 1;  // low, high
inline constexpr uint32_t kSemaphorePayload = 3;  // low, high
inline constexpr uint32_t kSemaphoreExecute = 5;

// SEM_EXECUTE
inline constexpr uint32_t kSemAcquireEqual = 0;
inline constexpr uint32_t kSemRelease = 1;
inline constexpr uint32_t kSemAcquireCircular = 3;     // signed difference >= 0
inline constexpr uint32_t kSemSwitchGroup = 1u << 12;  // let other channels run while it waits
inline constexpr uint32_t kSemReleaseWfi = 1u << 20;   // once the engine is idle, behind a barrier
inline constexpr uint32_t kSemPayload64 = 1u << 24;
inline constexpr uint32_t kSemTimestamp = 1u << 25;  // u64 ns at +8; 16-byte aligned

// --- Compute ------------------------------------------------------------------------------------

inline constexpr uint32_t kNoOperation = 0x100;
inline constexpr uint32_t kWaitForIdle = 0x110;
inline constexpr uint32_t kInvalidateTextureHeader = 0x244;  // _CACHE_NO_WFI
inline constexpr uint32_t kInvalidateSkedCaches = 0x298;
inline constexpr uint32_t kSharedWindowA = 0x2A0;  // SET_SHADER_SHARED_MEMORY_WINDOW_A, then _B
inline constexpr uint32_t kSendPcasA = 0x2B4;
inline constexpr uint32_t kSendSignalingPcas2B = 0x2C0;
inline constexpr uint32_t kLocalNonThrottledA = 0x2E4;  // SET_SHADER_LOCAL_MEMORY_NON_THROTTLED_A-C
inline constexpr uint32_t kLocalMemoryA = 0x790;        // SET_SHADER_LOCAL_MEMORY_A, then _B
inline constexpr uint32_t kLocalWindowA = 0x7B0;        // SET_SHADER_LOCAL_MEMORY_WINDOW_A, _B
inline constexpr uint32_t kInvalidateSampler = 0x1424;  // _CACHE_NO_WFI
inline constexpr uint32_t kInvalidateShaderCaches = 0x1698;  // _NO_WFI

inline constexpr uint32_t kPcasPrefetchSchedule = 9;
inline constexpr uint32_t kInvalidateInstruction = 0x1;
inline constexpr uint32_t kInvalidateData = 0x10;
inline constexpr uint32_t kInvalidateConstant = 0x1000;
inline constexpr uint32_t kMaxSmCount = 0xFF;  // of LOCAL_MEMORY_NON_THROTTLED_C

// --- Copy ---------------------------------------------------------------------------------------

inline constexpr uint32_t kLaunchDma = 0x300;
inline constexpr uint32_t kOffsetInUpper = 0x400;  // IN_UPPER, IN_LOWER, OUT_UPPER, OUT_LOWER
inline constexpr uint32_t kLineLengthIn = 0x418;   // then LINE_COUNT
/// Non-pipelined, flush, source and destination in pitch layout.
inline constexpr uint32_t kLinearCopy = 0x186;
inline constexpr uint64_t kCopyBytesMax = uint64_t{1} << 31;

// --- The ring -----------------------------------------------------------------------------------

/// A segment of `dwords` at `address` (4-byte aligned, below 2^40).
constexpr uint64_t ring_entry(uint64_t address, uint32_t dwords) {
  return address | uint64_t{dwords} << 42;
}
inline constexpr uint32_t kSegmentDwordsMax = (1u << 21) - 1;

inline constexpr uint32_t kUserdGpPut = 0x8C;      // USERD, clc86f.h
inline constexpr uint32_t kDoorbellOffset = 0x90;  // clc661.h NOTIFY_CHANNEL_PENDING
inline constexpr uint64_t kUsermodeBytes = 0x10000;

/// 4 GiB and 16 MiB of addresses that nothing is ever mapped at; the compute class sees shared and
/// local memory there. Values of tinygrad's, found to work on GH100.
inline constexpr uint64_t kSharedWindow = 0x729400000000;
inline constexpr uint64_t kLocalWindow = 0x729300000000;

}  // namespace leat::method
