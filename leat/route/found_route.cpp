// See found_route.h.
#include "leat/route/found_route.h"

#include <fmt/format.h>

namespace leat {

Result<void> check_found(Route route, size_t index, size_t count) {
  if (index < count) return {};
  return Error(ErrorKind::unsupported, fmt::format("Device ({}) is not among the ({}) that the "
                                                   "route {} finds.",
                                                   index, count, name_of(route)));
}

}  // namespace leat
