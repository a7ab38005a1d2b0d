// See direct_memory.h.
#include "leat/route/direct_memory.h"

#include <fmt/format.h>

namespace leat {

Error range_too_large(uint64_t size_bytes, uint64_t bytes_max) {
  return Error(ErrorKind::out_of_memory,
               fmt::format("Allocation of ({}) bytes is larger than the limit ({}).", size_bytes,
                           bytes_max));
}

Error blocks_are_used_up(uint32_t count) {
  return Error(ErrorKind::out_of_memory,
               fmt::format("All ({}) blocks of memory are in use.", count));
}

}  // namespace leat
