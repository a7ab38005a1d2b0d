// Foreign text on a terminal: names out of models, labels, file names and what drivers say may hold
// escape codes, line ends and marks that turn the direction of writing, all of which forge output.
// Everything that prints text not written by us goes through here; JSON has its own escapes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace leat {

/// Longer text ends with "..."; a sentence with a path of PATH_MAX bytes still fits.
inline constexpr size_t kPrintableBytesMax = 8192;

/// `text` as part of one line: each byte of a control character, of an invisible or format
/// character, and each byte that is no UTF-8 becomes \xNN. Backslashes stay as they are.
std::string printable(std::string_view text, size_t bytes_max = kPrintableBytesMax);
/// The same for a text of any length whose line ends are its own.
std::string printable_lines(std::string_view text);

/// In quotation marks, with these and backslashes escaped too, so that it can be read back.
std::string quoted(std::string_view text);

}  // namespace leat
