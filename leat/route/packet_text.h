// Packets as text, a line for each word of data, and the tables of names that they are told by:
// what every route to hardware writes of its own packets, for tests, for checks and for people.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

/// A number as the vendor's documents call it.
struct NumberName {
  uint32_t number = 0;
  const char* name = nullptr;
};

/// The name of `number`, or null.
inline const char* find_name(std::span<const NumberName> names, uint32_t number) {
  for (const NumberName& known : names) {
    if (known.number == number) return known.name;
  }
  return nullptr;
}

/// "compute SEND_PCAS_A 0x001a2b3c (QMD at 0x1a2b3c00)": who takes it, its name, or its number
/// where `name` is null, the data, and what that means, where `meaning` is not empty.
std::string packet_line(std::string_view owner, const char* name, uint32_t number, uint32_t data,
                        std::string_view meaning);

/// A dword that is not what it should be. invalid_argument: "Dword (3) of the push buffer
/// (0x...) is no method header."
Error bad_dword(std::string_view where, size_t index, uint32_t dword, std::string_view what);

/// What a check of packets finds: internal, a sentence in fmt's form.
template <typename... Values>
Error broken(std::string_view text, const Values&... values) {
  return Error(ErrorKind::internal, fmt::vformat(text, fmt::make_format_args(values...)));
}

}  // namespace leat
