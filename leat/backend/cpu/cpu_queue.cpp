// See cpu_queue.h. The host writes the list of submission v into ring slot v, raises submitted_ and
// goes on; the executor runs the lists in order and raises the fence behind each.
#include "leat/backend/cpu/cpu_queue.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

// Timeouts beyond this are as good as forever and do not overflow the clock.
constexpr uint64_t kTimeoutNsMax = uint64_t{1} << 60;

uint64_t now_ns() {
  const auto now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch());
  return static_cast<uint64_t>(now.count());
}

}  // namespace

CpuKernel::CpuKernel(const KernelBinary& binary, LoadedCode code, CpuQueue& queue)
    : Kernel(binary),
      code_(std::move(code)),
      group_count_(binary.grid[0] * binary.grid[1] * binary.grid[2]),
      queue_(queue) {}

CpuRecordedList::~CpuRecordedList() { queue.retire(std::move(list), last_value); }

void CpuCommandList::clear() {
  commands.clear();
  pointers.clear();
}

Result<bool> CpuFence::wait(uint64_t value, uint64_t timeout_ns) {
  if (poll() >= value) return true;
  if (timeout_ns == 0) return false;
  const uint64_t start_ns = steady_now_ns();
  const auto timeout = std::chrono::nanoseconds(std::min(timeout_ns, kTimeoutNsMax));
  const bool done = reached_.wait_until(
      Clock::now() + timeout, [&] { return poll() >= value; }, spin_.is_soon());
  spin_.learn(steady_now_ns() - start_ns, done);
  return done;
}

void CpuFence::reach(uint64_t value) {
  value_.store(value, std::memory_order_release);
  reached_.wake();
}

CpuQueue::CpuQueue(const Device& device, uint32_t threads)
    : device_(device), threads_(threads), executor_([this] { run_executor(); }) {}

CpuQueue::~CpuQueue() {
  stops_.store(true, std::memory_order_release);
  submitted_wait_.wake();
  executor_.join();
}

// The slot of the next submission must have been executed the last time around.
Result<void> CpuQueue::wait_for_slot() {
  const uint64_t next = submitted_.load(std::memory_order_relaxed) + 1;
  if (next <= kSubmitsInFlightMax) return {};
  const uint64_t timeout_ns = hang_timeout_ns(device_);
  TRY_ASSIGN(const bool is_free, fence_.wait(next - kSubmitsInFlightMax, timeout_ns));
  if (is_free) return {};
  return Error(ErrorKind::device_lost, "Work on Device \"cpu\" passes its deadline (" +
                                           std::to_string(timeout_ns) + " ns).");
}

Result<CpuCommandList*> CpuQueue::open_list() {
  if (recording_ != nullptr) return recording_->list.get();
  CpuCommandList& list = slot_of(submitted_.load(std::memory_order_relaxed) + 1).own;
  if (!is_open_) {
    TRY(wait_for_slot());
    list.clear();
    is_open_ = true;
  }
  return &list;
}

Result<void> CpuQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
  CHECK(arguments.size() == kernel.arguments().size());
  for (const BufferRange& range : arguments) {
    TRY(check_range(range, &device_));
    CHECK(range.offset_bytes % kBufferAlignment == 0);
  }
  const auto& cpu_kernel = static_cast<const CpuKernel&>(kernel);
  TRY_ASSIGN(CpuCommandList* const list, open_list());
  list->commands.push_back({.kind = CpuCommandList::Kind::launch,
                            .number = cpu_kernel.group_count(),
                            .entry = cpu_kernel.entry(),
                            .first_pointer = list->pointers.size()});
  for (const BufferRange& range : arguments) {
    list->pointers.push_back(range.buffer->host_pointer() + range.offset_bytes);
  }
  return {};
}

Result<void> CpuQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_range(target, &device_));
  TRY(check_range(source, &device_));
  if (target.size_bytes != source.size_bytes) {
    return Error(ErrorKind::invalid_argument,
                 "Copy has a target of (" + std::to_string(target.size_bytes) +
                     ") bytes and a source of (" + std::to_string(source.size_bytes) + ") bytes.");
  }
  TRY_ASSIGN(CpuCommandList* const list, open_list());
  list->commands.push_back({.kind = CpuCommandList::Kind::copy,
                            .target = target.buffer->host_pointer() + target.offset_bytes,
                            .source = source.buffer->host_pointer() + source.offset_bytes,
                            .size_bytes = source.size_bytes});
  return {};
}

Result<void> CpuQueue::mark_time(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  TRY_ASSIGN(CpuCommandList* const list, open_list());
  list->commands.push_back({.kind = CpuCommandList::Kind::mark_time, .number = slot});
  return {};
}

Result<uint64_t> CpuQueue::submit() {
  CHECK(recording_ == nullptr);
  free_retired();
  const uint64_t submitted = submitted_.load(std::memory_order_relaxed);
  if (!is_open_) return submitted;
  is_open_ = false;
  return hand_over(slot_of(submitted + 1).own);
}

Result<void> CpuQueue::begin_record() {
  CHECK(recording_ == nullptr);
  recording_ = std::make_unique<CpuRecordedList>(*this);
  return {};
}

Result<std::unique_ptr<RecordedList>> CpuQueue::end_record() {
  CHECK(recording_ != nullptr);
  return std::unique_ptr<RecordedList>(std::move(recording_));
}

Result<uint64_t> CpuQueue::replay(RecordedList& list) {
  auto& recorded = static_cast<CpuRecordedList&>(list);
  if (fence_.poll() < recorded.last_value) {
    return Error(ErrorKind::invalid_argument,
                 "A recorded list is replayed before its last replay reaches its fence value (" +
                     std::to_string(recorded.last_value) + ").");
  }
  TRY(submit());
  TRY(wait_for_slot());
  recorded.last_value = hand_over(*recorded.list);
  return recorded.last_value;
}

// The slot of the next submission is free.
uint64_t CpuQueue::hand_over(const CpuCommandList& list) {
  const uint64_t value = submitted_.load(std::memory_order_relaxed) + 1;
  slot_of(value).list = &list;
  submitted_.store(value, std::memory_order_release);
  submitted_wait_.wake();
  return value;
}

Result<uint64_t> CpuQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  const uint64_t time = times_ns_[slot].load(std::memory_order_relaxed);
  if (time != 0) return time;
  return Error(ErrorKind::invalid_argument,
               "Time slot (" + std::to_string(slot) + ") holds no time.");
}

uint64_t CpuQueue::last_use() const {
  return submitted_.load(std::memory_order_relaxed) + (is_open_ ? 1 : 0);
}

void CpuQueue::retire(Retired retired) {
  if (fence_.poll() < retired.last_use) retired_.push_back(std::move(retired));
}

void CpuQueue::free_retired() {
  const uint64_t reached = fence_.poll();
  std::erase_if(retired_, [&](const Retired& retired) { return retired.last_use <= reached; });
}

void CpuQueue::run_executor() {
  uint64_t done = 0;
  while (true) {
    submitted_wait_.wait([&] {
      return submitted_.load(std::memory_order_acquire) > done ||
             stops_.load(std::memory_order_acquire);
    });
    if (submitted_.load(std::memory_order_acquire) == done) return;
    ++done;
    execute(*slot_of(done).list);
    fence_.reach(done);
  }
}

void CpuQueue::execute(const CpuCommandList& list) {
  for (const CpuCommandList::Command& command : list.commands) {
    switch (command.kind) {
      case CpuCommandList::Kind::launch:
        threads_.run(command.entry, list.pointers.data() + command.first_pointer, command.number);
        break;
      case CpuCommandList::Kind::copy:
        std::memcpy(command.target, command.source, command.size_bytes);
        break;
      case CpuCommandList::Kind::mark_time:
        times_ns_[command.number].store(now_ns(), std::memory_order_relaxed);
        break;
    }
  }
}

}  // namespace leat
