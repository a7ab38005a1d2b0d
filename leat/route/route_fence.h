// The fence of a route to hardware: a number in memory that the device writes, and faults that the
// route knows how to see.
#pragma once

#include <utility>

#include "leat/device/fence.h"
#include "leat/route/watched_fence.h"

namespace leat {

/// `Faults` is called with whether the number has come to the value that is waited for, and returns
/// a Result<void>: device_lost once the device has faulted. Any thread may call it.
template <typename Faults>
class RouteFence final : public Fence {
 public:
  /// `host` and `address` are where host and device see the number.
  void open(std::byte* host, uint64_t address, Faults faults) {
    watched_.open(reinterpret_cast<uint64_t*>(host));
    address_ = address;
    faults_ = std::move(faults);
  }

  uint64_t poll() override { return watched_.poll(); }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    return wait_for(value, timeout_ns, WaitFor::result);
  }
  /// For who needs the memory of the work and not its result.
  Result<bool> wait_for_room(uint64_t value, uint64_t timeout_ns) {
    return wait_for(value, timeout_ns, WaitFor::room);
  }

  /// For the device.
  uint64_t address() const { return address_; }
  void lose(uint64_t submitted) { watched_.lose(submitted); }
  void give_up(uint64_t submitted) { watched_.give_up(submitted); }

 private:
  Result<bool> wait_for(uint64_t value, uint64_t timeout_ns, WaitFor what) {
    return watched_.wait(value, timeout_ns, what, [&] { return faults_(poll() >= value); });
  }

  WatchedFence watched_;
  uint64_t address_ = 0;
  Faults faults_;
};

}  // namespace leat
