#include "leat/backend/amd/amd_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/backend/amd/amd_check.h"
#include "leat/base/env.h"
#include "leat/route/launch_checks.h"
#include "leat/route/time_slots.h"

namespace leat {

namespace {

constexpr size_t kArgumentsMax = 64;  // as Target::buffer_bindings_max, which load() checks
constexpr uint64_t kArmOffset = 64, kTimesOffset = 128;
constexpr uint64_t kFirstSignTimeoutNs = 5'000'000'000;
constexpr size_t kListDwords = 64;

}  // namespace

// --- Buffers ------------------------------------------------------------------------------------

Result<uint64_t> AmdBuffers::allocate(uint64_t size_bytes, AmdPlace place) {
  context_.drain_retired();
  TRY_ASSIGN(const AmdRange range, context_.memory.allocate(size_bytes, place));
  return ranges_.add(range);
}

Result<uint64_t> AmdBuffers::import(std::span<std::byte> pages) {
  context_.drain_retired();
  TRY_ASSIGN(const AmdRange range, context_.memory.import(pages));
  return ranges_.add(range);
}

// --- Opening ------------------------------------------------------------------------------------

Result<void> AmdQueue::open() {
  checks_packets_ = env_flag("LEAT_AMD_CHECK");
  TRY_ASSIGN(words_, context_.memory.allocate(kTimesOffset + kTimeSlots * sizeof(uint64_t),
                                              AmdPlace::shared));
  std::memset(words_.host, 0, words_.size_bytes);
  context_.fence.open(words_.host, words_.address, {&channel_});
  list_words_.reserve(kListDwords, 0);
  const auto make = [&]() -> Result<std::unique_ptr<AmdCommands>> {
    auto block = std::make_unique<AmdCommands>(context_);
    TRY(block->reserve());
    return block;
  };
  TRY(blocks_.reserve(make));
  return open_channel();
}

/// A channel that works, or none.
Result<void> AmdQueue::open_channel() {
  TRY(channel_.open(context_.card));
  const Result<void> lives = wait_for_first_sign();
  if (lives) return lives;
  context_.fence.lose(frame_.submitted());
  (void)channel_.close();
  context_.fence.give_up(frame_.submitted());
  return lives;
}

Result<void> AmdQueue::wait_for_first_sign() {
  TRY_ASSIGN(AmdCommands * nothing, open_commands());
  (void)blocks_.take();
  TRY(push(*nothing));
  TRY_ASSIGN(const bool lives, context_.fence.wait(frame_.submitted(), kFirstSignTimeoutNs));
  if (lives) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("The first submit on \"{}\" is not done after ({}) ms.",
                           context_.card.info.chip, kFirstSignTimeoutNs / 1'000'000));
}

// --- Commands -----------------------------------------------------------------------------------

Result<AmdCommands*> AmdQueue::open_commands() {
  return blocks_.open([&] { return submit_open(); },
                      [&](uint64_t value, uint64_t timeout_ns) {
                        return context_.fence.wait_for_room(value, timeout_ns);
                      });
}

MemoryAccess AmdQueue::access_of(const BufferRange& range, bool written) const {
  const uint64_t address = buffers_.at(range.buffer->handle()).address + range.offset_bytes;
  return {address, range.size_bytes, written};
}

Result<void> AmdQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
  TRY(check_launch(kernel, arguments, owner_));
  std::array<MemoryAccess, kArgumentsMax> room;
  const auto accesses = accesses_of(
      kernel, arguments, room,
      [&](const BufferRange& range, bool written) { return access_of(range, written); });
  TRY_ASSIGN(AmdCommands * commands, open_commands());
  commands->launch(static_cast<const AmdKernel&>(kernel), accesses);
  return {};
}

Result<void> AmdQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_copy(target, source, owner_));
  return copy_in_parts(access_of(target, true), access_of(source, false),
                       AmdCommands::kCopyBytesMax,
                       [&](uint64_t to, uint64_t from, uint64_t size_bytes) -> Result<void> {
                         TRY_ASSIGN(AmdCommands * commands, open_commands());
                         commands->copy(to, from, size_bytes);
                         return {};
                       });
}

Result<void> AmdQueue::mark_time(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  TRY_ASSIGN(AmdCommands * commands, open_commands());
  commands->mark_time(words_.address + kTimesOffset + slot * sizeof(uint64_t));
  return {};
}

Result<uint64_t> AmdQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  auto* time = reinterpret_cast<uint64_t*>(words_.host + kTimesOffset + slot * sizeof(uint64_t));
  const uint64_t ticks = std::atomic_ref<uint64_t>(*time).load(std::memory_order_acquire);
  return marked_time(slot, ticks * pm4::kClockNsPerTick);
}

// --- Submits ------------------------------------------------------------------------------------

Result<void> AmdQueue::prepare_submit() {
  if (lost_) return *lost_;
  if (!channel_.is_open() || channel_.has_fault()) TRY(restart());
  if (frame_.submitted() - context_.fence.poll() < kInFlightMax) return {};
  return frame_.wait_for_room([&](uint64_t timeout_ns) {
    return context_.fence.wait_for_room(frame_.submitted() - kInFlightMax + 1, timeout_ns);
  });
}

Result<void> AmdQueue::finish_submit(const std::byte* begun, uint32_t dwords,
                                     AmdCommands& commands) {
  if (checks_packets_) {
    TRY(check_packets(context_, {reinterpret_cast<const uint32_t*>(begun), dwords}));
  }
  // Fence values are believed up to this one: it comes first.
  frame_.set_submitted(frame_.submitted() + 1);
  commands.set_submitted(frame_.submitted());
  channel_.submit(dwords);
  return {};
}

Result<void> AmdQueue::push(AmdCommands& block) {
  block.end(frame_.submitted() + 1);
  std::byte* target = channel_.begin(block.dwords());
  block.write(target);
  return finish_submit(target, block.dwords(), block);
}

Result<void> AmdQueue::submit_open() {
  TRY(prepare_submit());
  if (!blocks_.has_open()) TRY(open_commands());
  AmdCommands* commands = blocks_.take();
  TRY(push(*commands));
  frame_.count_submit();
  return {};
}

Result<uint64_t> AmdQueue::submit() {
  CHECK(!frame_.is_recording());
  TRY(submit_open());
  return frame_.submitted();
}

Result<void> AmdQueue::begin_record() {
  blocks_.begin_record(std::make_unique<AmdCommands>(context_));
  return {};
}

Result<std::unique_ptr<RecordedList>> AmdQueue::end_record() {
  std::unique_ptr<AmdCommands> list = blocks_.end_record();
  context_.drain_retired();
  const Result<void> placed = list->place();
  blocks_.finish_record();
  TRY(placed);
  return std::unique_ptr<RecordedList>(std::move(list));
}

// What changes from submit to submit stands in the ring, so that a list is written once.
Result<uint64_t> AmdQueue::submit_list(RecordedList& list, bool armed) {
  if (blocks_.has_open()) TRY(submit_open());
  auto& commands = static_cast<AmdCommands&>(list);
  TRY(prepare_submit());
  TRY(frame_.check_replay(commands.submitted_value(), context_.fence.poll()));
  list_words_.clear();
  if (armed) pm4::wait_least(list_words_, words_.address + kArmOffset, ++armed_);
  AmdCommands::add_begin(list_words_, context_);
  if (!commands.is_empty()) pm4::call_buffer(list_words_, commands.address(), commands.dwords());
  AmdCommands::add_end(list_words_, context_, frame_.submitted() + 1);
  std::byte* target = channel_.begin(list_words_.size());
  list_words_.place(0, target);
  TRY(finish_submit(target, list_words_.size(), commands));
  frame_.count_submit(true);
  return frame_.submitted();
}

// --- Armed submits ------------------------------------------------------------------------------

void AmdQueue::fire() {
  auto* number = reinterpret_cast<uint64_t*>(words_.host + kArmOffset);
  std::atomic_ref<uint64_t>(*number).store(armed_, std::memory_order_seq_cst);
}

// --- Faults -------------------------------------------------------------------------------------

// Memory, kernels and recorded lists outlive the channel, unless the GPU does not let go of them.
Result<void> AmdQueue::restart() {
  if (lost_) return *lost_;
  AmdCommands* open = blocks_.take();
  context_.fence.lose(frame_.submitted());
  const Result<void> closed = channel_.close();
  context_.fence.give_up(frame_.submitted());
  if (!closed) lost_ = closed.error();
  TRY(closed);
  const Result<void> opened = open_channel();
  blocks_.put_back(open);
  if (!opened) lost_ = Error(ErrorKind::device_lost, opened.error().message());
  return opened ? Result<void>() : Result<void>(*lost_);
}

Result<void> AmdQueue::abandon() {
  CHECK(!frame_.is_recording());
  (void)blocks_.take();
  return restart();
}

}  // namespace leat
