// See packet_text.h.
#include "leat/route/packet_text.h"

#include <fmt/format.h>

namespace leat {

std::string packet_line(std::string_view owner, const char* name, uint32_t number, uint32_t data,
                        std::string_view meaning) {
  std::string text = fmt::format("{} {} 0x{:08x}", owner,
                                 name != nullptr ? name : fmt::format("0x{:x}", number), data);
  if (!meaning.empty()) text += fmt::format(" ({})", meaning);
  return text;
}

Error bad_dword(std::string_view where, size_t index, uint32_t dword, std::string_view what) {
  return Error(ErrorKind::invalid_argument,
               fmt::format("Dword ({}) of {} (0x{:08x}) {}.", index, where, dword, what));
}

}  // namespace leat
