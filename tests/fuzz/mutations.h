// Random changes to bytes, the same for the same seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace leat {

using Random = std::mt19937;

/// From 0 to limit - 1; 0 when that is empty.
uint32_t below(Random& random, size_t limit);

/// One to four changes: bits, bytes, parts removed or repeated, the end cut off.
std::string mutated_bytes(std::string bytes, Random& random);

}  // namespace leat
