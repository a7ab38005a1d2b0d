// The ordered queue: fresh commands go to a few blocks taken in turn, recorded ones to lists of
// their own; a submit is packets in the ring, a pointer and the doorbell, without a system call.
#pragma once

#include <memory>

#include "leat/backend/amd/amd_channel.h"
#include "leat/backend/amd/amd_commands.h"
#include "leat/route/command_blocks.h"
#include "leat/route/handle_table.h"

namespace leat {

/// A table of buffers behind Buffer::handle().
class AmdBuffers {
 public:
  explicit AmdBuffers(AmdContext& context) : context_(context) {}
  Result<uint64_t> allocate(uint64_t size_bytes, AmdPlace place);
  /// Whole pages of the caller.
  Result<uint64_t> import(std::span<std::byte> pages);
  const AmdRange& at(uint64_t handle) const { return ranges_.at(handle); }
  void free(uint64_t handle) { context_.retire(ranges_.take(handle)); }

 private:
  AmdContext& context_;
  HandleTable<AmdRange> ranges_;
};

class AmdQueue final : public Queue {
 public:
  /// `owner` is the device whose buffers the queue takes; null: any.
  AmdQueue(AmdContext& context, const AmdBuffers& buffers, const Device* owner)
      : context_(context),
        frame_(context.frame),
        buffers_(buffers),
        owner_(owner),
        channel_(context.kfd, context.memory),
        blocks_(context.frame) {}

  /// Makes channel, fence and blocks, and waits for the first sign of life.
  /// Errors: io, out_of_memory, device_lost.
  Result<void> open();

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments) override;
  Result<void> copy(BufferRange target, BufferRange source) override;
  Result<void> mark_time(uint32_t slot) override;
  Result<uint64_t> submit() override;
  Result<void> begin_record() override;
  Result<std::unique_ptr<RecordedList>> end_record() override;
  Result<uint64_t> replay(RecordedList& list) override { return submit_list(list, false); }
  Result<uint64_t> arm(RecordedList& list) override { return submit_list(list, true); }
  void fire() override;
  Result<void> abandon() override;
  Fence& fence() override { return context_.fence; }
  Result<uint64_t> time_ns(uint32_t slot) override;
  Counts counts() const override { return frame_.counts(); }

 private:
  /// Submits in flight at most: with their packets and the blocks' the ring is never full.
  static constexpr uint64_t kInFlightMax = 512;

  Result<void> open_channel();
  Result<void> wait_for_first_sign();
  /// A new channel after a fault; commands that were not submitted stay.
  Result<void> restart();
  Result<AmdCommands*> open_commands();
  MemoryAccess access_of(const BufferRange& range, bool written) const;
  /// Makes room for a submit, and a channel that works.
  Result<void> prepare_submit();
  Result<void> submit_open();
  Result<void> push(AmdCommands& block);
  Result<uint64_t> submit_list(RecordedList& list, bool armed);
  /// Hands `dwords` at `begun` to the GPU; they end with the fence value after the last one.
  Result<void> finish_submit(const std::byte* begun, uint32_t dwords, AmdCommands& commands);

  AmdContext& context_;
  QueueFrame& frame_;
  const AmdBuffers& buffers_;
  const Device* owner_;
  AmdChannel channel_;
  AmdRange words_;  // fence, armed number, then kTimeSlots times
  bool checks_packets_ = false;
  std::optional<Error> lost_;  // the device cannot be brought back
  uint64_t armed_ = 0;         // the value that armed submits wait for
  CommandWords list_words_;    // a list's part of the ring, on its way there
  CommandBlocks<AmdCommands> blocks_;
};

}  // namespace leat
