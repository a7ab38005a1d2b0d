// What every queue keeps beside its own commands: the fence values that it has given out, whether
// commands are open or being recorded, its counts, and the words for what goes wrong. A queue holds
// one; nothing here waits by itself and nothing is virtual.
//
// Threading: `submitted` may be read by any thread, since fences compare with it; all else belongs
// to the device's thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "leat/device/device.h"

namespace leat {

class QueueFrame {
 public:
  /// Both outlive the frame.
  QueueFrame(const DeviceInfo& info, const Target& target) : info_(info), target_(target) {}
  QueueFrame(const QueueFrame&) = delete;
  QueueFrame& operator=(const QueueFrame&) = delete;

  /// The value that the last submit raises the fence to.
  uint64_t submitted() const { return submitted_.load(std::memory_order_acquire); }
  /// Before the device can raise the fence to it. Values only grow, save that of a submit which
  /// the driver refused.
  void set_submitted(uint64_t value) { submitted_.store(value, std::memory_order_release); }
  /// Whether there are commands that the next submit hands over.
  bool has_open() const { return has_open_; }
  void set_open(bool has_open) { has_open_ = has_open; }
  /// The fence value of the last submit that can use what dies now.
  uint64_t last_use() const { return submitted() + (has_open_ ? 1 : 0); }

  bool is_recording() const { return is_recording_; }
  /// Between begin_record and end_record commands go to a list, and nothing is submitted.
  void begin_record() {
    CHECK(!is_recording_);
    is_recording_ = true;
  }
  void end_record() {
    CHECK(is_recording_);
    is_recording_ = false;
  }

  /// A submit, or the `replay` of a list.
  void count_submit(bool replay = false) {
    ++counts_.submits;
    if (replay) ++counts_.replays;
  }
  void count_descriptor_updates(uint64_t count) { counts_.descriptor_updates += count; }
  const Queue::Counts& counts() const { return counts_; }

  /// That a list whose last replay has the value `last_value` may be replayed, where the fence
  /// shows `reached`. Errors: invalid_argument.
  Result<void> check_replay(uint64_t last_value, uint64_t reached) const {
    CHECK(!is_recording_);
    if (last_value <= reached) return {};
    return still_in_flight(last_value);
  }
  /// Waits for room, for as long as work may take: `wait` is given nanoseconds and returns a
  /// Result<bool>, false at the deadline. Errors: those of `wait`; device_lost at the deadline.
  template <typename Wait>
  Result<void> wait_for_room(const Wait& wait) const {
    const uint64_t timeout_ns = hang_timeout_ns(info_, target_);
    TRY_ASSIGN(const bool has_room, wait(timeout_ns));
    if (has_room) return {};
    return deadline_passed(timeout_ns);
  }
  Error deadline_passed(uint64_t timeout_ns) const;
  /// device_lost, of a channel that was just made.
  Error no_first_sign(uint64_t timeout_ns) const;

 private:
  Error still_in_flight(uint64_t last_value) const;

  const DeviceInfo& info_;
  const Target& target_;
  std::atomic<uint64_t> submitted_ = 0;
  bool has_open_ = false;
  bool is_recording_ = false;
  Queue::Counts counts_;
};

}  // namespace leat
