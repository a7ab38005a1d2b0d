// The faulty device: another device, with faults injected into its submissions and its fence by a
// seed. For tests of what must hold whatever devices do. Memory, kernels and recording are the
// inner device's own.
//
// Threading as for every device, save that here Fence::poll and Fence::wait belong to the device's
// thread too: a postponed submission is made up for when the fence is looked at.
#pragma once

#include <memory>

#include "leat/device/device.h"

namespace leat {

/// What can be wrong with a submission.
enum class Fault : uint8_t {
  none,
  late,       // it is done in time, but the fence shows it late_ns after that
  timed_out,  // it is swallowed; the fence goes on after timeout_ns as if it had been done
  early,      // the fence shows it at once, but it is done early_ns later
  beyond,     // the next look at the fence shows a number that nobody asked for
  backwards,  // the next look at the fence shows less than the one before
  lost,       // from here on every call says device_lost
};
inline constexpr size_t kFaults = 7;

struct FaultPlan {
  uint64_t seed = 1;
  double share = 0.1;  // of submissions that get one of the faults late to backwards
  uint64_t late_ns = 3'000'000;
  uint64_t timeout_ns = 3'000'000;
  uint64_t early_ns = 200'000;
  uint64_t lost_at = 0;  // the submission, counted from 1, at which the device is lost; 0: never
};

/// How often each fault was injected; index by Fault.
struct FaultCounts {
  uint64_t of[kFaults] = {};
  uint64_t sum() const;
};

/// `counts` may be null; it outlives the device.
std::unique_ptr<Device> make_faulty_device(std::unique_ptr<Device> inner, const FaultPlan& plan,
                                           FaultCounts* counts);

}  // namespace leat
