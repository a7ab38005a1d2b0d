// What a route finds: places where a device is, or the reason why there is none.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "leat/device/device.h"

namespace leat {

/// A chip as one route shows it; `refusal`, one sentence, says why it cannot be used and is empty
/// when it can. With a refusal only those facts are set that were known by then.
struct FoundRoute {
  DeviceInfo info;       // without a name
  std::string uuid_hex;  // of the chip, 32 digits, the same by every route; or empty
  std::string refusal;
};

/// An entry without a chip.
inline FoundRoute refused_route(Route route, const Error& error) {
  FoundRoute none;
  none.info.route = route;
  none.refusal = error.message();
  return none;
}

/// What a route finds where its driver shows `chips`, a Result of a list: each is looked at by
/// `look`, which returns a Result<FoundRoute>, so that one that cannot be looked at hides no other.
/// `none` says that the list is empty.
template <typename Chips, typename Look>
std::vector<FoundRoute> find_routes(Route route, Chips chips, const char* none, const Look& look) {
  if (!chips) return {refused_route(route, chips.error())};
  if (chips->empty()) return {refused_route(route, Error(ErrorKind::unsupported, none))};
  std::vector<FoundRoute> found;
  for (auto& chip : *chips) {
    Result<FoundRoute> one = look(chip);
    found.push_back(one ? std::move(*one) : refused_route(route, one.error()));
  }
  return found;
}

/// That there is an entry `index` among `count`. Errors: unsupported, naming the route.
Result<void> check_found(Route route, size_t index, size_t count);

/// Facts of a device that uses whole pages of the host's memory in place.
inline MemoryFacts facts_with_import(MemoryFacts facts, size_t page_bytes) {
  facts.imports_host = true;
  facts.import_alignment_bytes = page_bytes;
  return facts;
}

}  // namespace leat
