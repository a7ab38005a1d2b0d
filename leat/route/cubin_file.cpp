// ELF64, little endian, machine 190 (EM_CUDA). Source: the System V ABI (ELF); LLVM's BinaryFormat/
// ELF.h for the architecture in the flags (EF_CUDA_SM for ABI version 7, EF_CUDA_SM_MASK and
// EF_CUDA_SM_OFFSET for 8). The attributes are not documented: their layout was read from cubins of
// ptxas 13.0.88, and agrees with tinygrad's loader (runtime/support/elf.py).
#include "leat/route/cubin_file.h"

#include <elf.h>

#include <algorithm>

namespace leat {

namespace {

constexpr uint16_t kMachineCuda = 190;  // EM_CUDA
constexpr uint8_t kFormatBytes = 4;     // the 16-bit value counts the bytes that follow

}  // namespace

Result<CubinFile> CubinFile::read(std::span<const std::byte> file, std::string subject,
                                  ErrorKind kind) {
  CubinFile cubin(file, std::move(subject), kind);
  TRY(cubin.read_header());
  return cubin;
}

std::optional<std::span<const std::byte>> CubinFile::part(uint64_t offset,
                                                          uint64_t size_bytes) const {
  if (offset > file_.size() || size_bytes > file_.size() - offset) return std::nullopt;
  return file_.subspan(offset, size_bytes);
}

Result<void> CubinFile::read_header() {
  const auto header = read_at<Elf64_Ehdr>(file_, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB) {
    return error("is no 64-bit ELF file");
  }
  if (header->e_machine != kMachineCuda) {
    return error("is for machine (" + std::to_string(header->e_machine) + ") and not for CUDA (" +
                 std::to_string(kMachineCuda) + ")");
  }
  // Until ABI version 7 the architecture stands in the lowest byte, from 8 on in the next.
  const bool is_late_abi = header->e_ident[EI_ABIVERSION] >= 8;
  architecture_ = is_late_abi ? header->e_flags >> 8 & 0xff : header->e_flags & 0xff;
  if (header->e_shentsize != sizeof(Elf64_Shdr)) return error("has no table of sections");
  return read_sections(header->e_shoff, header->e_shnum, header->e_shstrndx);
}

Result<void> CubinFile::read_sections(uint64_t offset, uint64_t count, uint64_t names_index) {
  const auto table = part(offset, count * sizeof(Elf64_Shdr));
  if (!table || names_index >= count) return error("has no table of sections");
  const auto names_header = *read_at<Elf64_Shdr>(*table, names_index * sizeof(Elf64_Shdr));
  const auto names = part(names_header.sh_offset, names_header.sh_size);
  if (!names || names->empty() || names->back() != std::byte{0}) {
    return error("has no section names");
  }
  for (uint64_t i = 0; i < count; ++i) {
    const auto header = *read_at<Elf64_Shdr>(*table, i * sizeof(Elf64_Shdr));
    if (header.sh_name >= names->size()) return error("has a section without a name");
    CubinSection section;
    section.name = reinterpret_cast<const char*>(names->data()) + header.sh_name;
    section.type = header.sh_type;
    section.link = header.sh_link;
    section.info = header.sh_info;
    section.size_bytes = header.sh_size;
    if (header.sh_type != SHT_NOBITS) {
      const auto bytes = part(header.sh_offset, header.sh_size);
      if (!bytes) return error("ends inside section \"" + std::string(section.name) + "\"");
      section.bytes = *bytes;
    }
    sections_.push_back(section);
  }
  return {};
}

const CubinSection* CubinFile::find(std::string_view name) const {
  const auto section = std::ranges::find(sections_, name, &CubinSection::name);
  return section == sections_.end() ? nullptr : &*section;
}

Result<std::vector<CubinAttribute>> CubinFile::attributes(const CubinSection& section) const {
  std::vector<CubinAttribute> found;
  for (uint64_t offset = 0; offset + 4 <= section.bytes.size();) {
    const auto format = static_cast<uint8_t>(section.bytes[offset]);
    CubinAttribute attribute;
    attribute.number = static_cast<uint8_t>(section.bytes[offset + 1]);
    attribute.value = *read_at<uint16_t>(section.bytes, offset + 2);
    offset += 4;
    const uint64_t data_bytes = format == kFormatBytes ? attribute.value : 0;
    if (data_bytes > section.bytes.size() - offset) {
      return error("ends inside an attribute of \"" + std::string(section.name) + "\"");
    }
    attribute.data = section.bytes.subspan(offset, data_bytes);
    found.push_back(attribute);
    offset += data_bytes;
  }
  return found;
}

}  // namespace leat
