// See output_file.h.
#include "leat/base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "leat/base/draft.h"
#include "leat/base/unique_fd.h"

namespace leat {

namespace {

constexpr mode_t kAnyWrite = S_IWUSR | S_IWGRP | S_IWOTH;
constexpr mode_t kPermissions = S_IRWXU | S_IRWXG | S_IRWXO;  // without setuid and its like

Error refusal(const std::string& path, const std::string& why) {
  return Error(ErrorKind::io, "File \"" + path + "\" cannot be written: " + why + ".");
}

/// Where an output goes.
struct Place {
  enum class Kind : uint8_t {
    replaced,    // `name` in `folder`, which may be there already
    opened,      // as it is, by its path
    descriptor,  // one of this process
  };
  Kind kind = Kind::replaced;
  UniqueFd folder;
  std::string name;
  std::optional<struct stat> facts;  // of what is there
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

/// In a folder that all may write and nobody may tidy (/tmp) anybody plants links. The kernel
/// follows only those of the folder's owner or ours, where fs.protected_symlinks is set (proc(5));
/// here it does not matter how that is set.
Result<void> check_link(const std::string& path) {
  struct stat link {};
  struct stat folder {};
  if (lstat(path.c_str(), &link) != 0 || !S_ISLNK(link.st_mode)) return {};
  const size_t slash = path.rfind('/');
  const std::string above = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (stat(above.c_str(), &folder) != 0) return refusal(path, last_error().message());
  const bool is_shared = (folder.st_mode & S_ISVTX) != 0 && (folder.st_mode & S_IWOTH) != 0;
  if (!is_shared || link.st_uid == geteuid() || link.st_uid == folder.st_uid) return {};
  return refusal(path, "it is a link of user (" + std::to_string(link.st_uid) +
                           ") in a folder that all may write");
}

/// The folder of `path`, which has no link at its end, and the name in it.
Result<Place> place_in_folder(const std::string& path) {
  Place place;
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  place.name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (place.name.empty() || place.name == "." || place.name == "..") {
    return refusal(path, "it names a folder");
  }
  place.folder = UniqueFd(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place.folder) {
    return refusal(path, "folder \"" + folder + "\": " + last_error().message());
  }
  return place;
}

bool takes_files(const UniqueFd& folder) {
  return faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) == 0;
}

Result<Place> place_of_none(const std::string& path) {
  struct stat facts {};
  if (lstat(path.c_str(), &facts) == 0) return refusal(path, "it is a link that leads nowhere");
  TRY_ASSIGN(Place place, place_in_folder(path));
  if (!takes_files(place.folder)) return refusal(path, "folder: " + last_error().message());
  return place;
}

Result<Place> place_of_regular(const std::string& path, const struct stat& facts) {
  if ((facts.st_mode & kAnyWrite) == 0) return refusal(path, "it is read-only");
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) return refusal(path, last_error().message());
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) return refusal(path, last_error().message());
  TRY_ASSIGN(Place place, place_in_folder(real.get()));
  if (!takes_files(place.folder)) place.kind = Place::Kind::opened;
  place.facts = facts;
  return place;
}

Result<Place> place_of(const std::string& path) {
  if (const std::optional<int> number = descriptor_of(path)) {
    Place place;
    place.kind = Place::Kind::descriptor;
    place.descriptor = *number;
    if (fcntl(*number, F_GETFD) < 0) return refusal(path, last_error().message());
    return place;
  }
  TRY(check_link(path));
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) {
    if (errno == ENOENT) return place_of_none(path);
    return refusal(path, last_error().message());
  }
  if (S_ISDIR(facts.st_mode)) return refusal(path, "it is a folder");
  if (S_ISREG(facts.st_mode)) return place_of_regular(path, facts);
  if (!S_ISCHR(facts.st_mode)) return refusal(path, "it is a pipe, a socket or a disk");
  if (access(path.c_str(), W_OK) != 0) return refusal(path, last_error().message());
  Place place;
  place.kind = Place::Kind::opened;
  return place;
}

/// Writes to what is there.
std::error_code write_as_it_is(const std::string& path, const Place& place,
                               std::string_view bytes) {
  if (place.kind == Place::Kind::descriptor) {
    std::fflush(stdout);  // what was printed before stands before
    return write_all(place.descriptor, bytes);
  }
  UniqueFd file(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
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
  if (place.facts) return Identity{place.facts->st_dev, place.facts->st_ino, ""};
  struct stat folder {};
  if (!place.folder || fstat(place.folder.get(), &folder) != 0) return std::nullopt;
  return Identity{folder.st_dev, folder.st_ino, place.name};
}

}  // namespace

Result<void> check_outputs(std::span<const std::string> paths) {
  std::map<Identity, std::string> taken;
  struct stat standard {};
  if (fstat(STDOUT_FILENO, &standard) == 0 && S_ISREG(standard.st_mode)) {
    taken[{standard.st_dev, standard.st_ino, ""}] = "standard output";
  }
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    TRY_ASSIGN(const Place place, place_of(path));
    const std::optional<Identity> identity = identity_of(place);
    if (!identity) continue;
    const auto [other, is_first] = taken.emplace(*identity, "\"" + path + "\"");
    if (is_first) continue;
    return Error(ErrorKind::invalid_argument,
                 "Output \"" + path + "\" is the same file as " + other->second + ".");
  }
  return {};
}

Result<void> write_file(const std::string& path, std::string_view bytes) {
  TRY_ASSIGN(const Place place, place_of(path));
  std::error_code error;
  if (place.kind == Place::Kind::replaced) {
    DraftOptions options;
    if (place.facts) {
      options.mode = place.facts->st_mode & kPermissions;
      options.owner = {place.facts->st_uid, place.facts->st_gid};
    }
    error = replace_file(place.folder.get(), place.name, bytes, options);
  }
  // A file that is a mount cannot be exchanged.
  if (place.kind != Place::Kind::replaced || error == std::errc::device_or_resource_busy) {
    error = write_as_it_is(path, place, bytes);
  }
  return error ? refusal(path, error.message()) : Result<void>();
}

}  // namespace leat
