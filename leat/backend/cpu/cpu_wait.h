// Waiting for a condition on atomics: look, spin for a bounded time, then sleep.
// Whoever changes the atomics calls wake(), which costs one locked instruction while nobody sleeps.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "leat/device/spin.h"

namespace leat {

/// Looks before a thread goes to sleep: some 5 microseconds of pauses (x86 `pause` takes 40 to 140
/// cycles on Zen 3 and Skylake), then as long as a sleep and a wake-up take, giving the core away
/// each time: on a busy machine the thread that is waited for may need this very core.
inline constexpr uint32_t kPausesMax = 200;
inline constexpr uint32_t kYieldsMax = 200;

class CpuWait {
 public:
  using Clock = std::chrono::steady_clock;

  /// Returns once done() is true, or at the deadline with its last answer. done() must read atomics
  /// that are changed before a call of wake(). Without `yields` it sleeps after the pauses.
  template <typename Done>
  bool wait_until(Clock::time_point deadline, const Done& done, bool yields) {
    if (spin(done, yields)) return true;
    const Sleeper sleeper(*this);
    std::unique_lock lock(mutex_);
    return woken_.wait_until(lock, deadline, done);
  }

  template <typename Done>
  void wait(const Done& done) {
    if (spin(done, true)) return;
    const Sleeper sleeper(*this);
    std::unique_lock lock(mutex_);
    woken_.wait(lock, done);
  }

  /// Wakes all sleepers to look again. The read-modify-write on sleepers_ is what orders the change
  /// that the caller made against a sleeper's last look.
  void wake() {
    if (sleepers_.fetch_add(0, std::memory_order_acq_rel) == 0) return;
    { const std::lock_guard lock(mutex_); }
    woken_.notify_all();
  }

 private:
  class Sleeper {
   public:
    explicit Sleeper(CpuWait& wait) : wait_(wait) {
      wait_.sleepers_.fetch_add(1, std::memory_order_acq_rel);
    }
    Sleeper(const Sleeper&) = delete;
    ~Sleeper() { wait_.sleepers_.fetch_sub(1, std::memory_order_acq_rel); }

   private:
    CpuWait& wait_;
  };

  template <typename Done>
  static bool spin(const Done& done, bool yields) {
    for (uint32_t i = 0; i < kPausesMax; ++i) {
      if (done()) return true;
      pause_core();
    }
    for (uint32_t i = 0; yields && i < kYieldsMax; ++i) {
      if (done()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  std::atomic<uint32_t> sleepers_ = 0;
  std::mutex mutex_;
  std::condition_variable woken_;
};

}  // namespace leat
