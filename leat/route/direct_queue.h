// The ordered queue of a direct route: fresh commands go to a few blocks taken in turn, recorded
// ones to lists of their own; a submit hands a block or a list to the GPU without a system call.
// What that looks like is the route's own, its `Submitter`:
//   Context, Commands, Kernel   its types
//   kInFlightMax                submits in flight at most, fewer than its ring has room for
//   kNsPerTick                  of the clock that mark_time() takes
//   kReopens                    whether a channel that could not be made anew may be asked for
//                               again; if not, the device is lost
//   open()                      makes the memory that the device writes, and opens the Fence
//   open_channel(), close_channel(), has_channel()   has: one that is open and shows no fault
//   write(block), write_replay(list, done, armed)    makes a submit that raises the fence to the
//                               value after the last, where it shows `done`; the GPU does not look
//   hand_over(commands)         what was written is the GPU's
//   finish_list(list)           a recorded list is whole
//   time_address(slot), time_word(slot)   where the GPU writes a time, and where the host sees it
//   fire()                      as Queue has it
// Calls are bound when the route is compiled, and launch, submit and replay allocate nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "leat/route/command_blocks.h"
#include "leat/route/direct_buffers.h"
#include "leat/route/launch_checks.h"
#include "leat/route/time_slots.h"

namespace leat {

template <typename Submitter>
class DirectQueue final : public Queue {
 public:
  using Context = typename Submitter::Context;
  using Commands = typename Submitter::Commands;
  using Queue::launch;

  /// `owner` is the device whose buffers the queue takes; null: any.
  DirectQueue(Context& context, const DirectBuffers<Context>& buffers, const Device* owner)
      : context_(context),
        frame_(context.frame),
        buffers_(buffers),
        owner_(owner),
        submitter_(context),
        blocks_(context.frame) {}

  /// Makes channel, fence and blocks, and waits for the first sign of life.
  /// Errors: unsupported, io, out_of_memory, device_lost.
  Result<void> open() {
    TRY(submitter_.open());
    const auto make = [&]() -> Result<std::unique_ptr<Commands>> {
      auto block = std::make_unique<Commands>(context_);
      TRY(block->reserve());
      return block;
    };
    TRY(blocks_.reserve(make));
    return open_channel();
  }

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                      uint32_t groups_x) override {
    TRY(check_launch(kernel, arguments, groups_x, owner_));
    CHECK(arguments.size() <= accesses_.size());
    for (size_t i = 0; i < arguments.size(); ++i) {
      accesses_[i] = buffers_.access_of(arguments[i], kernel.arguments()[i].written);
    }
    TRY_ASSIGN(Commands * commands, open_commands());
    commands->launch(static_cast<const typename Submitter::Kernel&>(kernel),
                     std::span(accesses_).first(arguments.size()), kernel.grid_with(groups_x));
    return {};
  }

  // In parts, so that each fits behind what is open.
  Result<void> copy(BufferRange target, BufferRange source) override {
    TRY(check_copy(target, source, owner_));
    const MemoryAccess to = buffers_.access_of(target, true);
    const MemoryAccess from = buffers_.access_of(source, false);
    for (uint64_t done = 0; done < to.size_bytes;) {
      const uint64_t part = std::min(to.size_bytes - done, Commands::kCopyBytesMax);
      TRY_ASSIGN(Commands * commands, open_commands());
      commands->copy(to.address + done, from.address + done, part);
      done += part;
    }
    return {};
  }

  Result<void> mark_time(uint32_t slot) override {
    CHECK(slot < kTimeSlots);
    TRY_ASSIGN(Commands * commands, open_commands());
    commands->mark_time(submitter_.time_address(slot));
    return {};
  }
  Result<uint64_t> time_ns(uint32_t slot) override {
    CHECK(slot < kTimeSlots);
    uint64_t* word = submitter_.time_word(slot);
    const uint64_t ticks = std::atomic_ref<uint64_t>(*word).load(std::memory_order_acquire);
    return marked_time(slot, ticks * Submitter::kNsPerTick);
  }

  Result<uint64_t> submit() override {
    CHECK(!frame_.is_recording());
    TRY(submit_open());
    return frame_.submitted();
  }

  Result<void> begin_record() override {
    auto list = std::make_unique<Commands>(context_);
    list->clear();
    blocks_.begin_record(std::move(list));
    return {};
  }
  Result<std::unique_ptr<RecordedList>> end_record() override {
    std::unique_ptr<Commands> list = blocks_.end_record();
    context_.drain_retired();
    const Result<void> finished = submitter_.finish_list(*list);
    blocks_.finish_record();
    TRY(finished);
    return std::unique_ptr<RecordedList>(std::move(list));
  }
  Result<uint64_t> replay(RecordedList& list) override { return submit_list(list, false); }
  Result<uint64_t> arm(RecordedList& list) override { return submit_list(list, true); }
  void fire() override { submitter_.fire(); }

  Result<void> abandon() override {
    CHECK(!frame_.is_recording());
    (void)blocks_.take();
    return restart();
  }
  Fence& fence() override { return context_.fence; }
  Counts counts() const override { return frame_.counts(); }

  Submitter& submitter() { return submitter_; }
  /// How long a new channel may take for its first sign of life.
  void set_first_sign_timeout_ns(uint64_t timeout_ns) { first_sign_timeout_ns_ = timeout_ns; }

 private:
  static constexpr size_t kArgumentsMax =
      64;  // as Target::buffer_bindings_max, which load() checks

  Result<Commands*> open_commands() {
    return blocks_.open([&] { return submit_open(); },
                        [&](uint64_t value, uint64_t timeout_ns) {
                          return context_.fence.wait_for_room(value, timeout_ns);
                        });
  }

  /// Makes room for a submit, and a channel that works. The fence's number as it was seen last.
  Result<uint64_t> prepare_submit() {
    if (!submitter_.has_channel()) TRY(restart());
    const uint64_t done = context_.fence.poll();
    if (frame_.submitted() - done < Submitter::kInFlightMax) return done;
    TRY(frame_.wait_for_room([&](uint64_t timeout_ns) {
      const uint64_t value = frame_.submitted() - Submitter::kInFlightMax + 1;
      return context_.fence.wait_for_room(value, timeout_ns);
    }));
    return context_.fence.poll();
  }
  // The value comes first: the GPU may raise the fence to it at once.
  void hand_over(Commands& commands) {
    frame_.set_submitted(frame_.submitted() + 1);
    submitter_.hand_over(commands);
    commands.set_submitted(frame_.submitted());
  }
  Result<void> submit_open() {
    TRY(prepare_submit());
    if (!blocks_.has_open()) TRY(open_commands());
    Commands* block = blocks_.take();
    TRY(submitter_.write(*block));
    hand_over(*block);
    frame_.count_submit();
    return {};
  }
  // A list that the GPU still reads must not be changed.
  Result<uint64_t> submit_list(RecordedList& list, bool armed) {
    if (blocks_.has_open()) TRY(submit_open());
    auto& commands = static_cast<Commands&>(list);
    TRY_ASSIGN(const uint64_t done, prepare_submit());
    TRY(frame_.check_replay(commands.submitted_value(), done));
    TRY(submitter_.write_replay(commands, done, armed));
    hand_over(commands);
    frame_.count_submit(true);
    return frame_.submitted();
  }

  /// A channel that works, or none.
  Result<void> open_channel() {
    Result<void> opened = submitter_.open_channel();
    if (opened) opened = wait_for_first_sign();
    if (opened) return opened;
    context_.fence.lose(frame_.submitted());
    (void)submitter_.close_channel();
    context_.fence.give_up(frame_.submitted());
    return opened;
  }
  Result<void> wait_for_first_sign() {
    TRY_ASSIGN(Commands * nothing, open_commands());
    (void)blocks_.take();
    TRY(submitter_.write(*nothing));
    hand_over(*nothing);
    TRY_ASSIGN(const bool lives, context_.fence.wait(frame_.submitted(), first_sign_timeout_ns_));
    return lives ? Result<void>() : frame_.no_first_sign(first_sign_timeout_ns_);
  }
  /// A new channel after a fault; commands that were not submitted stay, as do memory, kernels and
  /// recorded lists.
  Result<void> restart() {
    if (lost_) return *lost_;
    Commands* open = blocks_.take();
    context_.fence.lose(frame_.submitted());
    const Result<void> closed = submitter_.close_channel();
    context_.fence.give_up(frame_.submitted());
    const Result<void> opened = closed ? open_channel() : closed;
    blocks_.put_back(open);
    if (opened || (closed && Submitter::kReopens)) return opened;
    lost_ = Error(ErrorKind::device_lost, opened.error().message());
    return *lost_;
  }

  Context& context_;
  QueueFrame& frame_;
  const DirectBuffers<Context>& buffers_;
  const Device* owner_;
  Submitter submitter_;
  uint64_t first_sign_timeout_ns_ = 5'000'000'000;
  std::array<MemoryAccess, kArgumentsMax> accesses_;  // of the launch at hand
  std::optional<Error> lost_;                         // the device cannot be brought back
  CommandBlocks<Commands> blocks_;
};

}  // namespace leat
