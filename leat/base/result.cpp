// Names of error kinds and the trail an error gathers on its way up.
#include "leat/base/result.h"

namespace leat {

std::string_view name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument: return "invalid_argument";
    case ErrorKind::unsupported: return "unsupported";
    case ErrorKind::out_of_memory: return "out_of_memory";
    case ErrorKind::device_lost: return "device_lost";
    case ErrorKind::io: return "io";
    case ErrorKind::internal: return "internal";
  }
  return "unknown";
}

Error Error::during(std::string_view what) const {
  return Error(kind_, message_ + " (while " + std::string(what) + ")");
}

}  // namespace leat
