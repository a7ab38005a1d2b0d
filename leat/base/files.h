// Files: whole reads with a limit, and where this user's files lie.
#pragma once

#include <cstdint>
#include <string>

#include "leat/base/result.h"

namespace leat {

/// The whole file as bytes. Errors: io, naming the path and the reason; also above
/// `size_bytes_max`.
Result<std::string> read_file(const std::string& path, size_t size_bytes_max);

/// Bytes of what a file descriptor refers to: a file, shared memory, a dma-buf. Its offset stays
/// where it is. Errors: invalid_argument, for what has no size (a pipe).
Result<uint64_t> size_of_descriptor(int fd);

/// $XDG_CACHE_HOME/leat, or $HOME/.cache/leat; not created. A variable that is no absolute path
/// counts as unset. Empty when there is none, and in a program with more rights than whoever
/// started it (setuid), whose variables are not to be believed.
/// Source: XDG Base Directory Specification 0.8, "Basics".
std::string cache_folder();
/// $XDG_STATE_HOME/leat, or $HOME/.local/state/leat, likewise.
std::string state_folder();

}  // namespace leat
