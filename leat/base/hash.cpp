// Hex form of a hash, as it stands in cache file names.
#include "leat/base/hash.h"

namespace leat {

std::string hex_of(uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 0; i < 16; ++i) text[15 - i] = kDigits[(value >> (4 * i)) & 15u];
  return text;
}

}  // namespace leat
