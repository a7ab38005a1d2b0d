// The one way in which a file comes to be: its bytes go into a draft beside it, a new file of a
// name that nobody can guess, which then takes the file's name. So a reader sees the old file or
// the new one, whole, and no link that somebody planted is ever opened.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace leat {

/// Names of drafts begin with this; one that is old was left by a writer that was killed.
inline constexpr std::string_view kDraftPrefix = ".leat-draft-";

struct DraftOptions {
  /// Exactly these permissions; none: those of a new file, 0666 less the umask.
  std::optional<mode_t> mode;
  /// Permissions that a new file does not get, whatever the umask says.
  mode_t withheld = 0;
  /// The file's owner and group before, kept where the system lets us.
  std::optional<std::pair<uid_t, gid_t>> owner;
  /// On the disk before it gets its name, so that a crash leaves no empty file.
  bool is_durable = true;
  /// Else a file that is there stays, and the error is file_exists.
  bool may_replace = true;
};

/// Writes `name`, a name without a slash, in the open folder `folder`. An error leaves what was
/// there, and no draft.
std::error_code replace_file(int folder, const std::string& name, std::string_view bytes,
                             const DraftOptions& options);

/// All of `bytes`, in as many calls as it takes.
std::error_code write_all(int fd, std::string_view bytes);

/// The last call's.
std::error_code last_error();

}  // namespace leat
