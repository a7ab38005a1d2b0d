// What stands behind Buffer::handle(): a table of a route's allocations, whose places are used
// again once they are free.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "leat/base/check.h"

namespace leat {

template <typename Thing>
class HandleTable {
 public:
  /// The handle of `thing` until it is taken back.
  uint64_t add(Thing thing) {
    if (free_.empty()) {
      places_.emplace_back(std::move(thing));
      return places_.size() - 1;
    }
    const uint64_t handle = free_.back();
    free_.pop_back();
    places_[handle].emplace(std::move(thing));
    return handle;
  }
  const Thing& at(uint64_t handle) const {
    CHECK(handle < places_.size() && places_[handle].has_value());
    return *places_[handle];
  }
  /// Takes it out of the table; the handle may be given out again.
  Thing take(uint64_t handle) {
    CHECK(handle < places_.size() && places_[handle].has_value());
    Thing thing = std::move(*places_[handle]);
    places_[handle].reset();
    free_.push_back(handle);
    return thing;
  }
  /// Takes all that are left, for who closes the device.
  template <typename Visit>
  void take_all(const Visit& visit) {
    for (uint64_t handle = 0; handle < places_.size(); ++handle) {
      if (places_[handle].has_value()) visit(take(handle));
    }
  }

 private:
  std::vector<std::optional<Thing>> places_;
  std::vector<uint64_t> free_;
};

}  // namespace leat
