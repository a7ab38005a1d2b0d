// Watches operator new in this program: the largest single request since the last reset.
#pragma once

#include <cstddef>

namespace leat {

void reset_largest_allocation();
/// In bytes.
size_t largest_allocation();

}  // namespace leat
