// A file in memory as it lies on the disk: what is not looked at is not read.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "leat/base/result.h"

namespace leat {

class MappedFile {
 public:
  /// The file's pages, read-only. It must not shrink while it is mapped: reading what is gone ends
  /// the process. So `of_user` refuses a file that somebody else than this user and root owns, can
  /// write or exchange. Errors: io (no such file, no regular file); invalid_argument, when others
  /// can.
  static Result<MappedFile> of_user(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace leat
