// See launch_checks.h.
#include "leat/route/launch_checks.h"

#include <fmt/format.h>

namespace leat {

Error argument_too_large(const Kernel& kernel, uint64_t size_bytes, uint64_t bytes_max) {
  return Error(ErrorKind::invalid_argument,
               fmt::format("Argument of ({}) bytes of Kernel \"{}\" is larger than the limit ({}).",
                           size_bytes, kernel.name(), bytes_max));
}

Result<void> check_size(size_t size_bytes) {
  if (size_bytes > 0) return {};
  return Error(ErrorKind::invalid_argument, "Buffer size (0) is not positive.");
}

Error copy_sizes_differ(const BufferRange& target, const BufferRange& source) {
  return Error(ErrorKind::invalid_argument,
               fmt::format("Copy has a target of ({}) bytes and a source of ({}) bytes.",
                           target.size_bytes, source.size_bytes));
}

}  // namespace leat
