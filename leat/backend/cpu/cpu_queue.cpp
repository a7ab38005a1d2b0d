// See cpu_queue.h. The host writes the list of submission v into ring slot v, raises submitted_ and
// goes on; the executor runs the lists in order and raises the fence behind each.
#include "leat/backend/cpu/cpu_queue.h"

#include <algorithm>
#include <cstring>

#include "leat/route/launch_checks.h"

#include "leat/base/thread_start.h"

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

CpuKernel::CpuKernel(const KernelBinary& binary, LoadedCode code, CpuQueue& queue)
    : Kernel(binary), code_(std::move(code)), queue_(queue) {}

CpuRecordedList::~CpuRecordedList() { queue.retire(std::move(list), last_value); }

void CpuCommandList::clear() {
  commands.clear();
  pointers.clear();
}

Result<bool> CpuFence::wait(uint64_t value, uint64_t timeout_ns) {
  if (poll() >= value) return true;
  if (timeout_ns == 0) return false;
  const uint64_t start_ns = steady_now_ns();
  const auto timeout = std::chrono::nanoseconds(std::min(timeout_ns, kForeverNs));
  const bool done = reached_.wait_until(
      Clock::now() + timeout, [&] { return poll() >= value; }, spin_.is_soon());
  spin_.learn(steady_now_ns() - start_ns, done);
  return done;
}

void CpuFence::reach(uint64_t value) {
  value_.store(value, std::memory_order_release);
  reached_.wake();
}

CpuQueue::CpuQueue(const Device& device, const DeviceInfo& info, const Target& target)
    : device_(device), frame_(info, target) {}

Result<void> CpuQueue::start(uint32_t threads) {
  TRY(threads_.start(threads));
  TRY_ASSIGN(executor_, start_thread([this] { run_executor(); }));
  return {};
}

CpuQueue::~CpuQueue() {
  stops_.store(true, std::memory_order_release);
  submitted_wait_.wake();
  if (executor_.joinable()) executor_.join();
}

// The slot of the next submission must have been executed the last time around.
Result<void> CpuQueue::wait_for_slot() {
  const uint64_t next = frame_.submitted() + 1;
  if (next <= kSubmitsInFlightMax) return {};
  return frame_.wait_for_room(
      [&](uint64_t timeout_ns) { return fence_.wait(next - kSubmitsInFlightMax, timeout_ns); });
}

Result<CpuCommandList*> CpuQueue::open_list() {
  if (recording_ != nullptr) return recording_->list.get();
  CpuCommandList& list = slot_of(frame_.submitted() + 1).own;
  if (!frame_.has_open()) {
    TRY(wait_for_slot());
    list.clear();
    frame_.set_open(true);
  }
  return &list;
}

Result<void> CpuQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                              uint32_t groups_x) {
  TRY(check_launch(kernel, arguments, groups_x, &device_));
  const auto& cpu_kernel = static_cast<const CpuKernel&>(kernel);
  TRY_ASSIGN(CpuCommandList* const list, open_list());
  list->commands.push_back({.kind = CpuCommandList::Kind::launch,
                            .number = groups_x * kernel.grid()[1] * kernel.grid()[2],
                            .entry = cpu_kernel.entry(),
                            .first_pointer = list->pointers.size()});
  for (const BufferRange& range : arguments) {
    list->pointers.push_back(range.buffer->host_pointer() + range.offset_bytes);
  }
  return {};
}

Result<void> CpuQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_copy(target, source, &device_));
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
  CHECK(!frame_.is_recording());
  retired_.drain(fence_.poll());
  if (!frame_.has_open()) return frame_.submitted();
  frame_.set_open(false);
  return hand_over(slot_of(frame_.submitted() + 1).own, false);
}

Result<void> CpuQueue::begin_record() {
  frame_.begin_record();
  recording_ = std::make_unique<CpuRecordedList>(*this);
  return {};
}

Result<std::unique_ptr<RecordedList>> CpuQueue::end_record() {
  frame_.end_record();
  return std::unique_ptr<RecordedList>(std::move(recording_));
}

Result<uint64_t> CpuQueue::replay(RecordedList& list) {
  auto& recorded = static_cast<CpuRecordedList&>(list);
  TRY(frame_.check_replay(recorded.last_value, fence_.poll()));
  TRY(submit());
  TRY(wait_for_slot());
  recorded.last_value = hand_over(*recorded.list, true);
  return recorded.last_value;
}

// The slot of the next submission is free.
uint64_t CpuQueue::hand_over(const CpuCommandList& list, bool replay) {
  const uint64_t value = frame_.submitted() + 1;
  slot_of(value).list = &list;
  frame_.count_submit(replay);
  frame_.set_submitted(value);
  submitted_wait_.wake();
  return value;
}

void CpuQueue::retire(uint64_t last_use, Remains remains) {
  if (fence_.poll() < last_use) retired_.add(last_use, std::move(remains));
}

void CpuQueue::run_executor() {
  uint64_t done = 0;
  while (true) {
    submitted_wait_.wait(
        [&] { return frame_.submitted() > done || stops_.load(std::memory_order_acquire); });
    if (frame_.submitted() == done) return;
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
      case CpuCommandList::Kind::mark_time: times_.set(command.number, steady_now_ns()); break;
    }
  }
}

}  // namespace leat
