// The one reader of cubins: an ELF file for NVIDIA GPUs, taken apart into sections and attributes.
#pragma once

#include "leat/route/elf_file.h"

namespace leat {

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
  size_t size_bytes() const { return elf_.size_bytes(); }
  std::span<const ElfSection> sections() const { return elf_.sections(); }
  /// Null when there is none of that name.
  const ElfSection* find(std::string_view name) const { return elf_.find(name); }
  /// Errors: when one leaves the section.
  Result<std::vector<CubinAttribute>> attributes(const ElfSection& section) const;
  /// "SUBJECT what."
  Error error(const std::string& what) const { return elf_.error(what); }

 private:
  explicit CubinFile(ElfFile elf) : elf_(std::move(elf)) {}

  ElfFile elf_;
  uint32_t architecture_ = 0;
};

}  // namespace leat
