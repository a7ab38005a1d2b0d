// Opcodes, fields and sizes of PM4 packets for compute. Sources: Linux
// drivers/gpu/drm/amd/amdgpu/nvd.h (PACKET3_*), and for fields of the compute engine
// ROCm/hrx-system docs/reference/amd/gpu/pm4. The checker has its own copy on purpose: constants
// shared with the backend would prove nothing about the backend's.
#pragma once

#include <cstdint>
#include <vector>

#include "leat/base/result.h"

namespace leat::amd_card {

inline constexpr uint32_t kNopOneWord = 0xffff1000;
inline constexpr uint32_t kComputeBit = 2;

inline constexpr uint32_t kOpNop = 0x10, kOpDispatchDirect = 0x15, kOpDispatchIndirect = 0x16,
                          kOpAtomicMem = 0x1e, kOpCondExec = 0x22, kOpWriteData = 0x37,
                          kOpWaitRegMem = 0x3c, kOpIndirectBuffer = 0x3f, kOpCopyData = 0x40,
                          kOpEventWrite = 0x46, kOpReleaseMem = 0x49, kOpDmaData = 0x50,
                          kOpAcquireMem = 0x58, kOpSetShReg = 0x76, kOpWaitRegMem64 = 0x93;

inline constexpr uint32_t kCsPartialFlush = 0x407;  // EVENT_WRITE: type 7, index 4

inline constexpr uint32_t kIbSizeMask = 0xfffff, kIbChain = 1 << 20, kIbValid = 1 << 23;

/// Names of SET_SH_REG offsets: register address - 0x2c00. gc_11_0_0_offset.h, regCOMPUTE_*.
inline constexpr uint32_t kStartX = 0x204, kNumThreadX = 0x207, kPgmLo = 0x20c, kPgmHi = 0x20d,
                          kScratchLo = 0x210, kScratchHi = 0x211, kRsrc1 = 0x212, kRsrc2 = 0x213,
                          kResourceLimits = 0x215, kCuMask0 = 0x216, kCuMask1 = 0x217,
                          kTmpringSize = 0x218, kCuMask2 = 0x219, kCuMask3 = 0x21a,
                          kRestartX = 0x21b, kRsrc3 = 0x228, kCuMask4 = 0x22b, kCuMask7 = 0x22e,
                          kDispatchInterleave = 0x22f, kUserData0 = 0x240, kUserData15 = 0x24f;

struct PacketShape {
  uint32_t opcode;
  const char* name;
  uint32_t body_min, body_max;  // words behind the header
  bool needs_compute_bit;
};

inline constexpr PacketShape kPacketShapes[] = {
    {kOpNop, "NOP", 1, 0x3fff, false},
    {kOpDispatchDirect, "DISPATCH_DIRECT", 4, 4, true},
    {kOpDispatchIndirect, "DISPATCH_INDIRECT", 3, 3, true},
    {kOpAtomicMem, "ATOMIC_MEM", 8, 8, false},
    {kOpCondExec, "COND_EXEC", 4, 4, false},
    {kOpWriteData, "WRITE_DATA", 4, 0x3fff, false},
    {kOpWaitRegMem, "WAIT_REG_MEM", 6, 6, false},
    {kOpIndirectBuffer, "INDIRECT_BUFFER", 3, 3, true},
    {kOpCopyData, "COPY_DATA", 5, 5, false},
    {kOpEventWrite, "EVENT_WRITE", 1, 1, false},
    {kOpReleaseMem, "RELEASE_MEM", 7, 7, false},
    {kOpDmaData, "DMA_DATA", 6, 6, false},
    {kOpAcquireMem, "ACQUIRE_MEM", 7, 7, false},
    {kOpSetShReg, "SET_SH_REG", 2, 0x100, true},
    {kOpWaitRegMem64, "WAIT_REG_MEM64", 8, 8, false},
};

inline uint32_t opcode_of(uint32_t header) { return header >> 8 & 0xff; }

inline const PacketShape* shape_of(uint32_t opcode) {
  for (const PacketShape& shape : kPacketShapes) {
    if (shape.opcode == opcode) return &shape;
  }
  return nullptr;
}

inline uint64_t address_of(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

inline uint32_t word_field(uint32_t word, uint32_t high, uint32_t low) {
  return uint32_t(word >> low & ((uint64_t{1} << (high - low + 1)) - 1));
}

/// INDIRECT_BUFFER: address [31:2], size [19:0], CHAIN 20, VALID 23, VMID [27:24] 0, policy
/// [29:28].
inline Result<void> check_indirect(const std::vector<uint32_t>& body) {
  const auto bad = [](const char* text) { return Error(ErrorKind::invalid_argument, text); };
  if ((body[0] & 3) != 0) return bad("the address is not a multiple of 4");
  if ((body[1] & 0xffff0000) != 0) return bad("the address has more than 48 bits");
  if ((body[2] & kIbValid) == 0) return bad("VALID is not set");
  if ((body[2] & ~(kIbSizeMask | kIbChain | kIbValid | 3U << 28)) != 0) {
    return bad("bits 22:21, 27:24 or 31:30 are set");
  }
  return {};
}

}  // namespace leat::amd_card
