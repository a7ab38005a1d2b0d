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
  /// The number. Costs a load where the device writes host memory itself. It moves over work that
  /// was lost too, so whether a value is reached is FencePoint::look's or wait's to say.
  virtual uint64_t poll() = 0;
  /// Waits until `value` is reached. Returns false at the deadline, an Error when its work was
  /// lost, with a timeout of 0 too.
  virtual Result<bool> wait(uint64_t value, uint64_t timeout_ns) = 0;
};

/// A moment of one queue: reached once the fence shows `value`. Plain data, borrowed fence.
struct FencePoint {
  Fence* fence = nullptr;
  uint64_t value = 0;

  /// Whether it is reached now; an Error when the number has moved over it, since its work was
  /// lost. Costs poll() until then; that a device is lost whose number stands still, wait tells.
  Result<bool> look() const {
    if (fence->poll() < value) return false;
    return fence->wait(value, 0);
  }
  /// False for what was lost.
  bool reached() const {
    const Result<bool> seen = look();
    return seen && *seen;
  }
};

/// The index of a point that is reached, the lowest one if several are, or nothing at the deadline.
/// Errors: those of a point that can no longer be reached, as soon as it is seen, unless a lower
/// one is reached.
Result<std::optional<size_t>> wait_any(std::span<const FencePoint> points, uint64_t timeout_ns);
/// Whether all points were reached before the deadline. Errors: as wait_any.
Result<bool> wait_all(std::span<const FencePoint> points, uint64_t timeout_ns);

}  // namespace leat
