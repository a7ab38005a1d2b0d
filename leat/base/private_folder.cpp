// See private_folder.h.
#include "leat/base/private_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <memory>

#include "leat/base/draft.h"

namespace leat {

namespace {

constexpr mode_t kFolderMode = S_IRWXU;
constexpr mode_t kFileMode = S_IRUSR | S_IWUSR;
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr int kLinksMax = 40;   // as Linux has it (path_resolution(7))
constexpr int kDepthMax = 256;  // of folders, far more than a path has room for in practice

Error io_error(const std::string& path, const char* verb) {
  return Error(ErrorKind::io,
               "Folder \"" + path + "\" cannot be " + verb + ": " + last_error().message() + ".");
}

Error distrust(const std::string& path, const std::string& why) {
  return Error(ErrorKind::invalid_argument,
               "Folder \"" + path + "\" is not to be trusted: " + why + ".");
}

std::string octal(mode_t mode) {
  std::string text;
  for (unsigned shift = 12; shift > 0; shift -= 3) {
    text += static_cast<char>('0' + ((mode >> (shift - 3)) & 7u));
  }
  return text;
}

/// Whether nobody but root and this user can put another folder in the place of one of those above.
Result<void> check_above(int folder, const std::string& path) {
  UniqueFd above(openat(folder, ".", kFolderFlags | O_PATH));
  for (int depth = 0; above && depth < kDepthMax; ++depth) {
    struct stat here {};
    struct stat next {};
    if (fstat(above.get(), &here) != 0) break;
    const bool is_sticky = (here.st_mode & S_ISVTX) != 0;
    if (here.st_uid != 0 && here.st_uid != geteuid()) {
      return distrust(path, "one above it belongs to user (" + std::to_string(here.st_uid) + ")");
    }
    if ((here.st_mode & kOthersWrite) != 0 && !is_sticky) {
      return distrust(path, "others may write one above it (mode " + octal(here.st_mode) + ")");
    }
    UniqueFd parent(openat(above.get(), "..", kFolderFlags | O_PATH));
    if (!parent || fstat(parent.get(), &next) != 0) break;
    if (next.st_dev == here.st_dev && next.st_ino == here.st_ino) return {};  // the root
    above = std::move(parent);
  }
  return io_error(path, "traced to the root");
}

Result<void> check_above_for_root(int folder, const std::string& path) {
  return geteuid() == 0 ? check_above(folder, path) : Result<void>();
}

Result<void> check(int folder, const std::string& path) {
  struct stat facts {};
  if (fstat(folder, &facts) != 0) return io_error(path, "looked at");
  if (facts.st_uid != geteuid()) {
    return distrust(path, "it belongs to user (" + std::to_string(facts.st_uid) + "), not to (" +
                              std::to_string(geteuid()) + ")");
  }
  if ((facts.st_mode & kOthersWrite) != 0) {
    return distrust(path, "others may write it (mode " + octal(facts.st_mode) + ")");
  }
  if ((facts.st_mode & kOthers) != 0 && fchmod(folder, kFolderMode) != 0) {
    return io_error(path, "closed to others");
  }
  return check_above_for_root(folder, path);
}

bool is_link(const std::string& path) {
  struct stat facts {};
  return lstat(path.c_str(), &facts) == 0 && S_ISLNK(facts.st_mode);
}

/// Opens a folder above, through links if there are any, or makes it.
Result<UniqueFd> open_or_make(const std::string& path, int flags) {
  UniqueFd folder(::open(path.c_str(), kFolderFlags | flags));
  if (folder) return folder;
  if (errno == ENOTDIR && (flags & O_NOFOLLOW) != 0 && is_link(path)) {
    return distrust(path, "it is a link");
  }
  const size_t slash = path.rfind('/');
  if (errno != ENOENT || slash == std::string::npos) return io_error(path, "opened");
  const std::string parent_path = slash == 0 ? "/" : path.substr(0, slash);
  const std::string name = path.substr(slash + 1);
  if (name.empty()) return open_or_make(parent_path, flags);
  TRY_ASSIGN(const UniqueFd parent, open_or_make(parent_path, 0));
  TRY(check_above_for_root(parent.get(), path));
  if (mkdirat(parent.get(), name.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return io_error(path, "made");
  }
  folder = UniqueFd(openat(parent.get(), name.c_str(), kFolderFlags | O_NOFOLLOW));
  if (!folder) return io_error(path, "opened");
  return folder;
}

/// Where the link `path` leads.
Result<std::string> target_of(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = readlink(path.c_str(), target, sizeof target);
  if (size <= 0 || size == sizeof target) return io_error(path, "followed");
  const std::string text(target, static_cast<size_t>(size));
  return text.starts_with('/') ? text : path.substr(0, path.rfind('/') + 1) + text;
}

/// From the root down: what is found safe cannot be exchanged while that below it is looked at.
Result<void> check_parts(const std::string& path, int links) {
  bool may_others_add = false;  // to the folder before
  size_t end = 0;
  while (end != std::string::npos) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    struct stat facts {};
    if (lstat(part.c_str(), &facts) != 0) {
      if (errno != ENOENT) return io_error(part, "looked at");
      return may_others_add ? distrust(part, "others may make it") : Result<void>();
    }
    if (facts.st_uid != 0 && facts.st_uid != geteuid()) {
      return distrust(part, "it belongs to user (" + std::to_string(facts.st_uid) + ")");
    }
    if (S_ISLNK(facts.st_mode)) {
      if (links == 0) return distrust(part, "its symbolic links lead nowhere");
      TRY_ASSIGN(const std::string target, target_of(part));
      return check_parts(end == std::string::npos ? target : target + path.substr(end), links - 1);
    }
    may_others_add = (facts.st_mode & kOthersWrite) != 0;
    const bool is_sticky = (facts.st_mode & S_ISVTX) != 0;
    if (may_others_add && (!is_sticky || end == std::string::npos)) {
      return distrust(part, "others may write it (mode " + octal(facts.st_mode) + ")");
    }
  }
  return {};
}

bool is_private_file(const struct stat& facts) {
  return S_ISREG(facts.st_mode) && facts.st_uid == geteuid() && (facts.st_mode & kOthers) == 0 &&
         facts.st_nlink <= 1;  // 0: replaced since it was opened
}

struct CloseListing {
  void operator()(DIR* listing) const { closedir(listing); }
};

}  // namespace

Result<void> check_own_place(const std::string& path) {
  if (!path.starts_with('/')) return distrust(path, "its path is not absolute");
  return check_parts(path, kLinksMax);
}

Result<PrivateFolder> PrivateFolder::open(const std::string& path) {
  if (!path.starts_with('/')) return distrust(path, "its path is not absolute");
  TRY_ASSIGN(UniqueFd handle, open_or_make(path, O_NOFOLLOW));
  TRY(check(handle.get(), path));
  return PrivateFolder(std::move(handle));
}

std::optional<std::string> PrivateFolder::read(const std::string& name,
                                               size_t size_bytes_max) const {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const UniqueFd file(openat(handle_.get(), name.c_str(), kFlags));
  struct stat facts {};
  if (!file || fstat(file.get(), &facts) != 0 || !is_private_file(facts)) return std::nullopt;
  const auto size_bytes = static_cast<uint64_t>(facts.st_size);
  if (size_bytes > size_bytes_max) return std::nullopt;
  std::string bytes(size_bytes, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    done += static_cast<size_t>(count);
  }
  return bytes;
}

std::error_code PrivateFolder::write(const std::string& name, std::string_view bytes) const {
  const DraftOptions options = {.mode = kFileMode, .is_durable = false};
  const std::error_code error = replace_file(handle_.get(), name, bytes, options);
  if (error != std::errc::is_a_directory) return error;
  if (unlinkat(handle_.get(), name.c_str(), AT_REMOVEDIR) != 0) return last_error();
  return replace_file(handle_.get(), name, bytes, options);
}

std::error_code PrivateFolder::write_once(const std::string& name, std::string_view bytes) const {
  const DraftOptions options = {.mode = kFileMode, .may_replace = false};
  const std::error_code error = replace_file(handle_.get(), name, bytes, options);
  return error == std::errc::file_exists ? std::error_code() : error;
}

std::vector<PrivateFolder::File> PrivateFolder::files() const {
  std::vector<File> files;
  const int again = openat(handle_.get(), ".", kFolderFlags);  // the listing owns it
  const std::unique_ptr<DIR, CloseListing> listing(again < 0 ? nullptr : fdopendir(again));
  if (!listing) return files;
  while (const dirent* entry = readdir(listing.get())) {
    struct stat facts {};
    if (fstatat(handle_.get(), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISREG(facts.st_mode)) continue;
    files.push_back({entry->d_name, static_cast<uint64_t>(facts.st_size), facts.st_mtim.tv_sec});
  }
  return files;
}

bool PrivateFolder::remove(const std::string& name) const {
  return unlinkat(handle_.get(), name.c_str(), 0) == 0;
}

std::error_code PrivateFolder::check_writable() const {
  const bool is_writable = faccessat(handle_.get(), ".", W_OK, AT_EACCESS) == 0;
  return is_writable ? std::error_code() : last_error();
}

}  // namespace leat
