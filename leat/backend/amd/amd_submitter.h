// How commands come to the GPU: packets in the ring, a pointer and the doorbell. The queue around
// it is leat/route/direct_queue.h.
#pragma once

#include <utility>

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
      : context_(context),
        channel_(context.kfd, context.memory, kfd::kQueueCompute),
        copies_(context.kfd, context.memory, kfd::kQueueSdma),
        buffers_(context.drm) {}

  /// With their packets and the blocks' the ring is never full.
  static constexpr uint64_t kInFlightMax = 512;
  static constexpr uint64_t kNsPerTick = pm4::kClockNsPerTick;
  static constexpr bool kReopens = false;

  Result<void> open();
  /// Without a queue of the copy engine, of which there are few, the compute queue copies.
  Result<void> open_channel();
  /// Errors: device_lost, when the GPU does not let go of the channel's memory.
  Result<void> close_channel();
  bool has_channel() const {
    if (context_.is_by_drm()) return buffers_.is_open() && !buffers_.has_fault();
    return channel_.is_open() && !channel_.has_fault();
  }

  Result<void> write(AmdCommands& block);
  // What changes from submit to submit stands in the ring, so that a list is written once.
  Result<void> write_replay(const AmdCommands& list, uint64_t done, bool armed);
  void hand_over(const AmdCommands&) {
    if (context_.is_by_drm()) return buffers_.submit(std::exchange(call_, {}));
    if (copied_dwords_ > 0) copies_.submit(std::exchange(copied_dwords_, 0));
    channel_.submit(written_dwords_);
  }
  Result<void> finish_list(AmdCommands& list) const { return list.place(); }

  uint64_t time_address(uint32_t slot) const { return words_.address + time_offset(slot); }
  uint64_t* time_word(uint32_t slot) const {
    return reinterpret_cast<uint64_t*>(words_.host + time_offset(slot));
  }
  void fire();

 private:
  /// In words_: the fence, then these, each on a cache line of its own.
  static constexpr uint64_t kArmOffset = 64, kFromComputeOffset = 128, kFromCopiesOffset = 192,
                            kTimesOffset = 256;
  static constexpr uint64_t time_offset(uint32_t slot) {
    return kTimesOffset + slot * sizeof(uint64_t);
  }

  /// Where the next submit is to be written.
  std::byte* begin(uint32_t dwords) {
    return context_.is_by_drm() ? buffers_.begin(dwords) : channel_.begin(dwords);
  }
  /// The next submit is `dwords` at `target`, in the ring.
  Result<void> finish_write(const std::byte* target, uint32_t dwords);
  Result<void> write_copies(CommandWords& copies);

  AmdContext& context_;
  AmdChannel channel_;
  AmdChannel copies_;
  AmdDrmQueue buffers_;  // in place of both, by the render node
  DirectRange buffers_ring_;
  AmdDrmQueue::Call call_;  // of it, the next
  DirectRange words_;
  bool checks_packets_ = false;
  uint64_t armed_ = 0;         // the value that armed submits wait for
  CommandWords replay_words_;  // a replay's part of the ring, of which these change:
  uint32_t call_word_ = 0;     // the call of the list
  uint32_t value_word_ = 0;    // the fence's value
  CommandWords wait_words_;    // in front of it, where it is armed
  uint32_t written_dwords_ = 0;
  uint32_t copied_dwords_ = 0;  // for the copy engine
};

}  // namespace leat
