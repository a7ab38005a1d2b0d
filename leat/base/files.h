// Files: whole reads with a limit, and where this user's files lie.
#pragma once

#include <string>

#include "leat/base/result.h"

namespace leat {

/// The whole file as bytes. Errors: io, naming the path and the reason; also above
/// `size_bytes_max`.
Result<std::string> read_file(const std::string& path, size_t size_bytes_max);

/// $XDG_CACHE_HOME/leat, or $HOME/.cache/leat; not created. A variable that is no absolute path
/// counts as unset. Empty when there is none, and in a program with more rights than whoever
/// started it (setuid), whose variables are not to be believed.
/// Source: XDG Base Directory Specification 0.8, "Basics".
std::string cache_folder();
/// $XDG_STATE_HOME/leat, or $HOME/.local/state/leat, likewise.
std::string state_folder();

}  // namespace leat
