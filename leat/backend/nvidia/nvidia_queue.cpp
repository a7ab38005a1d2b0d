#include "leat/backend/nvidia/nvidia_queue.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "leat/backend/nvidia/nvidia_check.h"
#include "leat/base/env.h"

namespace leat {

namespace {

constexpr uint64_t kTimeBytes = 16;
constexpr size_t kArgumentsMax = 64;

uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

}  // namespace

// --- Buffers ------------------------------------------------------------------------------------

Result<uint64_t> NvidiaBuffers::allocate(uint64_t size_bytes, NvidiaPlace place) {
  context_.drain_retired();
  TRY_ASSIGN(const NvidiaRange range, context_.memory.allocate(size_bytes, place));
  return add(range);
}

Result<uint64_t> NvidiaBuffers::import(std::span<std::byte> pages) {
  context_.drain_retired();
  TRY_ASSIGN(const NvidiaRange range, context_.memory.import(pages));
  return add(range);
}

uint64_t NvidiaBuffers::add(const NvidiaRange& range) {
  if (free_handles_.empty()) {
    ranges_.push_back(range);
    return ranges_.size() - 1;
  }
  const uint64_t handle = free_handles_.back();
  free_handles_.pop_back();
  ranges_[handle] = range;
  return handle;
}

const NvidiaRange& NvidiaBuffers::at(uint64_t handle) const {
  CHECK(handle < ranges_.size() && ranges_[handle]);
  return ranges_[handle];
}

void NvidiaBuffers::free(uint64_t handle) {
  context_.retire(at(handle));
  ranges_[handle] = {};
  free_handles_.push_back(handle);
}

// --- Opening ------------------------------------------------------------------------------------

Result<void> NvidiaQueue::open() {
  checks_packets_ = env("LEAT_NVIDIA_CHECK") == "1";
  NvidiaMemory& memory = context_.memory;
  TRY_ASSIGN(fence_word_, memory.allocate(sizeof(uint64_t), NvidiaPlace::shared));
  TRY_ASSIGN(times_, memory.allocate(kTimeSlots * kTimeBytes, NvidiaPlace::shared));
  TRY_ASSIGN(prefixes_,
             memory.allocate(kPrefixes * kPrefixDwords * sizeof(uint32_t), NvidiaPlace::window));
  TRY_ASSIGN(arm_word_, memory.allocate(sizeof(uint64_t), NvidiaPlace::window));
  std::memset(fence_word_.host, 0, fence_word_.size_bytes);
  std::memset(times_.host, 0, times_.size_bytes);
  std::memset(arm_word_.host, 0, arm_word_.size_bytes);
  context_.fence.open(fence_word_, {&compute_, &copy_});
  for (std::unique_ptr<NvidiaCommands>& block : blocks_) {
    block = std::make_unique<NvidiaCommands>(context_);
    TRY(block->reserve(kLaunchesPerBlock));
  }
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
  context_.fence.lose(context_.submitted);
  close_channels();
  context_.fence.give_up(context_.submitted);
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
  context_.caches_are_stale = true;
  context_.local.is_set = context_.local.bytes_per_thread == 0;
  TRY_ASSIGN(NvidiaCommands * nothing, open_commands());
  set_open(nullptr);
  TRY(nothing->finish(context_.submitted + 1));
  TRY(push(*nothing, false));
  TRY_ASSIGN(const bool alive,
             context_.fence.wait(context_.submitted, context_.first_sign_timeout_ns));
  if (alive) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("The first submit on \"{}\" is not done after ({}) ms.",
                           context_.card.info.chip, context_.first_sign_timeout_ns / 1'000'000));
}

// --- Commands -----------------------------------------------------------------------------------

Result<NvidiaCommands*> NvidiaQueue::open_commands() {
  if (recording_ != nullptr) return recording_.get();
  if (open_ != nullptr && open_->is_full()) TRY(submit_open());
  if (open_ != nullptr) return open_;
  NvidiaCommands& next = *blocks_[block_next_];
  TRY_ASSIGN(const bool free, context_.fence.wait_for_room(next.submitted_value(), kHangTimeoutNs));
  if (!free) {
    return Error(ErrorKind::device_lost,
                 fmt::format("Work on \"{}\" passed its deadline.", context_.card.info.chip));
  }
  block_next_ = (block_next_ + 1) % kBlocks;
  next.clear();
  set_open(&next);
  return open_;
}

Result<MemoryAccess> NvidiaQueue::access_of(const BufferRange& range, bool written) const {
  TRY(check_range(range));
  const uint64_t address = buffers_.at(range.buffer->handle()).address + range.offset_bytes;
  return MemoryAccess{address, range.size_bytes, written};
}

Result<void> NvidiaQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
  CHECK(arguments.size() == kernel.arguments().size() && arguments.size() <= kArgumentsMax);
  std::array<MemoryAccess, kArgumentsMax> accesses;
  for (size_t i = 0; i < arguments.size(); ++i) {
    CHECK(arguments[i].offset_bytes % kBufferAlignment == 0);
    TRY_ASSIGN(accesses[i], access_of(arguments[i], kernel.arguments()[i].written));
  }
  TRY_ASSIGN(NvidiaCommands * commands, open_commands());
  commands->launch(static_cast<const NvidiaKernel&>(kernel),
                   std::span(accesses).first(arguments.size()));
  return {};
}

Result<void> NvidiaQueue::copy(BufferRange target, BufferRange source) {
  TRY_ASSIGN(const MemoryAccess to, access_of(target, true));
  TRY_ASSIGN(const MemoryAccess from, access_of(source, false));
  if (to.size_bytes != from.size_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Copy has a target of ({}) bytes and a source of ({}) bytes.",
                             to.size_bytes, from.size_bytes));
  }
  for (uint64_t done = 0; done < to.size_bytes;) {  // in parts that fit behind what is open
    const uint64_t part = std::min(to.size_bytes - done, NvidiaCommands::kCopyBytesMax);
    TRY_ASSIGN(NvidiaCommands * commands, open_commands());
    commands->copy(to.address + done, from.address + done, part);
    done += part;
  }
  return {};
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
  if (ns != 0) return ns;
  return Error(ErrorKind::invalid_argument, fmt::format("Time slot ({}) holds no time.", slot));
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
  if (!context_.local.is_set) {
    const uint64_t base = context_.local.range.address;
    const uint64_t per_tpc = context_.local.bytes_per_tpc;
    TRY(add_prefix(std::array{kIdle, method::header(kSub, method::kLocalMemoryA, 2), high(base),
                              low(base), method::header(kSub, method::kLocalNonThrottledA, 3),
                              high(per_tpc), low(per_tpc), method::kMaxSmCount}));
    context_.local.is_set = true;
  }
  if (context_.caches_are_stale) {
    TRY(add_prefix(std::array{
        kIdle, method::immediate(kSub, method::kInvalidateShaderCaches,
                                 method::kInvalidateInstruction | method::kInvalidateData |
                                     method::kInvalidateConstant)}));
    context_.caches_are_stale = false;
  }
  return {};
}

/// Room in the ring, and channels that work.
Result<void> NvidiaQueue::prepare_submit() {
  const bool open = compute_.is_open() && copy_.is_open();
  if (!open || compute_.has_fault() || copy_.has_fault()) TRY(restart());
  const uint64_t done = context_.fence.poll();
  if (context_.submitted - done < kInFlightMax) return {};
  TRY_ASSIGN(const bool free,
             context_.fence.wait_for_room(context_.submitted - kInFlightMax + 1, kHangTimeoutNs));
  if (free) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("Work on \"{}\" passed its deadline.", context_.card.info.chip));
}

/// Hands finished commands to the GPU; they end with the fence value after `submitted`.
Result<void> NvidiaQueue::push(NvidiaCommands& commands, bool armed) {
  if (context_.caches_are_stale || !context_.local.is_set) TRY(add_stale_prefix());
  const bool idle = context_.fence.poll() == context_.submitted;
  using Entry = NvidiaCommands::Entry;
  const Entry entry = armed ? Entry::armed : idle ? Entry::idle : Entry::busy;
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
  commands.set_submitted(++context_.submitted);
  return {};
}

Result<void> NvidiaQueue::submit_open() {
  TRY(prepare_submit());
  NvidiaCommands* commands = open_;
  if (commands == nullptr) {
    TRY_ASSIGN(commands, open_commands());
  }
  set_open(nullptr);
  TRY(commands->finish(context_.submitted + 1));
  return push(*commands, false);
}

Result<uint64_t> NvidiaQueue::submit() {
  CHECK(recording_ == nullptr);
  TRY(submit_open());
  return context_.submitted;
}

Result<void> NvidiaQueue::begin_record() {
  CHECK(recording_ == nullptr);
  recording_ = std::make_unique<NvidiaCommands>(context_);
  recording_->clear();
  set_open(open_);
  return {};
}

Result<std::unique_ptr<RecordedList>> NvidiaQueue::end_record() {
  CHECK(recording_ != nullptr);
  std::unique_ptr<NvidiaCommands> list = std::move(recording_);
  context_.drain_retired();
  const Result<void> finished = list->finish(context_.submitted + 1);
  set_open(open_);
  TRY(finished);
  return std::unique_ptr<RecordedList>(std::move(list));
}

Result<uint64_t> NvidiaQueue::submit_list(RecordedList& list, bool armed) {
  CHECK(recording_ == nullptr);
  if (open_ != nullptr) TRY(submit_open());
  auto& commands = static_cast<NvidiaCommands&>(list);
  TRY(prepare_submit());
  // A list that the GPU still reads must not be changed: it would hang in the middle of a chain.
  if (context_.fence.poll() < commands.submitted_value()) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("A recorded list is replayed while its last replay (fence value {}) is "
                    "in flight.",
                    commands.submitted_value()));
  }
  commands.set_fence_value(context_.submitted + 1);
  if (armed) {
    const bool idle = context_.fence.poll() == context_.submitted;
    commands.set_arm(arm_word_.address, ++armed_, idle);
  }
  TRY(push(commands, armed));
  return context_.submitted;
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
  const bool hangs = context_.submitted > 0 && context_.fence.poll() < context_.submitted &&
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
  NvidiaCommands* open = open_;
  set_open(nullptr);
  context_.fence.lose(context_.submitted);
  close_channels();
  context_.fence.give_up(context_.submitted);
  const Result<void> opened = open_channels();
  set_open(open);
  return opened;
}

Result<void> NvidiaQueue::abandon() {
  CHECK(recording_ == nullptr);
  set_open(nullptr);
  return restart();
}

}  // namespace leat
