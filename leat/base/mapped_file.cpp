// See mapped_file.h.
#include "leat/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

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
  std::error_code error;
  const std::string whole = std::filesystem::absolute(path, error).lexically_normal();
  if (error) return cannot_be_read(path, error.message().c_str());
  TRY(check_own_place(whole));
  MappedFile mapped;
  if (facts.st_size == 0) return mapped;
  const auto size_bytes = static_cast<size_t>(facts.st_size);
  void* const pages = mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (pages == MAP_FAILED) return cannot_be_read(path, std::strerror(errno));
  mapped.bytes_ = {static_cast<const std::byte*>(pages), size_bytes};
  return mapped;
}

}  // namespace leat
