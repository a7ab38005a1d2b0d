// Spinning for a bounded time before a thread blocks. A blocked thread wakes 30 to 60 us late on
// Linux, so what is soon done is spun for; what lasts long is not, because it takes a core away
// from work. How long waits last is learnt from the waits before. Where no driver can block a
// thread, it sleeps between looks (PolledWait).
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "leat/base/result.h"

namespace leat {

/// Tells the core that this is a spin.
inline void pause_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Nanoseconds of the steady clock.
inline uint64_t steady_now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// Timeouts beyond this (a year) are as good as forever and do not overflow a clock.
inline constexpr uint64_t kForeverNs = 31'536'000'000'000'000ull;

/// No wait spins longer than this, whatever was learnt.
inline constexpr uint64_t kSpinNsMax = 50'000;
/// A wait that is expected to last longer than the limit still spins this long, so that a stream
/// that has become fast is noticed.
inline constexpr uint64_t kSpinNsLeast = 2'000;

/// How long the next wait may spin. Any thread may use it.
class AdaptiveSpin {
 public:
  /// 0 never spins: for devices that compute on the core that would.
  explicit AdaptiveSpin(uint64_t limit_ns = kSpinNsMax) : limit_ns_(limit_ns) {}
  void set_limit_ns(uint64_t limit_ns) { limit_ns_.store(limit_ns, std::memory_order_relaxed); }

  uint64_t budget_ns() const {
    const uint64_t limit_ns = limit_ns_.load(std::memory_order_relaxed);
    const uint64_t usual_ns = usual_ns_.load(std::memory_order_relaxed);
    if (usual_ns > limit_ns) return std::min(limit_ns, kSpinNsLeast);
    return std::min(limit_ns, 4 * usual_ns + kSpinNsLeast);
  }

  /// Whether waits end within the limit, as a rule.
  bool is_soon() const {
    return usual_ns_.load(std::memory_order_relaxed) <= limit_ns_.load(std::memory_order_relaxed);
  }

  /// A wait lasted `waited_ns`; one that met its deadline first would have lasted longer, and tells
  /// nothing if that was short. A lost update by another thread does no harm.
  void learn(uint64_t waited_ns, bool has_ended = true) {
    const uint64_t usual_ns = usual_ns_.load(std::memory_order_relaxed);
    if (!has_ended && waited_ns <= usual_ns) return;
    usual_ns_.store(usual_ns - usual_ns / 8 + std::min(waited_ns, kForeverNs) / 8,
                    std::memory_order_relaxed);
  }

 private:
  std::atomic<uint64_t> limit_ns_;
  std::atomic<uint64_t> usual_ns_ = kSpinNsMax / 2;  // a running mean
};

/// Looks at done() until it is true or `limit_ns` have passed since `start_ns`; its last answer.
/// The clock is read every few looks only: it costs more than a pause.
template <typename Done>
bool spin_until(uint64_t start_ns, uint64_t limit_ns, const Done& done) {
  constexpr int kLooksPerClock = 16;
  if (done()) return true;
  if (limit_ns == 0) return false;
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      pause_core();
      if (done()) return true;
    }
  } while (steady_now_ns() - start_ns < limit_ns);
  return done();
}

/// Waits for a number that only looks can tell of. Looks without a pause for kSpinNsMax and again
/// around the time that the last wait lasted, and sleeps in between. Any thread may use it.
class PolledWait {
 public:
  /// `is_reached` is a cheap look; `check` an Error once it can no longer be reached, asked for
  /// between sleeps. False at the deadline.
  template <typename IsReached, typename Check>
  Result<bool> wait(uint64_t timeout_ns, const IsReached& is_reached, const Check& check) {
    const uint64_t start_ns = steady_now_ns();
    const uint64_t expected_ns = expected_ns_.load(std::memory_order_relaxed);
    bool done = spin_until(start_ns, std::min(kSpinNsMax, timeout_ns), is_reached);
    uint64_t spent_ns = steady_now_ns() - start_ns;
    while (!done && spent_ns < timeout_ns) {
      TRY(check());
      if (is_due(spent_ns, expected_ns)) {
        done = spin_until(start_ns, std::min(expected_ns + kWakeNs, timeout_ns), is_reached);
      } else {
        const uint64_t sleep_ns =
            std::min(sleep_ns_of(spent_ns, expected_ns), timeout_ns - spent_ns);
        std::this_thread::sleep_for(std::chrono::nanoseconds(sleep_ns));
        done = is_reached();
      }
      spent_ns = steady_now_ns() - start_ns;
    }
    if (done && spent_ns > kSpinNsMax) expected_ns_.store(spent_ns, std::memory_order_relaxed);
    return done || is_reached();
  }

  /// How long to sleep `spent_ns` after the start. Never longer than half of what has passed, lest
  /// a wait that ends sooner than the last one did be noticed late.
  static uint64_t sleep_ns_of(uint64_t spent_ns, uint64_t expected_ns) {
    if (spent_ns >= expected_ns) return std::clamp(spent_ns / 16, kSleepNsMin, kSleepNsMax);
    const uint64_t left_ns = expected_ns - spent_ns;
    return std::clamp(std::min(spent_ns / 2, kSleepNsMax), kSleepNsMin,
                      std::max(kSleepNsMin, left_ns > kWakeNs ? left_ns - kWakeNs : 0));
  }

 private:
  // Linux wakes a sleeper up to 50 us late (timer slack), and then it must run again; so much
  // earlier than expected a sleep ends, and as long the looking without a pause goes on.
  static constexpr uint64_t kWakeNs = 120'000;
  static constexpr uint64_t kSleepNsMin = 20'000;
  static constexpr uint64_t kSleepNsMax = 2'000'000;

  static bool is_due(uint64_t spent_ns, uint64_t expected_ns) {
    return spent_ns + kWakeNs + kSleepNsMin >= expected_ns && spent_ns < expected_ns + kWakeNs;
  }

  std::atomic<uint64_t> expected_ns_ = 0;
};

}  // namespace leat
