// Fence: a 64-bit number in host-visible memory that only grows. Each queue has one, raised by the
// device itself; a submit returns the value that its work will raise it to. Waiting is a look, a
// bounded spin, then a block in the driver, and always has a deadline.
//
// Threading: all of this may be used by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "leat/base/result.h"

namespace leat {

class Fence {
 public:
  virtual ~Fence() = default;
  /// The value reached so far. Costs a load where the device writes host memory itself.
  virtual uint64_t poll() = 0;
  /// Waits until poll() >= value. Returns false at the deadline, an Error when the device is lost.
  virtual Result<bool> wait(uint64_t value, uint64_t timeout_ns) = 0;
};

/// A moment of one queue: reached once the fence shows `value`. Plain data, borrowed fence.
struct FencePoint {
  Fence* fence = nullptr;
  uint64_t value = 0;

  bool reached() const { return fence->poll() >= value; }
};

/// The index of a point that is reached, the lowest one if several are, or nothing at the deadline.
/// Errors: those of a fence that can no longer be reached.
Result<std::optional<size_t>> wait_any(std::span<const FencePoint> points, uint64_t timeout_ns);
/// Whether all points were reached before the deadline. Errors: as wait_any.
Result<bool> wait_all(std::span<const FencePoint> points, uint64_t timeout_ns);

}  // namespace leat
