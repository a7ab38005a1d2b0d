// Executor: any thread submits recorded lists to any of several devices; each submission has a
// fence that can be waited for, a callback when its end is seen, and can be cancelled before it
// starts.
//
// A device is used by one thread at a time, so each has a lock, held while a list is handed to it.
// Submissions of one device run in their order. A few are given to the device at once, so that it
// never waits for the host; the others wait here, where they can still be cancelled. One thread for
// the whole executor looks at the fences of all devices, starts what waits, and calls back. All
// memory is taken when the executor is made, save what a callback's own captures need.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "leat/device/device.h"
#include "leat/device/spin.h"
#include "leat/run/index_ring.h"

namespace leat {

class Executor;

/// Submissions in flight or whose handle is kept, over all devices. One more waits for room.
inline constexpr size_t kSubmissionsMax = 4096;
/// Of these, lists handed to one device at once. No backend blocks below it.
inline constexpr size_t kStartedPerDeviceMax = 14;

/// How a submission ended.
enum class Ending : uint8_t { done, cancelled, failed };

/// Called on the executor's thread, which waits for nothing meanwhile: it must not block. It may
/// submit with a timeout of 0. `error` is null unless the ending is `failed`.
using OnEnd = std::function<void(Ending ending, const Error* error)>;

struct SubmitOptions {
  OnEnd on_end;
  /// How long to wait for room when kSubmissionsMax are taken.
  uint64_t timeout_ns = 0;
};

/// One submission: its future. Letting it go does not cancel the work. It must not outlive the
/// executor.
class Submission {
 public:
  Submission() = default;
  Submission(Submission&& other) noexcept { *this = std::move(other); }
  Submission& operator=(Submission&& other) noexcept;
  ~Submission() { let_go(); }

  /// The fence and the value that mean the end of this work.
  FencePoint point() const;
  bool done() const { return point().reached(); }
  /// False at the deadline. Errors: what the work failed with; invalid_argument, when it was
  /// cancelled.
  Result<bool> wait(uint64_t timeout_ns) const;
  /// True if the work had not started and now never will.
  bool cancel();
  explicit operator bool() const { return executor_ != nullptr; }

 private:
  friend class Executor;
  Submission(Executor* executor, size_t record, uint64_t value)
      : executor_(executor), record_(record), value_(value) {}
  void let_go();

  Executor* executor_ = nullptr;
  size_t record_ = 0;
  uint64_t value_ = 0;
};

class Executor {
 public:
  /// The devices outlive the executor, and are used through it alone until it is gone: see
  /// on_device().
  explicit Executor(std::span<Device* const> devices);
  /// As close().
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Gives `list` to device `device`; it lives until the submission ends and dies in on_device() or
  /// after the executor, and is in flight once only. Errors: out_of_memory, when there is no room
  /// before the timeout; invalid_argument after close().
  Result<Submission> submit(size_t device, RecordedList& list, SubmitOptions options = {});

  /// Runs `work`, on this thread, while the executor leaves the device alone: to record, to
  /// allocate, and to let lists and buffers go, each of which uses the device. Nothing starts there
  /// meanwhile, so `work` is short and calls nothing of the executor.
  void on_device(size_t device, const std::function<void(Device&)>& work);

  /// Takes no more, cancels what has not started, and waits for what has, but no longer than a hang
  /// takes to be certain. What has not ended by then fails. Any thread, save in a callback.
  void close();

  /// Accepted and not ended.
  size_t in_flight() const { return in_flight_.load(std::memory_order_acquire); }
  /// The most that were in flight at once.
  size_t most_in_flight() const { return most_in_flight_.load(std::memory_order_relaxed); }
  /// Of its own pool: held by what is in flight and by handles that were not let go.
  size_t fences_in_use() const { return fences_.in_use(); }
  size_t device_count() const { return lanes_.size(); }

 private:
  friend class Submission;
  enum class State : uint8_t { free, waiting, started, ended };
  struct Record {
    std::atomic<State> state = State::free;
    std::atomic<uint32_t> owners = 0;  // the handle and the executor
    PooledFence* fence = nullptr;      // while the record is in use
    RecordedList* list = nullptr;
    OnEnd on_end;
    uint64_t queue_value = 0;
  };
  struct Ended {
    size_t record = 0;
    Ending ending = Ending::done;
    std::optional<Error> error;
  };
  struct Lane {
    Device* device = nullptr;
    std::mutex mutex;  // of all that follows, and of the device
    IndexRing waiting{kSubmissionsMax};
    IndexRing started{kStartedPerDeviceMax};
    std::optional<Error> lost;
  };

  Result<size_t> take_record(uint64_t timeout_ns);
  void drop_owner(size_t record);
  void start_waiting(Lane& lane, std::vector<Ended>& ended);
  void start(Lane& lane, size_t record, std::vector<Ended>& ended);
  void lose(Lane& lane, const Error& error, std::vector<Ended>& ended);
  void collect(Lane& lane, std::vector<Ended>& ended);
  void finish(std::vector<Ended>& ended);
  bool cancel(size_t record, uint64_t value);
  void cancel_all(Lane& lane);
  bool has_started() const;
  uint64_t close_timeout_ns() const;
  void block();
  void run();
  void wake();

  std::vector<std::unique_ptr<Lane>> lanes_;
  FencePool fences_;
  std::vector<Record> records_;
  std::vector<size_t> free_records_;  // under room_mutex_
  std::mutex room_mutex_;
  std::condition_variable room_;
  std::atomic<size_t> in_flight_ = 0;
  std::atomic<size_t> most_in_flight_ = 0;
  std::atomic<bool> is_closing_ = false;
  std::mutex close_mutex_;

  std::mutex work_mutex_;
  std::condition_variable work_;
  uint64_t news_ = 0;  // under work_mutex_
  uint64_t seen_news_ = 0;
  uint64_t last_news_ns_ = 0;
  std::vector<Ended> cancelled_;  // under work_mutex_: ends are told on the executor's thread
  size_t turn_ = 0;               // which device is blocked on next
  std::thread thread_;
};

}  // namespace leat
