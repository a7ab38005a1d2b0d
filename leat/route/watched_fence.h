// A fence's number in memory that the device writes, with what decides which of its values are
// believed. Work that faults may still end and move the number before the driver reports the fault,
// so a value is believed only once it was seen with no fault reported; and what was lost stays lost
// when the number moves on. A route's Fence holds one and says how a fault is seen.
//
// Threading: any thread may poll and wait; lose() and give_up() are for the device's thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "leat/device/spin.h"

namespace leat {

/// What a waiter needs: that the work is done and right, or only that its memory is free, for which
/// what was given up counts as done.
enum class WaitFor : uint8_t { result, room };

class WatchedFence {
 public:
  /// `word` is the number, in memory that the device writes and the host caches.
  void open(uint64_t* word) { word_ = word; }

  uint64_t poll() const {
    return std::atomic_ref<uint64_t>(*word_).load(std::memory_order_acquire);
  }

  /// `check_faults` returns a Result<void>, an Error once the device has faulted. It is asked
  /// before a value is believed and between sleeps. Errors: its own; device_lost, when `value` was
  /// given up.
  template <typename CheckFaults>
  Result<bool> wait(uint64_t value, uint64_t timeout_ns, WaitFor what,
                    const CheckFaults& check_faults) {
    TRY_ASSIGN(const bool is_done, look(value, what, check_faults));
    if (is_done) return true;
    const auto is_reached = [&] { return poll() >= value; };
    const auto check = [&]() -> Result<void> {
      TRY(look(value, what, check_faults));
      return {};
    };
    TRY(wait_.wait(timeout_ns, is_reached, check));
    return look(value, what, check_faults);
  }

  /// Values up to `submitted` that were not believed so far never will be: waiting for one gives
  /// device_lost. Called before whatever tells of faults is closed, so that no waiter finds
  /// neither.
  void lose(uint64_t submitted);
  /// The number moves on to `submitted`: what was lost is over.
  void give_up(uint64_t submitted) {
    std::atomic_ref<uint64_t>(*word_).store(submitted, std::memory_order_release);
  }

 private:
  // The number is read before the losses, which are written before the number moves over them; and
  // the losses once more behind the faults, whose source another thread may have closed in between.
  template <typename CheckFaults>
  Result<bool> look(uint64_t value, WaitFor what, const CheckFaults& check_faults) {
    const bool reached = poll() >= value;
    const bool for_result = what == WaitFor::result;
    if (for_result && is_lost(value)) return given_up();
    if (reached && (!for_result || value <= believed_)) return true;
    TRY(check_faults());
    if (!reached) return false;
    if (for_result && is_lost(value)) return given_up();
    believe(value);
    return true;
  }
  bool is_lost(uint64_t value) const;
  void believe(uint64_t value);
  static Error given_up();

  /// Losses kept apart; the last one grows over later ones, and then takes in what was done
  /// between.
  static constexpr size_t kLossesMax = 256;
  struct Loss {
    uint64_t after = 0;
    std::atomic<uint64_t> until = 0;
  };

  uint64_t* word_ = nullptr;
  PolledWait wait_;
  std::atomic<uint64_t> believed_ = 0;  // the largest value for which wait() said so
  std::array<Loss, kLossesMax> losses_;
  std::atomic<size_t> loss_count_ = 0;
};

}  // namespace leat
