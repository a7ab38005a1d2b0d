#include "leat/backend/amd/amd_check.h"

#include <array>

#include "leat/backend/amd/amd_decode.h"
#include "leat/backend/amd/amd_pm4.h"
#include "leat/backend/amd/amd_sdma_words.h"
#include "leat/route/packet_text.h"

namespace leat {

namespace {

constexpr uint32_t kThreadsMax = 1024;
constexpr uint32_t kRegisters = 0x100;  // offsets 0x200 to 0x2ff

/// Walks packets with the registers as they leave them.
class PacketCheck {
 public:
  explicit PacketCheck(const AmdContext& context) : context_(context) {}

  Result<void> take(std::span<const uint32_t> words, bool is_called);
  /// That the submit ends with its fence.
  Result<void> check_end() const;

 private:
  Result<void> take(const AmdPacket& packet, bool is_called);
  Result<void> set_registers(const AmdPacket& packet);
  Result<void> check_dispatch(const AmdPacket& packet) const;
  Result<void> check_scratch() const;
  Result<void> check_acquire(const AmdPacket& packet);
  Result<void> check_release(const AmdPacket& packet);
  Result<void> check_copy(const AmdPacket& packet) const;
  Result<void> check_call(const AmdPacket& packet);
  /// Errors: the GPU may not do that there.
  Result<void> check_range(const char* what, uint64_t address, uint64_t size_bytes,
                           uint32_t rights) const {
    if (context_.memory.allows(address, size_bytes, rights)) return {};
    return broken("{} at (0x{:x}) of ({}) bytes is not mapped with rights (0x{:x}).", what, address,
                  size_bytes, rights);
  }
  uint32_t value(uint32_t offset) const { return values_[offset - 0x200]; }
  bool is_set(uint32_t offset) const { return is_set_[offset - 0x200]; }
  /// Two registers that hold bits 8 and up of an address.
  uint64_t shifted(uint32_t offset) const {
    return (uint64_t{value(offset + 1)} << 32 | value(offset)) << 8;
  }
  const AmdGeneration& generation() const { return *context_.card.chip->generation; }

  const AmdContext& context_;
  std::array<uint32_t, kRegisters> values_ = {};
  std::array<bool, kRegisters> is_set_ = {};
  bool has_system_acquire_ = false;
  bool has_fence_ = false;
};

Result<void> PacketCheck::take(std::span<const uint32_t> words, bool is_called) {
  TRY_ASSIGN(const std::vector<AmdPacket> packets, read_packets(words));
  for (const AmdPacket& packet : packets) TRY(take(packet, is_called));
  return {};
}

Result<void> PacketCheck::take(const AmdPacket& packet, bool is_called) {
  switch (packet.opcode) {
    case pm4::kSetShReg: return set_registers(packet);
    case pm4::kDispatchDirect: return check_dispatch(packet);
    case pm4::kAcquireMem: return check_acquire(packet);
    case pm4::kReleaseMem: return check_release(packet);
    case pm4::kDmaData: return check_copy(packet);
    case pm4::kIndirectBuffer:
      if (is_called) return broken("Dword ({}) calls a buffer from a buffer.", packet.index);
      return check_call(packet);
    case pm4::kEventWrite:
      if (packet.body[0] == pm4::kPartialFlush) return {};
      return broken("Dword ({}) is an event (0x{:x}) that is not known.", packet.index,
                    packet.body[0]);
    case pm4::kWaitRegMem: return check_range("A number", packet.address(1), 4, 0);
    case pm4::kWaitRegMem64: return check_range("A number", packet.address(1), 8, 0);
    default: return {};
  }
}

Result<void> PacketCheck::set_registers(const AmdPacket& packet) {
  for (uint32_t i = 1; i < packet.body.size(); ++i) {
    const uint32_t offset = packet.body[0] + i - 1;
    if (name_of_register(offset) == nullptr) {
      return broken("Dword ({}) sets register (0x{:x}), which is none of ours.", packet.index + i,
                    offset);
    }
    values_[offset - 0x200] = packet.body[i];
    is_set_[offset - 0x200] = true;
  }
  return {};
}

Result<void> PacketCheck::check_dispatch(const AmdPacket& packet) const {
  const uint32_t last = context_.is_by_drm() ? pm4::kUnitMasks[2].offset : pm4::kResources3;
  for (const uint32_t offset : {last, pm4::kStart, pm4::kNumThread, pm4::kProgram, pm4::kResources,
                                pm4::kResourceLimits, pm4::kResources3}) {
    if (!is_set(offset))
      return broken("A launch follows before {} is set.", name_of_register(offset));
  }
  const uint64_t threads =
      uint64_t{value(pm4::kNumThread)} * value(pm4::kNumThread + 1) * value(pm4::kNumThread + 2);
  if (threads == 0 || threads > kThreadsMax) {
    return broken("Workgroup of ({}) work-items is not in (1 to {}).", threads, kThreadsMax);
  }
  if (packet.body[3] != pm4::kInitiator || packet.body[0] == 0 || packet.body[1] == 0 ||
      packet.body[2] == 0) {
    return broken("Launch of ({}, {}, {}) workgroups has initiator (0x{:x}).", packet.body[0],
                  packet.body[1], packet.body[2], packet.body[3]);
  }
  if (!has_system_acquire_) return broken("No acquire stands before the first launch.");
  const uint32_t rsrc1 = value(pm4::kResources), rsrc2 = value(pm4::kResources + 1);
  constexpr uint32_t kLdsBits = pm4::kLdsUnitsMask << pm4::kLdsShift;
  if ((rsrc1 & ~generation().rsrc1_bits) != 0 ||
      (rsrc2 & ~(generation().rsrc2_bits | kLdsBits)) != 0 ||
      (value(pm4::kResources3) & ~generation().rsrc3_bits) != 0) {
    return broken("Resources (0x{:x}, 0x{:x}, 0x{:x}) have bits that the chip has not.", rsrc1,
                  rsrc2, value(pm4::kResources3));
  }
  if (context_.needs_priv() && (rsrc1 & pm4::kPriv) == 0) {
    return broken("Resources (0x{:x}) lack PRIV.", rsrc1);
  }
  TRY(check_range("Code", shifted(pm4::kProgram), 4, kfd::kExecutable));
  TRY(check_scratch());
  if (!is_set(pm4::kUserData)) return {};
  return check_range("Arguments", uint64_t{value(pm4::kUserData + 1)} << 32 | value(pm4::kUserData),
                     8, 0);
}

Result<void> PacketCheck::check_scratch() const {
  if ((value(pm4::kResources + 1) & 1) == 0) return {};
  const uint32_t size = value(pm4::kTmpringSize);
  const uint64_t waves = size & pm4::kScratchWavesMax;
  const uint64_t wave_bytes = uint64_t{size >> pm4::kWaveSizeShift} * pm4::kScratchUnitBytes;
  if (!is_set(pm4::kScratchBase) || waves == 0 || wave_bytes == 0) {
    return broken("A launch with scratch has none (TMPRING_SIZE 0x{:x}).", size);
  }
  return check_range("Scratch", shifted(pm4::kScratchBase),
                     waves * wave_bytes * context_.card.shader_engines, kfd::kWritable);
}

Result<void> PacketCheck::check_acquire(const AmdPacket& packet) {
  const uint32_t control = packet.body[6];
  if (control != generation().system_acquire && control != generation().light_acquire) {
    return broken("Acquire (0x{:x}) is none of {}.", control, generation().name);
  }
  has_system_acquire_ |= control == generation().system_acquire;
  return {};
}

Result<void> PacketCheck::check_release(const AmdPacket& packet) {
  const bool is_clock = packet.body[1] == pm4::kReleaseClock;
  const uint32_t cache = is_clock ? pm4::kReleasePlain : generation().system_release;
  if (packet.body[0] != cache || (!is_clock && packet.body[1] != pm4::kReleaseValue)) {
    return broken("Release (0x{:x}, 0x{:x}) is none of {}.", packet.body[0], packet.body[1],
                  generation().name);
  }
  if (packet.address(2) % 8 != 0) return broken("Release to (0x{:x}).", packet.address(2));
  has_fence_ = packet.address(2) == context_.fence.address() &&
               packet.address(4) == context_.frame.submitted() + 1;
  return check_range("A release's number", packet.address(2), 8, kfd::kWritable);
}

Result<void> PacketCheck::check_copy(const AmdPacket& packet) const {
  const uint32_t size_bytes = packet.body[5] & ~pm4::kDmaRawWait;
  if (packet.body[0] != pm4::kDmaL2ToL2 || size_bytes > pm4::kDmaBytesMax) {
    return broken("Copy (0x{:x}) of ({}) bytes.", packet.body[0], size_bytes);
  }
  if (size_bytes == 0) return {};
  TRY(check_range("A copy's source", packet.address(1), size_bytes, 0));
  return check_range("A copy's target", packet.address(3), size_bytes, kfd::kWritable);
}

Result<void> PacketCheck::check_call(const AmdPacket& packet) {
  const uint32_t dwords = packet.body[2] & pm4::kBufferDwordsMax;
  if (packet.body[2] != (pm4::kBufferValid | dwords) || packet.address(0) % 4 != 0) {
    return broken("A call of a buffer at (0x{:x}) has control (0x{:x}).", packet.address(0),
                  packet.body[2]);
  }
  const uint64_t size_bytes = uint64_t{dwords} * sizeof(uint32_t);
  TRY(check_range("A buffer", packet.address(0), size_bytes, kfd::kGtt | kfd::kExecutable));
  return take({reinterpret_cast<const uint32_t*>(packet.address(0)), dwords}, true);
}

Result<void> PacketCheck::check_end() const {
  if (has_fence_) return {};
  return broken("The submit does not end with the fence's value ({}).",
                context_.frame.submitted() + 1);
}

}  // namespace

Result<void> check_packets(const AmdContext& context, std::span<const uint32_t> words) {
  PacketCheck check(context);
  TRY(check.take(words, false));
  return check.check_end();
}

Result<void> check_copies(const AmdContext& context, const CommandWords& words) {
  const auto check = [&](uint32_t at, uint64_t size_bytes, uint32_t rights) -> Result<void> {
    const uint64_t address = uint64_t{words[at + 1]} << 32 | words[at];
    if (context.memory.allows(address, size_bytes, rights)) return {};
    return broken("The copy engine's memory at (0x{:x}) of ({}) bytes has no rights (0x{:x}).",
                  address, size_bytes, rights);
  };
  for (uint32_t i = 0; i < words.size();) {
    switch (words[i] & 0xff) {
      case sdma::kPollRegmem:
        TRY(check(i + 1, sizeof(uint32_t), 0));
        i += sdma::kPollDwords;
        break;
      case sdma::kFence:
        TRY(check(i + 1, sizeof(uint32_t), kfd::kWritable));
        i += sdma::kFenceDwords;
        break;
      case sdma::kCopyLinear:
        TRY(check(i + 3, uint64_t{words[i + 1]} + 1, 0));
        TRY(check(i + 5, uint64_t{words[i + 1]} + 1, kfd::kWritable));
        i += sdma::kCopyDwords;
        break;
      default: return broken("Dword ({}) for the copy engine (0x{:x}) is no packet.", i, words[i]);
    }
  }
  return {};
}

}  // namespace leat
