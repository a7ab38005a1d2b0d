// Files: whole reads with a limit, atomic writes, and the cache folder.
#pragma once

#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

/// The whole file as bytes. Errors: io, naming the path and the reason; also above
/// `size_bytes_max`.
Result<std::string> read_file(const std::string& path, size_t size_bytes_max);
/// Writes beside `path` and renames over it; creates the folders above it.
Result<void> write_file_atomically(const std::string& path, std::string_view bytes);
/// $XDG_CACHE_HOME/leat, or $HOME/.cache/leat; empty when neither variable is set. Not created.
std::string cache_folder();

}  // namespace leat
