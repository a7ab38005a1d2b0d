// A pool of fences, sized once. A pooled fence belongs to one piece of work from before it is given
// to a queue: its number grows by one when that work is done. Once the work is submitted the fence
// reads the queue's own number, so nothing has to be done by the host when the device finishes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "leat/device/fence.h"

namespace leat {

/// Fences of a device's own pool.
inline constexpr size_t kFencesDefault = 64;

/// A fence that can be waited for before its work is submitted. Any thread may poll and wait; the
/// others are called by the one that owns the work.
class PooledFence final : public Fence {
 public:
  uint64_t poll() override;
  /// Errors: what the work failed with, or the queue's.
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override;

  /// The value that the next piece of work will raise the number to. The last one is done.
  uint64_t arm();
  /// The work was submitted: it is done when `point` is reached.
  void bind(FencePoint point);
  /// The work is done, says the host.
  void finish();
  /// The work will not be done: present and later waits for its value give `error`. The number is
  /// raised by the next arm().
  void fail(Error error);

 private:
  std::optional<Error> failure();
  void wake();

  std::atomic<uint64_t> done_ = 0;   // the number, as far as it is known here
  std::atomic<uint64_t> armed_ = 0;  // what the work in hand raises it to
  std::atomic<Fence*> queue_fence_ = nullptr;
  std::atomic<uint64_t> queue_value_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> error_;
};

class FencePool {
 public:
  explicit FencePool(size_t count = kFencesDefault);

  size_t size() const { return count_; }
  size_t in_use() const;
  /// A fence that nobody uses, or null when all are in use. Takes no lock and no memory.
  PooledFence* acquire();
  /// Its work is done or failed, and nobody waits for it.
  void release(PooledFence& fence);

 private:
  static constexpr size_t kBitsPerWord = 64;

  size_t count_;
  size_t word_count_;
  std::unique_ptr<PooledFence[]> fences_;
  std::unique_ptr<std::atomic<uint64_t>[]> used_;  // a bit a fence
};

}  // namespace leat
