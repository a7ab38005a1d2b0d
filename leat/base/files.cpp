// Plain POSIX files through stdio. What is written appears under its name whole or not at all.
#include "leat/base/files.h"

#include <unistd.h>

#include <atomic>
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
  static std::atomic<uint64_t> drafts = 0;
  const std::string draft =
      path + "." + std::to_string(::getpid()) + "." + std::to_string(drafts.fetch_add(1)) + ".part";
  {
    File file(std::fopen(draft.c_str(), "wb"));
    if (!file) return io_error("created", draft);
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
    // Some file systems report a full disk only when the file is closed.
    if (const bool closed = std::fclose(file.release()) == 0; !written || !closed) {
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
