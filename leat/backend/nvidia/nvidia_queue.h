// The ordered queue: fresh commands go to a few blocks taken in turn, recorded ones to lists of
// their own; a submit is an entry in the ring, an index and the doorbell, without a system call.
#pragma once

#include <memory>

#include "leat/backend/nvidia/nvidia_commands.h"
#include "leat/route/command_blocks.h"
#include "leat/route/handle_table.h"

namespace leat {

/// A table of buffers behind Buffer::handle().
class NvidiaBuffers {
 public:
  explicit NvidiaBuffers(NvidiaContext& context) : context_(context) {}
  Result<uint64_t> allocate(uint64_t size_bytes, NvidiaPlace place);
  /// Whole pages of the caller.
  Result<uint64_t> import(std::span<std::byte> pages);
  const NvidiaRange& at(uint64_t handle) const { return ranges_.at(handle); }
  void free(uint64_t handle) { context_.retire(ranges_.take(handle)); }

 private:
  NvidiaContext& context_;
  HandleTable<NvidiaRange> ranges_;
};

class NvidiaQueue final : public Queue {
 public:
  /// `owner` is the device whose buffers the queue takes; null: any.
  NvidiaQueue(NvidiaContext& context, const NvidiaBuffers& buffers, const Device* owner)
      : context_(context),
        frame_(context.frame),
        buffers_(buffers),
        owner_(owner),
        compute_(context.rm, context.memory, context.doorbell),
        copy_(context.rm, context.memory, context.doorbell),
        blocks_(context.frame) {}
  ~NvidiaQueue() override;
  NvidiaQueue(const NvidiaQueue&) = delete;
  NvidiaQueue& operator=(const NvidiaQueue&) = delete;

  /// Makes channels, fence and blocks, and waits for the channels' first sign of life.
  /// Errors: unsupported, io, out_of_memory, device_lost.
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

  /// How long new channels may take for their first sign of life.
  void set_first_sign_timeout_ns(uint64_t timeout_ns) { first_sign_timeout_ns_ = timeout_ns; }
  /// How a hang is ended: the fault test on a chip compares the ways.
  void set_stop(NvidiaStop way) { stop_ = way; }
  /// What the last restart asked for and was answered.
  const std::vector<NvidiaStopStep>& stop_steps() const { return stop_steps_; }

 private:
  static constexpr uint32_t kLaunchesPerBlock = 128;
  /// Submits in flight at most; each takes up to four entries of the ring.
  static constexpr uint64_t kInFlightMax = 240;
  /// Small segments in front of a submit, in turn.
  static constexpr uint32_t kPrefixes = 512;
  static constexpr uint32_t kPrefixDwords = 32;

  Result<void> open_channels();
  Result<void> wait_for_first_sign();
  /// New channels after a fault; commands that were not submitted stay.
  Result<void> restart();
  void close_channels();
  Result<NvidiaCommands*> open_commands();
  MemoryAccess access_of(const BufferRange& range, bool written) const;
  /// Makes room in the ring, and channels that work. The fence's number as it was seen last.
  Result<uint64_t> prepare_submit();
  Result<void> submit_open();
  Result<void> push(NvidiaCommands& commands, NvidiaEntry entry);
  /// For a submit that is not armed, where the fence shows `done`.
  NvidiaEntry entry_of(uint64_t done) const {
    return done == frame_.submitted() ? NvidiaEntry::idle : NvidiaEntry::busy;
  }
  Result<uint64_t> submit_list(RecordedList& list, bool armed);
  Result<void> add_prefix(std::span<const uint32_t> words);
  Result<void> add_stale_prefix();

  NvidiaContext& context_;
  QueueFrame& frame_;
  const NvidiaBuffers& buffers_;
  const Device* owner_;
  NvidiaChannel compute_;
  NvidiaChannel copy_;
  NvidiaRange fence_word_;
  NvidiaRange times_;  // kTimeSlots times {u64, u64 ns}
  NvidiaRange prefixes_;
  NvidiaRange arm_word_;
  NvidiaStop stop_ = NvidiaStop::reset_channel;
  std::vector<NvidiaStopStep> stop_steps_;
  uint64_t first_sign_timeout_ns_ = 5'000'000'000;
  bool checks_packets_ = false;
  uint32_t prefix_next_ = 0;
  uint64_t armed_ = 0;  // the value that arm_word_ waits for
  CommandBlocks<NvidiaCommands> blocks_;
};

}  // namespace leat
