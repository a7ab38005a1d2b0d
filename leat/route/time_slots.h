// Time marks: what mark_time and time_ns of every queue check and say, and a table for routes whose
// times come from the host.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "leat/device/device.h"

namespace leat {

/// What a slot holds, where 0 is no time. Errors: invalid_argument.
Result<uint64_t> marked_time(uint32_t slot, uint64_t ns);

/// Times by slot; 0 is none. Any thread may set and look.
class TimeSlots {
 public:
  void set(uint32_t slot, uint64_t ns) { ns_[slot].store(ns, std::memory_order_relaxed); }
  /// Errors: invalid_argument, without a mark.
  Result<uint64_t> at(uint32_t slot) const {
    CHECK(slot < Queue::kTimeSlots);
    return marked_time(slot, ns_[slot].load(std::memory_order_relaxed));
  }

 private:
  std::array<std::atomic<uint64_t>, Queue::kTimeSlots> ns_ = {};
};

}  // namespace leat
