// See juggle_run.h. Which device takes which item next, and the order in which items are delivered.
#include <algorithm>

#include "leat/run/juggle_run.h"

namespace leat {

size_t JuggleRun::busy_slots(const DeviceRun& device) {
  return static_cast<size_t>(std::ranges::count_if(device.slots, [](const SlotRun& slot) {
    return slot.state != SlotState::idle && slot.state != SlotState::late;
  }));
}

bool JuggleRun::has_room(size_t d, bool is_fresh) const {
  const DeviceRun& device = devices_[d];
  if (!device.report.lost.empty() || (is_fresh && !plan_.is_active(d))) return false;
  const bool has_idle = std::ranges::any_of(
      device.slots, [](const SlotRun& slot) { return slot.state == SlotState::idle; });
  return has_idle && busy_slots(device) < plan_.slots(d);
}

/// Neither lost nor silent since a missed deadline.
bool JuggleRun::is_healthy(size_t d) const {
  const DeviceRun& device = devices_[d];
  return device.report.lost.empty() && (device.silent == 0 || !owes(device));
}

/// Near the end a slow device would still be at work when the fastest could have done it all.
bool JuggleRun::is_too_slow_for_the_rest(size_t d) const {
  const double own_ns = devices_[d].item_ns;
  const auto left = static_cast<double>(count_ - std::min(count_, next_item_));
  for (size_t o = 0; o < devices_.size(); ++o) {
    const DeviceRun& other = devices_[o];
    if (o == d || !plan_.is_active(o) || !is_healthy(o)) continue;
    if (other.item_ns == 0 || own_ns == 0) continue;
    const double rest_ns = (static_cast<double>(busy_slots(other)) + left) * other.item_ns;
    if (static_cast<double>(busy_slots(devices_[d]) + 1) * own_ns > rest_ns) return true;
  }
  return false;
}

/// The device that would finish one more item first. One that may hang, or on which a retry failed
/// last, gets it only when there is no other.
std::optional<size_t> JuggleRun::device_for(bool is_fresh, std::optional<size_t> avoid) const {
  std::optional<size_t> best;
  double best_ns = 0;
  bool has_healthy = false;
  bool has_other = false;
  for (size_t d = 0; d < devices_.size(); ++d) {
    if (!is_healthy(d) || (is_fresh && !plan_.is_active(d))) continue;
    has_healthy = true;
    has_other = has_other || d != avoid;
  }
  for (size_t d = 0; d < devices_.size(); ++d) {
    if (!has_room(d, is_fresh) || (has_healthy && !is_healthy(d))) continue;
    if (has_other && d == avoid) continue;
    if (is_fresh && !plan_.is_trying() && is_too_slow_for_the_rest(d)) continue;
    const double ns =
        static_cast<double>(busy_slots(devices_[d]) + 1) * std::max(devices_[d].item_ns, 1.0);
    if (best && ns >= best_ns) continue;
    best = d;
    best_ns = ns;
  }
  return best;
}

bool JuggleRun::assign() {
  bool moved = false;
  while (assign_retry() || assign_fresh()) moved = true;
  return moved;
}

/// The oldest retry that a device may take now; one that has to wait holds up no other.
bool JuggleRun::assign_retry() {
  for (auto retry = again_.begin(); retry != again_.end(); ++retry) {
    const std::optional<size_t> d = device_for(false, retry->avoid);
    if (!d) continue;
    const Again taken = *retry;
    again_.erase(retry);
    begin(*d, taken.item, taken.attempts);
    return true;
  }
  return false;
}

bool JuggleRun::assign_fresh() {
  if (next_item_ >= count_ || next_item_ >= next_in_order_ + kReorderMax) return false;
  const std::optional<size_t> d = device_for(true, std::nullopt);
  if (!d) return false;
  begin(*d, next_item_++, 0);
  return true;
}

void JuggleRun::begin(size_t d, uint64_t item, uint32_t attempts) {
  std::vector<SlotRun>& slots = devices_[d].slots;
  const auto idle = std::ranges::find(slots, SlotState::idle, &SlotRun::state);
  idle->item = item;
  idle->attempts = attempts;
  idle->generation = plan_.generation();
  prepare(d, static_cast<size_t>(idle - slots.begin()));
}

void JuggleRun::finish(uint64_t item, std::optional<Error> error) {
  CHECK(item >= next_in_order_ && item < next_in_order_ + kReorderMax);
  Finished& entry = finished_[item % kReorderMax];
  CHECK(!entry.is_finished);  // never twice
  entry.is_finished = true;
  if (!options_.keeps_order) deliver(item, error ? &*error : nullptr);
  entry.error = std::move(error);
  while (finished_[next_in_order_ % kReorderMax].is_finished) {
    Finished& first = finished_[next_in_order_ % kReorderMax];
    if (options_.keeps_order) deliver(next_in_order_, first.error ? &*first.error : nullptr);
    first = {};
    ++next_in_order_;
  }
}

void JuggleRun::deliver(uint64_t item, const Error* error) {
  ++delivered_;
  if (error != nullptr) ++report_.errors;
  if (options_.deliver) options_.deliver(item, error);
}

}  // namespace leat
