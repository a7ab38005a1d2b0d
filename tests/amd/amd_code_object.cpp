#include "tests/amd/amd_code_object.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace leat::amd_card {

namespace {

constexpr uint16_t kMachineAmdgpu = 224;                                  // EM_AMDGPU
constexpr uint32_t kRel32 = 4, kRel64 = 5, kRel32Lo = 10, kRel32Hi = 11;  // R_AMDGPU_*
constexpr uint64_t kSectionAlignment = 256;
constexpr size_t kPrefetchBytes = 384;  // the instruction fetch reads ahead of the last one
constexpr uint16_t kPropertyKernarg = 1 << 3, kPropertyWave32 = 1 << 10;

Error malformed(const std::string& what) {
  return Error(ErrorKind::invalid_argument, fmt::format("Code object: {}.", what));
}

template <class T>
T read(std::span<const uint8_t> bytes, size_t at) {
  T value{};
  if (at + sizeof(T) <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

struct Elf {
  std::span<const uint8_t> bytes;
  std::vector<Elf64_Shdr> sections;
  std::vector<uint64_t> placed;  // offset of each section in the image, or ~0
};

void place_sections(Elf& elf, std::vector<uint8_t>& image) {
  for (const Elf64_Shdr& section : elf.sections) {
    const bool is_loaded = (section.sh_flags & SHF_ALLOC) != 0 && section.sh_type != SHT_NOTE &&
                           section.sh_type != SHT_NOBITS;
    if (!is_loaded) {
      elf.placed.push_back(~uint64_t{0});
      continue;
    }
    image.resize((image.size() + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment);
    elf.placed.push_back(image.size());
    const auto contents = elf.bytes.subspan(section.sh_offset, section.sh_size);
    image.insert(image.end(), contents.begin(), contents.end());
  }
  image.resize(image.size() + kPrefetchBytes);
  image.resize((image.size() + 4095) / 4096 * 4096);
}

Result<void> relocate(const Elf& elf, const Elf64_Shdr& section, std::vector<uint8_t>& image) {
  const Elf64_Shdr& symbols = elf.sections[section.sh_link];
  if (elf.placed[section.sh_info] == ~uint64_t{0}) return {};
  for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= section.sh_size; at += sizeof(Elf64_Rela)) {
    const auto entry = read<Elf64_Rela>(elf.bytes, section.sh_offset + at);
    const auto symbol = read<Elf64_Sym>(
        elf.bytes, symbols.sh_offset + ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym));
    if (symbol.st_shndx >= elf.placed.size() || elf.placed[symbol.st_shndx] == ~uint64_t{0}) {
      return malformed("a relocation names a symbol that is not here");
    }
    const uint64_t place = elf.placed[section.sh_info] + entry.r_offset;
    const uint64_t value =
        elf.placed[symbol.st_shndx] + symbol.st_value + uint64_t(entry.r_addend) - place;
    const uint32_t type = uint32_t(ELF64_R_TYPE(entry.r_info));
    uint32_t size = 4;
    uint64_t bits = value;
    switch (type) {
      case kRel64: size = 8; break;
      case kRel32:
      case kRel32Lo: break;
      case kRel32Hi: bits = value >> 32; break;
      default: return malformed(fmt::format("relocation type {} is not known", type));
    }
    if (place + size > image.size()) return malformed("a relocation lies outside");
    std::memcpy(image.data() + place, &bits, size);
  }
  return {};
}

KernelDescriptor describe(const std::vector<uint8_t>& image, uint64_t at, std::string name) {
  const std::span<const uint8_t> bytes(image);
  KernelDescriptor kernel;
  kernel.name = std::move(name);
  kernel.descriptor_offset = at;
  kernel.local_bytes = read<uint32_t>(bytes, at);
  kernel.private_bytes = read<uint32_t>(bytes, at + 4);
  kernel.argument_bytes = read<uint32_t>(bytes, at + 8);
  kernel.entry_offset = at + read<uint64_t>(bytes, at + 16);
  kernel.rsrc3 = read<uint32_t>(bytes, at + 44);
  kernel.rsrc1 = read<uint32_t>(bytes, at + 48);
  kernel.rsrc2 = read<uint32_t>(bytes, at + 52);
  kernel.properties = read<uint16_t>(bytes, at + 56);
  return kernel;
}

void find_kernels(const Elf& elf, CodeImage& out) {
  for (const Elf64_Shdr& section : elf.sections) {
    if (section.sh_type != SHT_SYMTAB) continue;
    const Elf64_Shdr& names = elf.sections[section.sh_link];
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = read<Elf64_Sym>(elf.bytes, section.sh_offset + at);
      const std::string name(
          reinterpret_cast<const char*>(elf.bytes.data() + names.sh_offset + symbol.st_name));
      if (!name.ends_with(".kd") || symbol.st_shndx >= elf.placed.size()) continue;
      out.kernels.push_back(describe(out.bytes, elf.placed[symbol.st_shndx] + symbol.st_value,
                                     name.substr(0, name.size() - 3)));
    }
  }
}

}  // namespace

Result<CodeImage> load_code_object(std::span<const uint8_t> object) {
  const auto header = read<Elf64_Ehdr>(object, 0);
  if (object.size() < sizeof(header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_machine != kMachineAmdgpu || header.e_type != ET_REL) {
    return malformed("this is no relocatable AMDGPU object");
  }
  Elf elf{.bytes = object};
  for (uint16_t k = 0; k < header.e_shnum; ++k) {
    elf.sections.push_back(
        read<Elf64_Shdr>(object, header.e_shoff + uint64_t{k} * header.e_shentsize));
    const Elf64_Shdr& section = elf.sections.back();
    const bool has_bytes = section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL;
    if (has_bytes && section.sh_offset + section.sh_size > object.size()) {
      return malformed("a section lies outside");
    }
  }
  CodeImage out;
  place_sections(elf, out.bytes);
  for (const Elf64_Shdr& section : elf.sections) {
    if (section.sh_type == SHT_RELA) TRY(relocate(elf, section, out.bytes));
  }
  find_kernels(elf, out);
  if (out.kernels.empty()) return malformed("it has no kernel");
  return out;
}

Result<Launch> launch_of(const KernelDescriptor& kernel, uint64_t image_va, uint64_t arguments_va) {
  if ((kernel.properties & ~(kPropertyKernarg | kPropertyWave32)) != 0 ||
      (kernel.properties & kPropertyWave32) == 0) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" has properties (0x{:x}) beyond wave32 and its argument "
                             "block.",
                             kernel.name, kernel.properties));
  }
  Launch launch;
  launch.entry = image_va + kernel.entry_offset;
  launch.rsrc1 = kernel.rsrc1 & ~0x3c0U;
  launch.rsrc2 = kernel.rsrc2 | (kernel.local_bytes + 511) / 512 << 15;
  launch.rsrc3 = kernel.rsrc3;
  launch.scratch_bytes = (kernel.private_bytes + 3) / 4 * 4;
  if ((kernel.properties & kPropertyKernarg) != 0) {
    launch.user_data[0] = uint32_t(arguments_va);
    launch.user_data[1] = uint32_t(arguments_va >> 32);
    launch.user_data_set = 3;
  }
  return launch;
}

}  // namespace leat::amd_card
