// See watched_fence.h.
#include "leat/route/watched_fence.h"

namespace leat {

bool WatchedFence::is_lost(uint64_t value) const {
  const size_t count = loss_count_.load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i) {
    if (value > losses_[i].after && value <= losses_[i].until) return true;
  }
  return false;
}

void WatchedFence::believe(uint64_t value) {
  uint64_t before = believed_;
  while (before < value && !believed_.compare_exchange_weak(before, value)) {
  }
}

Error WatchedFence::given_up() {
  return Error(ErrorKind::device_lost, "The work was given up after a fault.");
}

void WatchedFence::lose(uint64_t submitted) {
  const uint64_t after = believed_.load();
  if (after >= submitted) return;
  const size_t count = loss_count_.load();
  if (count == kLossesMax) {
    losses_[count - 1].until = submitted;
    return;
  }
  losses_[count].after = after;
  losses_[count].until = submitted;
  loss_count_.store(count + 1, std::memory_order_release);
}

}  // namespace leat
