// The one reader of ELF files with code for GPUs: header and sections. Files come from caches, so
// every offset is checked; what is not whole is refused.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"

namespace leat {

/// A `T` at `offset`; nothing when it leaves the bytes.
template <typename T>
std::optional<T> read_at(std::span<const std::byte> bytes, uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

struct ElfSection {
  std::string_view name;
  uint32_t type = 0;   // SHT_*
  uint64_t flags = 0;  // SHF_*
  uint32_t link = 0;
  uint32_t info = 0;
  uint64_t alignment_bytes = 0;
  uint64_t size_bytes = 0;
  std::span<const std::byte> bytes;  // empty for SHT_NOBITS
};

class ElfFile {
 public:
  /// Errors: `kind`, as sentences about `subject` ("The cubin of Kernel ...").
  static Result<ElfFile> read(std::span<const std::byte> file, std::string subject, ErrorKind kind);

  uint16_t type() const { return type_; }        // ET_*
  uint16_t machine() const { return machine_; }  // EM_*
  uint8_t abi_version() const { return abi_version_; }
  uint32_t flags() const { return flags_; }  // the machine's own
  size_t size_bytes() const { return file_.size(); }
  std::span<const ElfSection> sections() const { return sections_; }
  /// Null when there is none of that name.
  const ElfSection* find(std::string_view name) const;
  /// "SUBJECT what."
  Error error(const std::string& what) const { return Error(kind_, subject_ + " " + what + "."); }

 private:
  ElfFile(std::span<const std::byte> file, std::string subject, ErrorKind kind)
      : file_(file), subject_(std::move(subject)), kind_(kind) {}
  Result<void> read_sections(uint64_t offset, uint64_t count, uint64_t names_index);
  std::optional<std::span<const std::byte>> part(uint64_t offset, uint64_t size_bytes) const;

  std::span<const std::byte> file_;
  std::string subject_;
  ErrorKind kind_;
  uint16_t type_ = 0;
  uint16_t machine_ = 0;
  uint8_t abi_version_ = 0;
  uint32_t flags_ = 0;
  std::vector<ElfSection> sections_;
};

}  // namespace leat
