// How commands come to the GPU: entries in the rings of two channels, an index and the doorbell.
// The queue around it is leat/route/direct_queue.h.
#pragma once

#include "leat/backend/nvidia/nvidia_commands.h"
#include "leat/route/direct_queue.h"

namespace leat {

class NvidiaSubmitter {
 public:
  using Context = NvidiaContext;
  using Commands = NvidiaCommands;
  using Kernel = NvidiaKernel;

  explicit NvidiaSubmitter(NvidiaContext& context)
      : context_(context),
        compute_(context.rm, context.memory, context.doorbell),
        copy_(context.rm, context.memory, context.doorbell) {}
  ~NvidiaSubmitter() { (void)close_channel(); }
  NvidiaSubmitter(const NvidiaSubmitter&) = delete;
  NvidiaSubmitter& operator=(const NvidiaSubmitter&) = delete;

  /// Each takes up to four entries of the ring.
  static constexpr uint64_t kInFlightMax = 240;
  static constexpr uint64_t kNsPerTick = 1;
  static constexpr bool kReopens = true;

  Result<void> open();
  Result<void> open_channel();
  Result<void> close_channel();
  bool has_channel() const {
    return compute_.is_open() && copy_.is_open() && !compute_.has_fault() && !copy_.has_fault();
  }

  Result<void> write(NvidiaCommands& block);
  Result<void> write_replay(NvidiaCommands& list, uint64_t done, bool armed);
  void hand_over(NvidiaCommands& commands);
  Result<void> finish_list(NvidiaCommands& list) const { return list.finish(next_value()); }

  uint64_t time_address(uint32_t slot) const { return times_.address + slot * kTimeBytes; }
  uint64_t* time_word(uint32_t slot) const {
    return reinterpret_cast<uint64_t*>(times_.host + slot * kTimeBytes + 8);
  }
  void fire();

  /// How a hang is ended: the fault test on a chip compares the ways.
  void set_stop(NvidiaStop way) { stop_ = way; }
  /// What the last restart asked for and was answered.
  const std::vector<NvidiaStopStep>& stop_steps() const { return stop_steps_; }

 private:
  static constexpr uint64_t kTimeBytes = 16;
  /// Small segments in front of a submit, in turn.
  static constexpr uint32_t kPrefixes = 512;
  static constexpr uint32_t kPrefixDwords = 32;

  uint64_t next_value() const { return context_.frame.submitted() + 1; }
  /// For a submit that is not armed, where the fence shows `done`.
  NvidiaEntry entry_of(uint64_t done) const {
    return done == context_.frame.submitted() ? NvidiaEntry::idle : NvidiaEntry::busy;
  }
  Result<void> finish_write(NvidiaCommands& commands, NvidiaEntry entry);
  Result<void> add_prefix(std::span<const uint32_t> words);
  Result<void> add_stale_prefix();

  NvidiaContext& context_;
  NvidiaChannel compute_;
  NvidiaChannel copy_;
  DirectRange fence_word_;
  DirectRange times_;  // kTimeSlots times {u64, u64 ns}
  DirectRange prefixes_;
  DirectRange arm_word_;
  NvidiaStop stop_ = NvidiaStop::reset_channel;
  std::vector<NvidiaStopStep> stop_steps_;
  bool checks_packets_ = false;
  uint32_t prefix_next_ = 0;
  uint64_t armed_ = 0;                     // the value that arm_word_ waits for
  NvidiaEntry entry_ = NvidiaEntry::idle;  // of what is written and not yet handed over
};

using NvidiaBuffers = DirectBuffers<NvidiaContext>;
using NvidiaQueue = DirectQueue<NvidiaSubmitter>;

}  // namespace leat
