// The cpu device's queue: lists of commands, handed to a thread that executes them in order with
// the help of the others. A ring of lists lies between the host and that thread; each list keeps
// its memory, so after the first rounds recording and submitting allocate nothing.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "leat/backend/cpu/cpu_memory.h"
#include "leat/backend/cpu/cpu_threads.h"
#include "leat/device/device.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"
#include "leat/route/time_slots.h"

namespace leat {

/// Commands in order, and the buffer addresses of their launches.
struct CpuCommandList {
  enum class Kind : uint8_t { launch, copy, mark_time };
  struct Command {
    Kind kind = Kind::launch;
    uint32_t number = 0;  // launch: workgroups; mark_time: slot
    KernelEntry entry = nullptr;
    size_t first_pointer = 0;     // launch
    std::byte* target = nullptr;  // copy
    const std::byte* source = nullptr;
    size_t size_bytes = 0;
  };
  std::vector<Command> commands;
  std::vector<const void*> pointers;

  void clear();
};

class CpuQueue;

/// May die in flight: the queue, which outlives it, then keeps the commands until they are done.
struct CpuRecordedList : RecordedList {
  explicit CpuRecordedList(CpuQueue& maker) : queue(maker) {}
  CpuRecordedList(const CpuRecordedList&) = delete;
  ~CpuRecordedList() override;

  CpuQueue& queue;
  std::unique_ptr<CpuCommandList> list = std::make_unique<CpuCommandList>();
  uint64_t last_value = 0;  // fence value of the last replay
};

/// The fence: a number that the executing thread raises.
class CpuFence : public Fence {
 public:
  uint64_t poll() override { return value_.load(std::memory_order_acquire); }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override;
  void reach(uint64_t value);

 private:
  std::atomic<uint64_t> value_ = 0;
  CpuWait reached_;
  AdaptiveSpin spin_;  // whoever waits in slices must not give a core away anew in each
};

class CpuQueue : public Queue {
 public:
  /// `device` is the one whose buffers and kernels the queue takes, with its facts.
  CpuQueue(const Device& device, const DeviceInfo& info, const Target& target);
  /// Once, before anything else. Errors: out_of_memory, when a thread cannot start.
  Result<void> start(uint32_t threads);
  /// Ends the work in flight first: its threads and lists die with the queue.
  ~CpuQueue() override;

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                      uint32_t groups_x) override;
  Result<void> copy(BufferRange target, BufferRange source) override;
  Result<void> mark_time(uint32_t slot) override;
  Result<uint64_t> submit() override;
  Result<void> begin_record() override;
  Result<std::unique_ptr<RecordedList>> end_record() override;
  Result<uint64_t> replay(RecordedList& list) override;
  Fence& fence() override { return fence_; }
  Result<uint64_t> time_ns(uint32_t slot) override { return times_.at(slot); }
  Counts counts() const override { return frame_.counts(); }

  /// Keeps what a dead buffer or kernel leaves until everything given to the queue so far is done;
  /// frees it at once where that is so already.
  void retire(CpuMemory memory) { retire(frame_.last_use(), {std::move(memory), {}, {}}); }
  void retire(LoadedCode code) { retire(frame_.last_use(), {{}, std::move(code), {}}); }
  /// The same for a dead list's commands, until the list's last replay is done.
  void retire(std::unique_ptr<CpuCommandList> list, uint64_t last_value) {
    retire(last_value, {{}, {}, std::move(list)});
  }

 private:
  struct Remains {
    CpuMemory memory;
    LoadedCode code;
    std::unique_ptr<CpuCommandList> list;
  };
  struct Submission {
    CpuCommandList own;
    const CpuCommandList* list = nullptr;
  };
  static constexpr size_t kSubmitsInFlightMax = 32;

  void retire(uint64_t last_use, Remains remains);
  Result<void> wait_for_slot();
  Result<CpuCommandList*> open_list();
  Submission& slot_of(uint64_t value) { return ring_[value % kSubmitsInFlightMax]; }
  uint64_t hand_over(const CpuCommandList& list, bool replay);
  void run_executor();
  void execute(const CpuCommandList& list);

  const Device& device_;
  QueueFrame frame_;
  CpuThreads threads_;
  CpuFence fence_;
  std::array<Submission, kSubmitsInFlightMax> ring_;
  std::unique_ptr<CpuRecordedList> recording_;
  RetireList<Remains> retired_;
  TimeSlots times_;
  std::atomic<bool> stops_ = false;
  CpuWait submitted_wait_;
  std::thread executor_;
};

/// A kernel whose code is in memory. It may die while the queue still runs it.
class CpuKernel : public Kernel {
 public:
  CpuKernel(const KernelBinary& binary, LoadedCode code, CpuQueue& queue);
  ~CpuKernel() override { queue_.retire(std::move(code_)); }

  KernelEntry entry() const { return code_.entry(); }

 private:
  LoadedCode code_;
  CpuQueue& queue_;
};

}  // namespace leat
