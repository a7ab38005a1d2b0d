#include "leat/backend/nvidia/nvidia_queue.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "leat/backend/nvidia/nvidia_check.h"
#include "leat/base/env.h"
#include "leat/route/launch_checks.h"
#include "leat/route/time_slots.h"

namespace leat {

namespace {

constexpr uint64_t kTimeBytes = 16;
constexpr size_t kArgumentsMax = 64;  // as Target::buffer_bindings_max, which load() checks

}  // namespace

// --- Buffers ------------------------------------------------------------------------------------

Result<uint64_t> NvidiaBuffers::allocate(uint64_t size_bytes, NvidiaPlace place) {
  context_.drain_retired();
  TRY_ASSIGN(const NvidiaRange range, context_.memory.allocate(size_bytes, place));
  return ranges_.add(range);
}

Result<uint64_t> NvidiaBuffers::import(std::span<std::byte> pages) {
  context_.drain_retired();
  TRY_ASSIGN(const NvidiaRange range, context_.memory.import(pages));
  return ranges_.add(range);
}

// --- Opening ------------------------------------------------------------------------------------

Result<void> NvidiaQueue::open() {
  checks_packets_ = env_flag("LEAT_NVIDIA_CHECK");
  NvidiaMemory& memory = context_.memory;
  TRY_ASSIGN(fence_word_, memory.allocate(sizeof(uint64_t), NvidiaPlace::shared));
  TRY_ASSIGN(times_, memory.allocate(kTimeSlots * kTimeBytes, NvidiaPlace::shared));
  TRY_ASSIGN(prefixes_,
             memory.allocate(kPrefixes * kPrefixDwords * sizeof(uint32_t), NvidiaPlace::window));
  TRY_ASSIGN(arm_word_, memory.allocate(sizeof(uint64_t), NvidiaPlace::window));
  std::memset(fence_word_.host, 0, fence_word_.size_bytes);
  std::memset(times_.host, 0, times_.size_bytes);
  std::memset(arm_word_.host, 0, arm_word_.size_bytes);
  context_.fence.open(fence_word_.host, fence_word_.address, {{&compute_, &copy_}});
  const auto make = [&]() -> Result<std::unique_ptr<NvidiaCommands>> {
    auto block = std::make_unique<NvidiaCommands>(context_);
    TRY(block->reserve(kLaunchesPerBlock));
    return block;
  };
  TRY(blocks_.reserve(make));
  return open_channels();
}

/// Channels that work, or none.
Result<void> NvidiaQueue::open_channels() {
  const Result<void> opened = [this]() -> Result<void> {
    TRY(compute_.open(context_.card, NvidiaChannel::Kind::compute));
    TRY(copy_.open(context_.card, NvidiaChannel::Kind::copy));
    return wait_for_first_sign();
  }();
  if (opened) return opened;
  context_.fence.lose(frame_.submitted());
  close_channels();
  context_.fence.give_up(frame_.submitted());
  return opened;
}

// The compute channel's set-up; the methods and their order are those that were found to work.
Result<void> NvidiaQueue::wait_for_first_sign() {
  constexpr uint32_t kSub = method::kComputeSubchannel;
  TRY(add_prefix(
      std::array{method::header(kSub, method::kSetObject, 1), context_.card.classes.compute,
                 method::immediate(kSub, method::kInvalidateSkedCaches, 0),
                 method::immediate(kSub, method::kInvalidateSampler, 0),
                 method::immediate(kSub, method::kInvalidateTextureHeader, 0),
                 method::header(kSub, method::kSharedWindowA, 2), high(method::kSharedWindow),
                 low(method::kSharedWindow), method::header(kSub, method::kLocalWindowA, 2),
                 high(method::kLocalWindow), low(method::kLocalWindow)}));
  context_.setup.forget_told();
  TRY_ASSIGN(NvidiaCommands * nothing, open_commands());
  (void)blocks_.take();
  TRY(nothing->finish(frame_.submitted() + 1));
  TRY(push(*nothing, entry_of(context_.fence.poll())));
  TRY_ASSIGN(const bool alive, context_.fence.wait(frame_.submitted(), first_sign_timeout_ns_));
  if (alive) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("The first submit on \"{}\" is not done after ({}) ms.",
                           context_.card.info.chip, first_sign_timeout_ns_ / 1'000'000));
}

// --- Commands -----------------------------------------------------------------------------------

Result<NvidiaCommands*> NvidiaQueue::open_commands() {
  return blocks_.open([&] { return submit_open(); },
                      [&](uint64_t value, uint64_t timeout_ns) {
                        return context_.fence.wait_for_room(value, timeout_ns);
                      });
}

MemoryAccess NvidiaQueue::access_of(const BufferRange& range, bool written) const {
  const uint64_t address = buffers_.at(range.buffer->handle()).address + range.offset_bytes;
  return {address, range.size_bytes, written};
}

Result<void> NvidiaQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
  TRY(check_launch(kernel, arguments, owner_));
  std::array<MemoryAccess, kArgumentsMax> room;
  const auto accesses = accesses_of(
      kernel, arguments, room,
      [&](const BufferRange& range, bool written) { return access_of(range, written); });
  TRY_ASSIGN(NvidiaCommands * commands, open_commands());
  commands->launch(static_cast<const NvidiaKernel&>(kernel), accesses);
  return {};
}

Result<void> NvidiaQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_copy(target, source, owner_));
  return copy_in_parts(access_of(target, true), access_of(source, false),
                       NvidiaCommands::kCopyBytesMax,
                       [&](uint64_t to, uint64_t from, uint64_t size_bytes) -> Result<void> {
                         TRY_ASSIGN(NvidiaCommands * commands, open_commands());
                         commands->copy(to, from, size_bytes);
                         return {};
                       });
}

Result<void> NvidiaQueue::mark_time(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  TRY_ASSIGN(NvidiaCommands * commands, open_commands());
  commands->mark_time(times_.address + slot * kTimeBytes);
  return {};
}

Result<uint64_t> NvidiaQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  uint64_t* time = reinterpret_cast<uint64_t*>(times_.host + slot * kTimeBytes + 8);
  const uint64_t ns = std::atomic_ref<uint64_t>(*time).load(std::memory_order_acquire);
  return marked_time(slot, ns);
}

// --- Submits ------------------------------------------------------------------------------------

/// A segment of its own, before what push() adds.
Result<void> NvidiaQueue::add_prefix(std::span<const uint32_t> words) {
  CHECK(words.size() <= kPrefixDwords);
  if (checks_packets_) TRY(check_segment(context_, PushEngine::compute, words));
  const uint64_t offset = (prefix_next_++ % kPrefixes) * kPrefixDwords * sizeof(uint32_t);
  std::memcpy(prefixes_.host + offset, words.data(), words.size_bytes());
  compute_.add(prefixes_.address + offset, static_cast<uint32_t>(words.size()));
  return {};
}

Result<void> NvidiaQueue::add_stale_prefix() {
  constexpr uint32_t kSub = method::kComputeSubchannel;
  constexpr uint32_t kIdle = method::immediate(kSub, method::kWaitForIdle, 0);
  if (!context_.setup.local_is_told()) {
    const uint64_t base = context_.setup.local().range.address;
    const uint64_t per_tpc = context_.setup.local().bytes_per_tpc;
    TRY(add_prefix(std::array{kIdle, method::header(kSub, method::kLocalMemoryA, 2), high(base),
                              low(base), method::header(kSub, method::kLocalNonThrottledA, 3),
                              high(per_tpc), low(per_tpc), method::kMaxSmCount}));
    context_.setup.told_local();
  }
  if (context_.setup.caches_are_stale()) {
    TRY(add_prefix(std::array{
        kIdle, method::immediate(kSub, method::kInvalidateShaderCaches,
                                 method::kInvalidateInstruction | method::kInvalidateData |
                                     method::kInvalidateConstant)}));
    context_.setup.told_caches();
  }
  return {};
}

Result<uint64_t> NvidiaQueue::prepare_submit() {
  const bool open = compute_.is_open() && copy_.is_open();
  if (!open || compute_.has_fault() || copy_.has_fault()) TRY(restart());
  const uint64_t done = context_.fence.poll();
  if (frame_.submitted() - done < kInFlightMax) return done;
  TRY(frame_.wait_for_room([&](uint64_t timeout_ns) {
    return context_.fence.wait_for_room(frame_.submitted() - kInFlightMax + 1, timeout_ns);
  }));
  return context_.fence.poll();
}

/// Hands finished commands to the GPU; they end with the fence value after `submitted`.
Result<void> NvidiaQueue::push(NvidiaCommands& commands, NvidiaEntry entry) {
  if (!context_.setup.is_told()) TRY(add_stale_prefix());
  commands.enter(entry);
  if (checks_packets_) {
    TRY(check_segment(context_, PushEngine::compute, commands.compute_words(entry)));
    TRY(check_segment(context_, PushEngine::copy, commands.copy_words()));
  }
  if (commands.copy_dwords() > 0) commands.reset_handoff();
  compute_.add(commands.compute_address(entry), commands.compute_dwords(entry));
  compute_.ring();
  if (commands.copy_dwords() > 0) {
    copy_.add(commands.copy_address(), commands.copy_dwords());
    copy_.ring();
  }
  frame_.set_submitted(frame_.submitted() + 1);
  commands.set_submitted(frame_.submitted());
  return {};
}

Result<void> NvidiaQueue::submit_open() {
  TRY(prepare_submit());
  if (!blocks_.has_open()) TRY(open_commands());
  NvidiaCommands* commands = blocks_.take();
  TRY(commands->finish(frame_.submitted() + 1));
  TRY(push(*commands, entry_of(context_.fence.poll())));  // writing them took a while
  frame_.count_submit();
  return {};
}

Result<uint64_t> NvidiaQueue::submit() {
  CHECK(!frame_.is_recording());
  TRY(submit_open());
  return frame_.submitted();
}

Result<void> NvidiaQueue::begin_record() {
  auto list = std::make_unique<NvidiaCommands>(context_);
  list->clear();
  blocks_.begin_record(std::move(list));
  return {};
}

Result<std::unique_ptr<RecordedList>> NvidiaQueue::end_record() {
  std::unique_ptr<NvidiaCommands> list = blocks_.end_record();
  context_.drain_retired();
  const Result<void> finished = list->finish(frame_.submitted() + 1);
  blocks_.finish_record();
  TRY(finished);
  return std::unique_ptr<RecordedList>(std::move(list));
}

Result<uint64_t> NvidiaQueue::submit_list(RecordedList& list, bool armed) {
  if (blocks_.has_open()) TRY(submit_open());
  auto& commands = static_cast<NvidiaCommands&>(list);
  TRY_ASSIGN(const uint64_t done, prepare_submit());
  // A list that the GPU still reads must not be changed: it would hang in the middle of a chain.
  TRY(frame_.check_replay(commands.submitted_value(), done));
  commands.set_fence_value(frame_.submitted() + 1);
  const NvidiaEntry entry = entry_of(done);
  if (armed) commands.set_arm(arm_word_.address, ++armed_, entry == NvidiaEntry::idle);
  TRY(push(commands, armed ? NvidiaEntry::armed : entry));
  frame_.count_submit(true);
  return frame_.submitted();
}

// --- Armed submits ------------------------------------------------------------------------------

void NvidiaQueue::fire() {
  *reinterpret_cast<volatile uint64_t*>(arm_word_.host) = armed_;
  _mm_sfence();
}

// --- Faults -------------------------------------------------------------------------------------

NvidiaQueue::~NvidiaQueue() { close_channels(); }

// The driver has disabled a channel that faulted; one that hangs is stopped before it is freed.
void NvidiaQueue::close_channels() {
  stop_steps_.clear();
  const auto has_fault = [](const NvidiaChannel& channel) {
    return channel.is_open() && channel.has_fault();
  };
  const bool hangs = frame_.submitted() > 0 && context_.fence.poll() < frame_.submitted() &&
                     !has_fault(compute_) && !has_fault(copy_);
  for (NvidiaChannel* channel : {&compute_, &copy_}) {
    if (hangs) channel->stop(stop_, stop_steps_);
    const auto start = std::chrono::steady_clock::now();
    channel->close();
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    stop_steps_.push_back({"RM_FREE", {}, passed.count()});
  }
}

// Memory, kernels and recorded lists outlive the channels.
Result<void> NvidiaQueue::restart() {
  NvidiaCommands* open = blocks_.take();
  context_.fence.lose(frame_.submitted());
  close_channels();
  context_.fence.give_up(frame_.submitted());
  const Result<void> opened = open_channels();
  blocks_.put_back(open);
  return opened;
}

Result<void> NvidiaQueue::abandon() {
  CHECK(!frame_.is_recording());
  (void)blocks_.take();
  return restart();
}

}  // namespace leat
