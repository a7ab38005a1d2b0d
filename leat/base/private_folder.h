// A folder that is this user's alone, held by an open handle: what it holds is reached from that
// handle, never by a path that somebody could lead elsewhere meanwhile.
// A folder is refused where others could have written what lies in it. For root that includes
// whoever owns or may write one of the folders above it (sudo with a user's HOME). What Leat made
// itself, or others may only read, is closed to them (0700).
// POSIX ACLs need no care: what they allow shows in the group's bits (acl(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "leat/base/result.h"
#include "leat/base/unique_fd.h"

namespace leat {

class PrivateFolder {
 public:
  /// Makes the folder and those above it that are missing. `path` is absolute; its last part is no
  /// link. Errors: io, when it cannot be opened or made; invalid_argument, when it is not to be
  /// trusted.
  static Result<PrivateFolder> open(const std::string& path);

  /// A file of this user's, closed to others (0600), of one name, no link and no pipe; nothing when
  /// it is any other or larger than `size_bytes_max`. Never blocks.
  std::optional<std::string> read(const std::string& name, size_t size_bytes_max) const;
  /// In place of whatever has that name; not brought to the disk, as readers check what they read.
  std::error_code write(const std::string& name, std::string_view bytes) const;
  /// The same where there is none yet; where somebody was faster theirs stays, without an error.
  std::error_code write_once(const std::string& name, std::string_view bytes) const;

  struct File {
    std::string name;
    uint64_t size_bytes = 0;
    int64_t written_s = 0;  // since 1970
  };
  /// Its regular files, in no order.
  std::vector<File> files() const;
  /// Whether it was there.
  bool remove(const std::string& name) const;
  /// Why nothing can be written into it; no error when it can be.
  std::error_code check_writable() const;

 private:
  explicit PrivateFolder(UniqueFd handle) : handle_(std::move(handle)) {}
  UniqueFd handle_;
};

/// Whether only this user and root can put anything at `path`, be it there or still to be made: for
/// what is reached by its path alone, links included. Errors: invalid_argument, with who else can;
/// io, when it cannot be looked at.
Result<void> check_own_place(const std::string& path);

}  // namespace leat
