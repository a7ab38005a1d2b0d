// See mapped_file.h.
#include "leat/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "leat/base/private_folder.h"
#include "leat/base/unique_fd.h"

namespace leat {

namespace {

Error cannot_be_read(const std::string& path, const char* reason) {
  return Error(ErrorKind::io, "File \"" + path + "\" cannot be read: " + reason + ".");
}

/// Whether somebody else can write what was opened, wherever it came from.
Result<void> check_own(const std::string& path, const struct stat& facts) {
  std::string why;
  if (facts.st_uid != 0 && facts.st_uid != geteuid()) {
    why = "it belongs to user (" + std::to_string(facts.st_uid) + ")";
  } else if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    why = "others may write it (chmod go-w)";
  }
  if (why.empty()) return {};
  return Error(ErrorKind::invalid_argument,
               "File \"" + path + "\" is not to be trusted: " + why + ".");
}

/// Whether nobody else can put a file at `path`, and what lies there is what was opened. The path
/// is taken as the system takes it: a ".." behind a link leads to where the link's target lies.
Result<void> check_place(const std::string& path, const struct stat& facts) {
  std::error_code error;
  const std::string whole = std::filesystem::absolute(path, error);
  if (error) return cannot_be_read(path, error.message().c_str());
  TRY(check_own_place(whole));
  struct stat now {};
  if (stat(whole.c_str(), &now) != 0) return cannot_be_read(path, std::strerror(errno));
  if (now.st_dev == facts.st_dev && now.st_ino == facts.st_ino) return {};
  return cannot_be_read(path, "it was exchanged meanwhile");
}

}  // namespace

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<MappedFile> MappedFile::of_user(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat facts {};
  if (!file || fstat(file.get(), &facts) != 0) return cannot_be_read(path, std::strerror(errno));
  if (!S_ISREG(facts.st_mode)) return cannot_be_read(path, "it is no regular file");
  TRY(check_own(path, facts));
  TRY(check_place(path, facts));
  MappedFile mapped;
  if (facts.st_size == 0) return mapped;
  const auto size_bytes = static_cast<size_t>(facts.st_size);
  void* const pages = mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (pages == MAP_FAILED) return cannot_be_read(path, std::strerror(errno));
  mapped.bytes_ = {static_cast<const std::byte*>(pages), size_bytes};
  return mapped;
}

}  // namespace leat
