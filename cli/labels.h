// Names of classes: one a line, "tabby cat" or "281 tabby cat" or "281: tabby cat". Line n is class
// n unless every line leads with its number; numbers from 1 on count from 1.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"

namespace leat::cli {

/// By class; empty where no line names the class.
using Labels = std::vector<std::string>;

/// Errors: io; invalid_argument, when the file names no class.
Result<Labels> read_labels(const std::string& path);
Labels parse_labels(std::string_view text);

}  // namespace leat::cli
