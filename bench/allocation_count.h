// How often this process called operator new, over all threads and libraries that use it.
#pragma once

#include <cstdint>

namespace leat::cli {

uint64_t allocation_count();

}  // namespace leat::cli
