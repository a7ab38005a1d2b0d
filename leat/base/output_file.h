// Files that a person asked for. Each is replaced whole (draft.h) and keeps its permissions and,
// where the system lets us, its owner; a link stays and what it leads to is replaced, but
// not through a link that somebody else may have planted, wherever in the path.
// Written to as it is: a device (/dev/null, a terminal), a descriptor of this process (/dev/stdout,
// /dev/fd/N), and a file that cannot be exchanged, since its folder takes no other or it is a mount
// of its own. Refused: folders, pipes, sockets, disks, read-only files, links that lead nowhere.
// A file's other names (hard links) keep the old bytes, as after any replacement.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

/// Whether all of `paths` could be written now and are files of their own: what is refused here
/// would be refused by write_file, after the work, and what would overwrite one of `inputs`.
/// Changes nothing. Empty paths are left out.
Result<void> check_outputs(std::span<const std::string> paths,
                           std::span<const std::string> inputs = {});

/// Writes `bytes` as the whole file; on the disk when it returns. Errors: io, and then the file is
/// as it was, save one that is written to as it is.
Result<void> write_file(const std::string& path, std::string_view bytes);
/// The same for what is trusted as a program is: others may not write it, whatever the umask or the
/// file before says; save one that is written to as it is.
Result<void> write_program(const std::string& path, std::string_view bytes);

}  // namespace leat
