// ELF64, little endian. Source: the System V ABI (ELF).
#include "leat/route/elf_file.h"

#include <elf.h>

#include <algorithm>

namespace leat {

std::optional<std::span<const std::byte>> ElfFile::part(uint64_t offset,
                                                        uint64_t size_bytes) const {
  if (offset > file_.size() || size_bytes > file_.size() - offset) return std::nullopt;
  return file_.subspan(offset, size_bytes);
}

Result<ElfFile> ElfFile::read(std::span<const std::byte> file, std::string subject,
                              ErrorKind kind) {
  ElfFile elf(file, std::move(subject), kind);
  const auto header = read_at<Elf64_Ehdr>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB) {
    return elf.error("is no 64-bit ELF file");
  }
  elf.type_ = header->e_type;
  elf.machine_ = header->e_machine;
  elf.abi_version_ = header->e_ident[EI_ABIVERSION];
  elf.flags_ = header->e_flags;
  if (header->e_shentsize != sizeof(Elf64_Shdr)) return elf.error("has no table of sections");
  TRY(elf.read_sections(header->e_shoff, header->e_shnum, header->e_shstrndx));
  return elf;
}

Result<void> ElfFile::read_sections(uint64_t offset, uint64_t count, uint64_t names_index) {
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
    ElfSection section;
    section.name = reinterpret_cast<const char*>(names->data()) + header.sh_name;
    section.type = header.sh_type;
    section.flags = header.sh_flags;
    section.link = header.sh_link;
    section.info = header.sh_info;
    section.alignment_bytes = header.sh_addralign;
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

const ElfSection* ElfFile::find(std::string_view name) const {
  const auto section = std::ranges::find(sections_, name, &ElfSection::name);
  return section == sections_.end() ? nullptr : &*section;
}

}  // namespace leat
