// See draft.h.
#include "leat/base/draft.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "leat/base/digest.h"
#include "leat/base/unique_fd.h"

namespace leat {

namespace {

constexpr mode_t kNewFileMode = 0666;  // less the umask
constexpr mode_t kDraftMode = 0600;    // until it has its bytes, when it gets a mode of its own

std::string draft_name() {
  std::array<std::byte, 8> bytes;
  fill_random(bytes);
  return std::string(kDraftPrefix) + hex_of(bytes);
}

/// A group that cannot be given to the file must not keep the permissions that the old one had.
std::error_code set_owner_and_mode(int fd, const DraftOptions& options) {
  if (!options.mode) return {};
  mode_t mode = *options.mode;
  if (options.owner) {
    const auto [user, group] = *options.owner;
    if (fchown(fd, user, group) != 0 && fchown(fd, static_cast<uid_t>(-1), group) != 0) {
      mode &= ~static_cast<mode_t>(S_IRWXG);
    }
  }
  return fchmod(fd, mode) == 0 ? std::error_code() : last_error();
}

std::error_code fill(const UniqueFd& draft, std::string_view bytes, const DraftOptions& options) {
  if (const std::error_code error = write_all(draft.get(), bytes)) return error;
  if (const std::error_code error = set_owner_and_mode(draft.get(), options)) return error;
  return options.is_durable && fsync(draft.get()) != 0 ? last_error() : std::error_code();
}

// Some file systems report a full disk only when the file is closed.
std::error_code closed(UniqueFd file) { return file.close() ? std::error_code() : last_error(); }

/// By way of a file without a name, of which a writer that is killed leaves no trace. False where
/// there are none, or where none gets a name: without /proc.
bool make_nameless(int folder, const std::string& name, mode_t mode, std::string_view bytes,
                   const DraftOptions& options, std::error_code& error) {
  UniqueFd file(openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
  if (!file) return false;
  error = fill(file, bytes, options);
  if (error) return true;
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  if (linkat(AT_FDCWD, path.c_str(), folder, name.c_str(), AT_SYMLINK_FOLLOW) != 0) return false;
  error = closed(std::move(file));
  return true;
}

std::error_code make_named(int folder, const std::string& name, mode_t mode, std::string_view bytes,
                           const DraftOptions& options) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd file(openat(folder, name.c_str(), kFlags, mode));
  if (!file) return last_error();
  if (const std::error_code error = fill(file, bytes, options)) return error;
  return closed(std::move(file));
}

std::error_code make_draft(int folder, const std::string& name, std::string_view bytes,
                           const DraftOptions& options) {
  const mode_t mode = options.mode ? kDraftMode : kNewFileMode & ~options.withheld;
  std::error_code error;
  if (make_nameless(folder, name, mode, bytes, options, error)) return error;
  return make_named(folder, name, mode, bytes, options);
}

std::error_code rename_to(int folder, const std::string& draft, const std::string& name,
                          bool may_replace) {
  const unsigned flags = may_replace ? 0 : RENAME_NOREPLACE;
  int result = renameat2(folder, draft.c_str(), folder, name.c_str(), flags);
  if (result != 0 && errno == EINVAL && !may_replace) {  // a file system that cannot tell, as NFS
    result = renameat(folder, draft.c_str(), folder, name.c_str());
  }
  return result == 0 ? std::error_code() : last_error();
}

}  // namespace

std::error_code last_error() { return {errno, std::generic_category()}; }

std::error_code write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error();
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

std::error_code replace_file(int folder, const std::string& name, std::string_view bytes,
                             const DraftOptions& options) {
  const std::string draft = draft_name();
  std::error_code error = make_draft(folder, draft, bytes, options);
  if (!error) error = rename_to(folder, draft, name, options.may_replace);
  if (error) unlinkat(folder, draft.c_str(), 0);  // if it came to have a name
  return error;
}

}  // namespace leat
