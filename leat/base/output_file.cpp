// See output_file.h.
#include "leat/base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "leat/base/borrowed_rights.h"
#include "leat/base/draft.h"
#include "leat/base/unique_fd.h"

namespace leat {

namespace {

constexpr mode_t kAnyWrite = S_IWUSR | S_IWGRP | S_IWOTH;
constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;
constexpr mode_t kPermissions = S_IRWXU | S_IRWXG | S_IRWXO;  // without setuid and its like

Error refusal(const std::string& path, const std::string& why) {
  return Error(ErrorKind::io, "File \"" + path + "\" cannot be written: " + why + ".");
}

/// Where an output goes, held by open handles: nobody can exchange what was looked at.
struct Place {
  enum class Kind : uint8_t {
    replaced,    // `name` in `folder`, which may be there already
    opened,      // as it is, by its handle
    descriptor,  // one of this process
  };
  Kind kind = Kind::replaced;
  UniqueFd folder;
  std::string name;
  UniqueFd handle;                   // of what is there (O_PATH)
  std::optional<struct stat> facts;  // of the same
  int descriptor = -1;
};

/// The number N of "/dev/fd/N", /proc/self/fd/N, /dev/stdout, /dev/stderr.
std::optional<int> descriptor_of(std::string_view path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    const std::string_view text = path.substr(folder.size());
    int number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code == std::errc() && end == text.data() + text.size() && number >= 0) return number;
  }
  return std::nullopt;
}

/// A link leads to where its owner wants: it is followed when that is this user or root, or the
/// owner of a folder that nobody else may write. Root follows its own only.
Result<void> check_link(const std::string& path, const struct stat& folder,
                        const struct stat& link) {
  if (link.st_uid == file_user() || link.st_uid == 0) return {};
  const bool is_shared = (folder.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (!is_shared && link.st_uid == folder.st_uid && file_user() != 0) return {};
  return refusal(path, "it goes through a link of user (" + std::to_string(link.st_uid) + ")");
}

std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::optional<std::string> target_of(const UniqueFd& link) {
  char target[PATH_MAX];
  const ssize_t size = readlinkat(link.get(), "", target, sizeof target);
  if (size <= 0 || size == sizeof target) return std::nullopt;
  return std::string(target, static_cast<size_t>(size));
}

/// Walks from folder to folder, each opened from the one before, link by link.
class Walk {
 public:
  explicit Walk(const std::string& path) : path_(path) { start(path); }

  /// The folder of the last part and its name, with a handle of what is there.
  Result<Place> run() {
    while (!rest_.empty()) {
      const std::string part = std::move(rest_.back());
      rest_.pop_back();
      if (!place_.folder) return refusal(path_, last_error().message());
      if (part.empty() || part == ".") {
        if (rest_.empty()) break;
        continue;
      }
      TRY_ASSIGN(const bool is_there, step(part));
      if (is_there) return std::move(place_);
    }
    return refusal(path_, "it is a folder, or names one");
  }

 private:
  static constexpr int kLinksMax = 40;  // as Linux has it (path_resolution(7))
  static constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;

  void start(std::string_view path) {
    if (!place_.folder || path.starts_with('/')) {
      place_.folder = UniqueFd(open(path.starts_with('/') ? "/" : ".", O_PATH | O_CLOEXEC));
    }
    std::vector<std::string> parts = parts_of(path);
    rest_.insert(rest_.end(), std::make_move_iterator(parts.rbegin()),
                 std::make_move_iterator(parts.rend()));
  }

  /// True at the end.
  Result<bool> step(const std::string& part) {
    const bool is_last = rest_.empty();
    UniqueFd next(openat(place_.folder.get(), part.c_str(), kFlags));
    struct stat facts {};
    if (!next || fstat(next.get(), &facts) != 0) {
      const std::error_code error = last_error();
      place_.name = part;
      if (is_last && error == std::errc::no_such_file_or_directory) {
        if (links_ > 0 && is_link_end_) return refusal(path_, "it is a link that leads nowhere");
        return true;
      }
      return refusal(path_, (is_last ? "" : "folder \"" + part + "\": ") + error.message());
    }
    if (S_ISLNK(facts.st_mode)) return follow(next, facts, is_last);
    if (is_last) {
      place_.name = part;
      place_.facts = facts;
      place_.handle = std::move(next);
      return true;
    }
    if (!S_ISDIR(facts.st_mode)) return refusal(path_, "\"" + part + "\" is no folder");
    place_.folder = std::move(next);
    return false;
  }

  Result<bool> follow(const UniqueFd& link, const struct stat& facts, bool is_last) {
    struct stat folder {};
    if (fstat(place_.folder.get(), &folder) != 0) return refusal(path_, last_error().message());
    TRY(check_link(path_, folder, facts));
    const std::optional<std::string> target = target_of(link);
    if (!target || ++links_ > kLinksMax) {
      return refusal(path_, "its symbolic links lead nowhere");
    }
    is_link_end_ = is_link_end_ || is_last;
    start(*target);
    return false;
  }

  const std::string& path_;
  Place place_;
  std::vector<std::string> rest_;  // of the path, backwards
  int links_ = 0;
  bool is_link_end_ = false;  // the last part was a link
};

bool takes_files(const UniqueFd& folder) {
  return faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) == 0;
}

/// What the handle is of, for writing. Without /proc it is opened by its name: what was put in its
/// place meanwhile is not taken for it.
UniqueFd reopened(const Place& place) {
  constexpr int kFlags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const std::string path = "/proc/self/fd/" + std::to_string(place.handle.get());
  UniqueFd file(open(path.c_str(), kFlags));
  if (file || errno != ENOENT) return file;
  file = UniqueFd(openat(place.folder.get(), place.name.c_str(), kFlags | O_NOFOLLOW));
  struct stat now {};
  const bool is_it = file && fstat(file.get(), &now) == 0 && now.st_dev == place.facts->st_dev &&
                     now.st_ino == place.facts->st_ino;
  return is_it ? std::move(file) : UniqueFd();
}

Result<Place> checked(const std::string& path, Place place) {
  if (!place.facts) {
    if (!takes_files(place.folder)) return refusal(path, "folder: " + last_error().message());
    return place;
  }
  const mode_t mode = place.facts->st_mode;
  if (S_ISDIR(mode)) return refusal(path, "it is a folder");
  if (!S_ISREG(mode) && !S_ISCHR(mode)) return refusal(path, "it is a pipe, a socket or a disk");
  if (S_ISREG(mode) && (mode & kAnyWrite) == 0) return refusal(path, "it is read-only");
  if (!reopened(place)) return refusal(path, last_error().message());
  if (S_ISCHR(mode) || !takes_files(place.folder)) place.kind = Place::Kind::opened;
  return place;
}

Result<Place> place_of_descriptor(const std::string& path, int number) {
  const int flags = fcntl(number, F_GETFL);
  if (flags < 0) return refusal(path, last_error().message());
  if ((flags & O_ACCMODE) == O_RDONLY) return refusal(path, "it is open for reading only");
  Place place;
  place.kind = Place::Kind::descriptor;
  place.descriptor = number;
  struct stat facts {};
  if (fstat(number, &facts) == 0 && S_ISREG(facts.st_mode)) place.facts = facts;
  return place;
}

Result<Place> place_of(const std::string& path) {
  if (const std::optional<int> number = descriptor_of(path)) {
    return place_of_descriptor(path, *number);
  }
  TRY_ASSIGN(Place place, Walk(path).run());
  return checked(path, std::move(place));
}

/// Writes to what is there.
std::error_code write_as_it_is(const Place& place, std::string_view bytes) {
  if (place.kind == Place::Kind::descriptor) {
    std::fflush(stdout);  // what was printed before stands before
    return write_all(place.descriptor, bytes);
  }
  UniqueFd file = reopened(place);
  struct stat facts {};
  if (!file || fstat(file.get(), &facts) != 0) return last_error();
  const bool is_device = S_ISCHR(facts.st_mode);
  if (!is_device && !S_ISREG(facts.st_mode)) return std::make_error_code(std::errc::bad_address);
  if (is_device && fcntl(file.get(), F_SETFL, O_WRONLY) != 0) return last_error();
  if (!is_device && ftruncate(file.get(), 0) != 0) return last_error();
  if (const std::error_code error = write_all(file.get(), bytes)) return error;
  if (!is_device && fsync(file.get()) != 0) return last_error();
  return file.close() ? std::error_code() : last_error();
}

/// What makes two outputs one file: its numbers, or its folder's and its name.
using Identity = std::tuple<dev_t, ino_t, std::string>;

std::optional<Identity> identity_of(const Place& place) {
  if (place.facts) {
    if (!S_ISREG(place.facts->st_mode)) return std::nullopt;
    return Identity{place.facts->st_dev, place.facts->st_ino, ""};
  }
  struct stat folder {};
  if (!place.folder || fstat(place.folder.get(), &folder) != 0) return std::nullopt;
  return Identity{folder.st_dev, folder.st_ino, place.name};
}

std::optional<Identity> identity_of_input(const std::string& path) {
  struct stat facts {};
  if (path.empty() || stat(path.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return std::nullopt;
  }
  return Identity{facts.st_dev, facts.st_ino, ""};
}

/// Without the permissions `withheld`.
Result<void> write(const std::string& path, std::string_view bytes, mode_t withheld) {
  TRY_ASSIGN(Place place, place_of(path));
  std::error_code error;
  if (place.kind == Place::Kind::replaced) {
    DraftOptions options;
    options.withheld = withheld;
    if (place.facts) {
      options.mode = place.facts->st_mode & kPermissions & ~withheld;
      options.owner = {place.facts->st_uid, place.facts->st_gid};
    }
    error = replace_file(place.folder.get(), place.name, bytes, options);
  }
  // A file that is a mount, or another's in a folder like /tmp, cannot be exchanged.
  const bool is_kept = error == std::errc::device_or_resource_busy ||
                       error == std::errc::operation_not_permitted ||
                       error == std::errc::permission_denied;
  if (place.kind != Place::Kind::replaced || (is_kept && place.facts)) {
    error = write_as_it_is(place, bytes);
  }
  return error ? refusal(path, error.message()) : Result<void>();
}

}  // namespace

Result<void> check_outputs(std::span<const std::string> paths,
                           std::span<const std::string> inputs) {
  std::map<Identity, std::string> taken;
  for (const std::string& input : inputs) {
    if (const auto identity = identity_of_input(input))
      taken[*identity] = "input \"" + input + "\"";
  }
  const std::pair<int, const char*> streams[] = {{STDOUT_FILENO, "standard output"},
                                                 {STDERR_FILENO, "standard error"}};
  for (const auto& [number, name] : streams) {
    struct stat facts {};
    if (fstat(number, &facts) == 0 && S_ISREG(facts.st_mode)) {
      taken[{facts.st_dev, facts.st_ino, ""}] = name;
    }
  }
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    TRY_ASSIGN(const Place place, place_of(path));
    const std::optional<Identity> identity = identity_of(place);
    const std::optional<int> number = descriptor_of(path);
    const bool is_stream = number && (*number == STDOUT_FILENO || *number == STDERR_FILENO);
    if (!identity || is_stream) continue;
    const auto [other, is_first] = taken.emplace(*identity, "\"" + path + "\"");
    if (is_first) continue;
    return Error(ErrorKind::invalid_argument,
                 "Output \"" + path + "\" is the same file as " + other->second + ".");
  }
  return {};
}

Result<void> write_file(const std::string& path, std::string_view bytes) {
  return write(path, bytes, 0);
}

Result<void> write_program(const std::string& path, std::string_view bytes) {
  return write(path, bytes, kOthersWrite);
}

}  // namespace leat
