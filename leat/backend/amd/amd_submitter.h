// How commands come to the GPU: packets in the ring, a pointer and the doorbell. The queue around
// it is leat/route/direct_queue.h.
#pragma once

#include "leat/backend/amd/amd_channel.h"
#include "leat/backend/amd/amd_commands.h"
#include "leat/device/device.h"

namespace leat {

class AmdSubmitter {
 public:
  using Context = AmdContext;
  using Commands = AmdCommands;
  using Kernel = AmdKernel;

  explicit AmdSubmitter(AmdContext& context)
      : context_(context), channel_(context.kfd, context.memory) {}

  /// With their packets and the blocks' the ring is never full.
  static constexpr uint64_t kInFlightMax = 512;
  static constexpr uint64_t kNsPerTick = pm4::kClockNsPerTick;
  static constexpr bool kReopens = false;

  Result<void> open();
  Result<void> open_channel() { return channel_.open(context_.card); }
  /// Errors: device_lost, when the GPU does not let go of the channel's memory.
  Result<void> close_channel() { return channel_.close(); }
  bool has_channel() const { return channel_.is_open() && !channel_.has_fault(); }

  Result<void> write(AmdCommands& block);
  // What changes from submit to submit stands in the ring, so that a list is written once.
  Result<void> write_replay(const AmdCommands& list, uint64_t done, bool armed);
  void hand_over(const AmdCommands&) { channel_.submit(written_dwords_); }
  Result<void> finish_list(AmdCommands& list) const { return list.place(); }

  uint64_t time_address(uint32_t slot) const { return words_.address + time_offset(slot); }
  uint64_t* time_word(uint32_t slot) const {
    return reinterpret_cast<uint64_t*>(words_.host + time_offset(slot));
  }
  void fire();

 private:
  /// In words_: the fence, then these.
  static constexpr uint64_t kArmOffset = 64, kTimesOffset = 128;
  static constexpr uint64_t time_offset(uint32_t slot) {
    return kTimesOffset + slot * sizeof(uint64_t);
  }

  /// The next submit is `dwords` at `target`, in the ring.
  Result<void> finish_write(const std::byte* target, uint32_t dwords);

  AmdContext& context_;
  AmdChannel channel_;
  DirectRange words_;
  bool checks_packets_ = false;
  uint64_t armed_ = 0;       // the value that armed submits wait for
  CommandWords list_words_;  // a list's part of the ring, on its way there
  uint32_t written_dwords_ = 0;
};

}  // namespace leat
