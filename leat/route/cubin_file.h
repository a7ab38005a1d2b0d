// The one reader of cubins: an ELF file for NVIDIA GPUs, taken apart into sections and attributes.
// Files come from caches, so every offset is checked; what is not whole is refused.
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

struct CubinSection {
  std::string_view name;
  uint32_t type = 0;  // SHT_*
  uint32_t link = 0;
  uint32_t info = 0;
  uint64_t size_bytes = 0;
  std::span<const std::byte> bytes;  // empty for SHT_NOBITS
};

/// Of .nv.info or .nv.info.<kernel>: u8 format, u8 number, u16 value or byte count of the data.
struct CubinAttribute {
  uint8_t number = 0;  // EIATTR_*
  uint16_t value = 0;
  std::span<const std::byte> data;
};

class CubinFile {
 public:
  /// Errors: `kind`, as sentences about `subject` ("The cubin of Kernel ...").
  static Result<CubinFile> read(std::span<const std::byte> file, std::string subject,
                                ErrorKind kind);

  /// 90 for sm_90.
  uint32_t architecture() const { return architecture_; }
  size_t size_bytes() const { return file_.size(); }
  std::span<const CubinSection> sections() const { return sections_; }
  /// Null when there is none of that name.
  const CubinSection* find(std::string_view name) const;
  /// Errors: when one leaves the section.
  Result<std::vector<CubinAttribute>> attributes(const CubinSection& section) const;
  /// "SUBJECT what."
  Error error(const std::string& what) const { return Error(kind_, subject_ + " " + what + "."); }

 private:
  CubinFile(std::span<const std::byte> file, std::string subject, ErrorKind kind)
      : file_(file), subject_(std::move(subject)), kind_(kind) {}
  Result<void> read_header();
  Result<void> read_sections(uint64_t offset, uint64_t count, uint64_t names_index);
  std::optional<std::span<const std::byte>> part(uint64_t offset, uint64_t size_bytes) const;

  std::span<const std::byte> file_;
  std::string subject_;
  ErrorKind kind_;
  uint32_t architecture_ = 0;
  std::vector<CubinSection> sections_;
};

}  // namespace leat
