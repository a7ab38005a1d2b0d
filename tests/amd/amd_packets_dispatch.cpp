// SET_SH_REG and the dispatch packets: registers persist between dispatches of a queue, and a
// launch is what they hold when its packet is reached.
#include <fmt/format.h>

#include <cstring>

#include "tests/amd/amd_packets.h"
#include "tests/amd/amd_packets_words.h"

namespace leat::amd_card {

namespace {

/// Registers that compute packets may set, with the bits that exist. gc_11_0_0_sh_mask.h and
/// gc_12_0_0_sh_mask.h, COMPUTE_*.
struct RegisterRange {
  uint32_t first, last;
  uint32_t gfx11, gfx12;
};
constexpr RegisterRange kRegisters[] = {
    {kStartX, kStartX + 2, 0xffffffff, 0xffffffff},
    {kNumThreadX, kNumThreadX + 2, 0xffffffff, 0xffffffff},
    {kPgmLo, kPgmLo, 0xffffffff, 0xffffffff},
    {kPgmHi, kPgmHi, 0xff, 0xff},
    {kScratchLo, kScratchLo, 0xffffffff, 0xffffffff},
    {kScratchHi, kScratchHi, 0xff, 0xff},
    {kRsrc1, kRsrc1, 0xe4bff03f, 0xe4fff03f},
    {kRsrc2, kRsrc2, 0x00ffffff, 0x80ffffff},
    // Of its fields only SIMD_DEST_CNTL: the others limit where waves may run.
    {kResourceLimits, kResourceLimits, 0x00400000, 0x00400000},
    {kCuMask0, kCuMask1, 0xffffffff, 0xffffffff},
    {kTmpringSize, kTmpringSize, 0x07ffffff, 0x3fffffff},
    {kCuMask2, kCuMask3, 0xffffffff, 0xffffffff},
    {kRestartX, kRestartX + 2, 0xffffffff, 0xffffffff},
    {kRsrc3, kRsrc3, 0x800003f0, 0x80002ff0},
    {kCuMask4, kCuMask7, 0xffffffff, 0xffffffff},
    {kDispatchInterleave, kDispatchInterleave, 0x3ff, 0x3ff},
    {kUserData0, kUserData15, 0xffffffff, 0xffffffff},
};

// DISPATCH_INITIATOR, gc_11_0_0_sh_mask.h.
constexpr uint32_t kShaderEnable = 1, kPartialGroups = 1 << 1, kForceStart = 1 << 2,
                   kThreadDimensions = 1 << 5, kOrderMode = 1 << 6, kWave32 = 1 << 15;
constexpr uint32_t kPriv = 1 << 20;  // RSRC1
constexpr uint32_t kScratchUnit = 256;
constexpr uint32_t kSimdDestControl = 1 << 22;  // RESOURCE_LIMITS
constexpr uint64_t kSimds = 4;                  // of a workgroup's two compute units

}  // namespace

Result<void> PacketProcessor::set_registers(const Packet& packet) {
  const bool is_gfx12 = options_.emulator.generation == Generation::gfx12;
  if ((packet.body[0] & ~0xffffU) != 0) return refused(packet, "bits 31:16 of the offset are set");
  for (size_t k = 1; k < packet.body.size(); ++k) {
    const uint32_t offset = packet.body[0] + uint32_t(k) - 1;
    const RegisterRange* range = nullptr;
    for (const RegisterRange& candidate : kRegisters) {
      if (offset >= candidate.first && offset <= candidate.last) range = &candidate;
    }
    if (range == nullptr) {
      return refused(packet, fmt::format("register offset 0x{:x} is not one to be set", offset));
    }
    const uint32_t allowed = is_gfx12 ? range->gfx12 : range->gfx11;
    if ((packet.body[k] & ~allowed) != 0) {
      return refused(packet, fmt::format("register 0x{:x} has no bits 0x{:x}", offset,
                                         packet.body[k] & ~allowed));
    }
    registers_[offset] = packet.body[k];
  }
  return {};
}

Result<void> PacketProcessor::check_scratch(const Packet& packet, Launch& launch) const {
  if ((launch.rsrc2 & 1) == 0) return {};
  for (const uint32_t offset : {kTmpringSize, kScratchLo, kScratchHi}) {
    if (!registers_.contains(offset)) {
      return refused(
          packet, fmt::format("private memory is on, but register 0x{:x} was never set", offset));
    }
  }
  const uint32_t tmpring = registers_.at(kTmpringSize);
  const uint64_t waves = tmpring & 0xfff, wave_bytes = uint64_t{tmpring >> 12} * kScratchUnit;
  const uint64_t va = address_of(registers_.at(kScratchLo), registers_.at(kScratchHi)) << 8;
  if (waves == 0 || wave_bytes == 0) return refused(packet, "TMPRING_SIZE gives no private memory");
  MemoryRange* range = memory_.find(va, waves * wave_bytes);
  if (range == nullptr || (range->access & (kRead | kWrite)) != (kRead | kWrite)) {
    return refused(packet, fmt::format("private memory of {} waves of {} bytes at 0x{:x} is not "
                                       "mapped for reading and writing",
                                       waves, wave_bytes, va));
  }
  launch.scratch_bytes = uint32_t(wave_bytes / kLanes);
  return {};
}

Result<Launch> PacketProcessor::launch_from_registers(const Packet& packet,
                                                      const std::array<uint32_t, 3>& dimensions,
                                                      uint32_t initiator) const {
  for (const uint32_t offset :
       {kStartX, kStartX + 1, kStartX + 2, kNumThreadX, kNumThreadX + 1, kNumThreadX + 2, kPgmLo,
        kPgmHi, kRsrc1, kRsrc2, kRsrc3, kResourceLimits}) {
    if (!registers_.contains(offset)) {
      return refused(packet, fmt::format("register 0x{:x} was never set", offset));
    }
  }
  if (options_.sets_cu_masks) {
    for (const uint32_t offset :
         {kCuMask0, kCuMask1, kCuMask2, kCuMask3, kCuMask4, kCuMask4 + 1, kCuMask4 + 2, kCuMask7}) {
      if (!registers_.contains(offset) || registers_.at(offset) == 0) {
        return refused(packet, fmt::format("CU mask 0x{:x} was never set, or is 0", offset));
      }
    }
  }
  Launch launch;
  launch.entry = address_of(registers_.at(kPgmLo), registers_.at(kPgmHi)) << 8;
  launch.rsrc1 = registers_.at(kRsrc1);
  launch.rsrc2 = registers_.at(kRsrc2);
  launch.rsrc3 = registers_.at(kRsrc3);
  if (options_.requires_priv && (launch.rsrc1 & kPriv) == 0) {
    return refused(packet, "RSRC1.PRIV is not set");
  }
  for (uint32_t k = 0; k < 16; ++k) {
    if (!registers_.contains(kUserData0 + k)) continue;
    launch.user_data[k] = registers_.at(kUserData0 + k);
    launch.user_data_set |= 1U << k;
  }
  for (uint32_t axis = 0; axis < 3; ++axis) {
    const uint32_t threads = registers_.at(kNumThreadX + axis);
    const uint32_t full = threads & 0xffff, partial = threads >> 16;
    if (full == 0 || dimensions[axis] == 0) return refused(packet, "a dimension is 0");
    launch.threads[axis] = full;
    launch.start[axis] = registers_.at(kStartX + axis);
    if ((initiator & kForceStart) != 0 && launch.start[axis] != 0) {
      return refused(packet, "START is set, but FORCE_START_AT_000 ignores it");
    }
    if ((initiator & kThreadDimensions) != 0) {
      launch.groups[axis] = (dimensions[axis] + full - 1) / full;
      launch.partial[axis] = dimensions[axis] % full;
    } else {
      launch.groups[axis] = dimensions[axis];
      launch.partial[axis] = (initiator & kPartialGroups) != 0 ? partial : 0;
    }
    if (partial != 0 && (initiator & kPartialGroups) == 0) {
      return refused(packet, "NUM_THREAD_PARTIAL is set without PARTIAL_TG_EN");
    }
    if ((initiator & (kPartialGroups | kThreadDimensions)) == kPartialGroups && partial == 0) {
      return refused(packet, "PARTIAL_TG_EN is set, and a last group has no work-items");
    }
    const auto restart = registers_.find(kRestartX + axis);
    if (restart != registers_.end() && restart->second != 0) {
      return refused(packet, "RESTART is not 0");
    }
  }
  // Mesa and PAL: only where the waves of a workgroup fill all SIMDs.
  const uint64_t threads = uint64_t{launch.threads[0]} * launch.threads[1] * launch.threads[2];
  const bool spreads = (registers_.at(kResourceLimits) & kSimdDestControl) != 0;
  if (spreads && (threads + kLanes - 1) / kLanes % kSimds != 0) {
    return refused(packet, "SIMD_DEST_CNTL is set for waves that do not fill the SIMDs");
  }
  return launch;
}

Result<void> PacketProcessor::dispatch(const Packet& packet,
                                       const std::array<uint32_t, 3>& dimensions,
                                       uint32_t initiator) {
  constexpr uint32_t kKnown =
      kShaderEnable | kPartialGroups | kForceStart | kThreadDimensions | kOrderMode | kWave32;
  if ((initiator & ~kKnown) != 0) return refused(packet, "the initiator has bits that are unknown");
  if ((initiator & kShaderEnable) == 0) return refused(packet, "COMPUTE_SHADER_EN is not set");
  if ((initiator & kWave32) == 0)
    return refused(packet, "CS_W32_EN is not set: wave64 is not here");
  if (needs_system_acquire_) {
    return refused(packet,
                   "the first launch of a submission has no ACQUIRE_MEM with GLI_INV and "
                   "GL2_INV before it: it may run on what the caches held before");
  }
  TRY_ASSIGN(Launch launch, launch_from_registers(packet, dimensions, initiator));
  TRY(check_scratch(packet, launch));
  if (memory_.at(launch.entry, 4, kRead | kRun) == nullptr) {
    return refused(packet,
                   fmt::format("entry 0x{:x} is {}", launch.entry, memory_.describe(launch.entry)));
  }
  Pending entry;
  entry.record.launch = launch;
  entry.record.number = ++launches_;
  entry.visibility = {launches_, visible_vector_, visible_scalar_};
  pending_.push_back(entry);
  return options_.is_late ? Result<void>() : run_launches();
}

Result<void> PacketProcessor::dispatch_indirect(const Packet& packet) {
  const uint64_t va = address_of(packet.body[0], packet.body[1]);
  if (va % 4 != 0) return refused(packet, "the address is not a multiple of 4");
  TRY_ASSIGN(uint8_t * host, memory_at(packet, va, 12, kRead));
  std::array<uint32_t, 3> dimensions;
  std::memcpy(dimensions.data(), host, 12);
  return dispatch(packet, dimensions, packet.body[2]);
}

}  // namespace leat::amd_card
