// Plain POSIX files. EINTR is retried by the stream layer; a short read is an error.
#include "leat/base/files.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

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

}  // namespace

Result<std::string> read_file(const std::string& path, size_t size_bytes_max) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    return Error(ErrorKind::io, "\"" + path + "\" is a folder, not a file.");
  }
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) return io_error("opened", path);
  std::string bytes;
  char chunk[65536];
  size_t count = 0;
  while ((count = std::fread(chunk, 1, sizeof chunk, file.get())) > 0) {
    if (bytes.size() + count > size_bytes_max) {
      return Error(ErrorKind::io, "File \"" + path + "\" is larger than the limit (" +
                                      std::to_string(size_bytes_max) + " bytes).");
    }
    bytes.append(chunk, count);
  }
  if (std::ferror(file.get()) != 0) return io_error("read", path);
  return bytes;
}

Result<void> write_file_atomically(const std::string& path, std::string_view bytes) {
  const std::filesystem::path target(path);
  std::error_code code;
  if (target.has_parent_path()) {
    std::filesystem::create_directories(target.parent_path(), code);
    if (code) {
      return Error(ErrorKind::io, "Folder \"" + target.parent_path().string() +
                                      "\" cannot be created: " + code.message() + ".");
    }
  }
  const std::string draft = path + "." + std::to_string(::getpid()) + ".part";
  {
    const File file(std::fopen(draft.c_str(), "wb"));
    if (!file) return io_error("created", draft);
    if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() ||
        std::fflush(file.get()) != 0) {
      const Error error = io_error("written", draft);
      std::filesystem::remove(draft, code);
      return error;
    }
  }
  std::filesystem::rename(draft, target, code);
  if (!code) return {};
  const std::string reason = code.message();
  std::filesystem::remove(draft, code);
  return Error(ErrorKind::io, "File \"" + path + "\" cannot be replaced: " + reason + ".");
}

std::string cache_folder() {
  if (const std::string folder = env("XDG_CACHE_HOME"); !folder.empty()) return folder + "/leat";
  if (const std::string home = env("HOME"); !home.empty()) return home + "/.cache/leat";
  return "";
}

}  // namespace leat
