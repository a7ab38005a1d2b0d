// Plain POSIX files through stdio.
#include "leat/base/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "leat/base/borrowed_rights.h"
#include "leat/base/env.h"

namespace leat {

namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

Error io_error(const char* verb, const std::string& path) {
  return Error(ErrorKind::io, std::string("File \"") + path + "\" cannot be " + verb + ": " +
                                  std::strerror(errno) + ".");
}

Error too_large(const std::string& path, size_t size_bytes_max) {
  return Error(ErrorKind::io, "File \"" + path + "\" is larger than the limit (" +
                                  std::to_string(size_bytes_max) + " bytes).");
}

/// The folder of the variable `name`, or `standard` below the home.
std::string folder_of(const char* name, const char* standard) {
  if (has_borrowed_rights()) return "";
  if (const std::string folder = env(name); folder.starts_with('/')) return folder + "/leat";
  const std::string home = env("HOME");
  return home.starts_with('/') ? home + "/" + standard + "/leat" : "";
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t size_bytes_max) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    return Error(ErrorKind::io, "\"" + path + "\" is a folder, not a file.");
  }
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) return io_error("opened", path);
  std::string bytes;
  struct stat facts {};
  if (fstat(fileno(file.get()), &facts) == 0 && S_ISREG(facts.st_mode)) {
    if (static_cast<size_t>(facts.st_size) > size_bytes_max) return too_large(path, size_bytes_max);
    bytes.reserve(static_cast<size_t>(facts.st_size));
  }
  char chunk[65536];
  size_t count = 0;
  while ((count = std::fread(chunk, 1, sizeof chunk, file.get())) > 0) {
    if (bytes.size() + count > size_bytes_max) {
      return too_large(path, size_bytes_max);
    }
    bytes.append(chunk, count);
  }
  if (std::ferror(file.get()) != 0) return io_error("read", path);
  return bytes;
}

// A dma-buf is no regular file, and tells its size by its end.
Result<uint64_t> size_of_descriptor(int fd) {
  struct stat facts {};
  if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode)) {
    return static_cast<uint64_t>(facts.st_size);
  }
  const off_t place = lseek(fd, 0, SEEK_CUR);
  const off_t end = place < 0 ? place : lseek(fd, 0, SEEK_END);
  if (end < 0) {
    return Error(ErrorKind::invalid_argument, "File descriptor (" + std::to_string(fd) +
                                                  ") has no size: lseek fails (" +
                                                  std::strerror(errno) + ").");
  }
  lseek(fd, place, SEEK_SET);
  return static_cast<uint64_t>(end);
}

std::string cache_folder() { return folder_of("XDG_CACHE_HOME", ".cache"); }

std::string state_folder() { return folder_of("XDG_STATE_HOME", ".local/state"); }

}  // namespace leat
