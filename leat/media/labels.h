// Names of classes: one a line, "tabby cat" or "281 tabby cat" or "281: tabby cat". Line n is class
// n unless every line leads with its number; numbers from 1 on count from 1.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"

namespace leat {

/// By class; empty where no line names the class.
using Labels = std::vector<std::string>;

// Limits of what is read; memory is the file and 32 bytes for each class.
inline constexpr size_t kLabelsFileBytesMax = size_t{64} << 20;
inline constexpr size_t kLabelsMax = size_t{1} << 20;  // lines; a larger number is no class
inline constexpr size_t kLabelBytesMax = 4096;

/// Errors: io; invalid_argument, when the file names no class or goes beyond a limit.
Result<Labels> read_labels(const std::string& path);
/// The same of a text; `path` is for the error.
Result<Labels> parse_labels(std::string_view text, const std::string& path);

}  // namespace leat
