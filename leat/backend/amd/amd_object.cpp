// Source: LLVM's User Guide for AMDGPU Backend: "ELF Header", "Relocation Records", "Kernel
// Descriptor"; what of a descriptor this route serves: issue of user data in AMDGPUUsage, "Initial
// Kernel Execution State".
#include "leat/backend/amd/amd_object.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "leat/base/numbers.h"

namespace leat {

namespace {

constexpr uint16_t kMachineAmdgpu = 224;  // EM_AMDGPU
constexpr uint8_t kAbiVersion = 3;        // ELFABIVERSION_AMDGPU_HSA_V5
constexpr uint32_t kMachineMask = 0xff;   // EF_AMDGPU_MACH
constexpr uint64_t kDescriptorBytes = 64;
// Behind the last instruction: instructions are fetched ahead (AMDGPUUsage, "Code Object Loading").
constexpr uint64_t kPrefetchBytes = 384;
constexpr uint64_t kImageBytesMax = uint64_t{64} << 20;
constexpr uint64_t kNowhere = ~uint64_t{0};

constexpr uint32_t kRel32 = 4, kRel64 = 5, kRel32Lo = 10, kRel32Hi = 11;  // R_AMDGPU_*

// Bits of KERNEL_CODE_PROPERTIES.
constexpr uint16_t kKernargPointer = 1 << 3, kWave32 = 1 << 10;

/// Where the sections lie in the image, and where symbols do.
class Linker {
 public:
  explicit Linker(const ElfFile& file) : file_(file) {}

  Result<void> place(std::vector<std::byte>& image);
  Result<void> relocate(std::vector<std::byte>& image) const;
  /// Errors: no such symbol, or one that is not in the image.
  Result<Elf64_Sym> find_symbol(const std::string& name) const;
  uint64_t address_of(const Elf64_Sym& symbol) const {
    return symbol.st_shndx < places_.size() && places_[symbol.st_shndx] != kNowhere
               ? places_[symbol.st_shndx] + symbol.st_value
               : kNowhere;
  }

 private:
  Result<void> relocate_section(const ElfSection& section, std::vector<std::byte>& image) const;
  Result<void> apply(const Elf64_Rela& entry, uint64_t place, uint64_t section_end,
                     const Elf64_Sym& symbol, std::vector<std::byte>& image) const;
  std::span<const std::byte> section_bytes(uint32_t index) const {
    return index < file_.sections().size() ? file_.sections()[index].bytes
                                           : std::span<const std::byte>();
  }

  const ElfFile& file_;
  std::vector<uint64_t> places_;  // by section; kNowhere: not in the image
};

Result<void> Linker::place(std::vector<std::byte>& image) {
  for (const ElfSection& section : file_.sections()) {
    places_.push_back(kNowhere);
    if ((section.flags & SHF_ALLOC) == 0 || section.type == SHT_NOTE || section.size_bytes == 0) {
      continue;
    }
    if (section.type != SHT_PROGBITS || (section.flags & SHF_WRITE) != 0) {
      return file_.error(fmt::format("has variables, in section \"{}\"", section.name));
    }
    const uint64_t alignment = std::max(section.alignment_bytes, AmdObject::kImageAlignment);
    if (!std::has_single_bit(alignment) || alignment > AmdObject::kImageAlignment ||
        image.size() + section.size_bytes > kImageBytesMax) {
      return file_.error(fmt::format("has a section \"{}\" that cannot be placed", section.name));
    }
    image.resize(round_up(image.size(), alignment));
    places_.back() = image.size();
    image.insert(image.end(), section.bytes.begin(), section.bytes.end());
  }
  image.resize(image.size() + kPrefetchBytes);
  return {};
}

Result<void> Linker::relocate(std::vector<std::byte>& image) const {
  for (const ElfSection& section : file_.sections()) {
    const bool is_placed = section.info < places_.size() && places_[section.info] != kNowhere;
    if (!is_placed) continue;
    if (section.type == SHT_REL) return file_.error("has relocations without addends");
    if (section.type == SHT_RELA) TRY(relocate_section(section, image));
  }
  return {};
}

Result<void> Linker::relocate_section(const ElfSection& section,
                                      std::vector<std::byte>& image) const {
  const std::span<const std::byte> symbols = section_bytes(section.link);
  const uint64_t start = places_[section.info];
  const uint64_t end = start + section_bytes(section.info).size();
  for (uint64_t at = 0; at < section.bytes.size(); at += sizeof(Elf64_Rela)) {
    const auto entry = read_at<Elf64_Rela>(section.bytes, at);
    if (!entry) return file_.error("ends inside its relocations");
    const auto symbol = read_at<Elf64_Sym>(symbols, ELF64_R_SYM(entry->r_info) * sizeof(Elf64_Sym));
    if (!symbol || entry->r_offset > end - start) {
      return file_.error("has a relocation that leads outside");
    }
    TRY(apply(*entry, start + entry->r_offset, end, *symbol, image));
  }
  return {};
}

/// S + A - P: all are distances within the image, so nothing depends on where it will lie.
Result<void> Linker::apply(const Elf64_Rela& entry, uint64_t place, uint64_t section_end,
                           const Elf64_Sym& symbol, std::vector<std::byte>& image) const {
  const auto type = static_cast<uint32_t>(ELF64_R_TYPE(entry.r_info));
  const uint64_t target = address_of(symbol);
  if (target == kNowhere || target > image.size()) {
    return file_.error("needs a symbol that it does not have");
  }
  uint64_t value = target + static_cast<uint64_t>(entry.r_addend) - place;
  uint64_t size_bytes = 4;
  switch (type) {
    case kRel64: size_bytes = 8; break;
    case kRel32:
    case kRel32Lo: break;
    case kRel32Hi: value >>= 32; break;
    default: return file_.error(fmt::format("has a relocation of unknown type ({})", type));
  }
  if (place + size_bytes > section_end) return file_.error("has a relocation that leads outside");
  std::memcpy(image.data() + place, &value, size_bytes);
  return {};
}

Result<Elf64_Sym> Linker::find_symbol(const std::string& name) const {
  for (const ElfSection& section : file_.sections()) {
    if (section.type != SHT_SYMTAB) continue;
    const std::span<const std::byte> names = section_bytes(section.link);
    if (names.empty() || names.back() != std::byte{0}) continue;
    for (uint64_t at = 0; at < section.bytes.size(); at += sizeof(Elf64_Sym)) {
      const auto symbol = read_at<Elf64_Sym>(section.bytes, at);
      if (!symbol || symbol->st_name >= names.size()) return file_.error("has no table of symbols");
      if (name == reinterpret_cast<const char*>(names.data()) + symbol->st_name) return *symbol;
    }
  }
  return file_.error("has no symbol (" + name + ")");
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

AmdDescriptor decode_descriptor(std::span<const std::byte> bytes) {
  AmdDescriptor descriptor;
  descriptor.group_bytes = *read_at<uint32_t>(bytes, 0);
  descriptor.private_bytes = *read_at<uint32_t>(bytes, 4);
  descriptor.kernarg_bytes = *read_at<uint32_t>(bytes, 8);
  descriptor.entry_offset = *read_at<int64_t>(bytes, 16);
  descriptor.rsrc3 = *read_at<uint32_t>(bytes, 44);
  descriptor.rsrc1 = *read_at<uint32_t>(bytes, 48);
  descriptor.rsrc2 = *read_at<uint32_t>(bytes, 52);
  descriptor.properties = *read_at<uint16_t>(bytes, 56);
  return descriptor;
}

/// Finds the descriptor in the linked image, and in it the kernel's first instruction.
Result<void> find_entry(const ElfFile& file, const Linker& linker, const std::string& entry,
                        AmdObject& object) {
  TRY_ASSIGN(const Elf64_Sym symbol, linker.find_symbol(entry + ".kd"));
  TRY_ASSIGN(const Elf64_Sym code, linker.find_symbol(entry));
  const uint64_t at = linker.address_of(symbol);
  if (at == kNowhere || at % kDescriptorBytes != 0 || symbol.st_size != kDescriptorBytes ||
      at > object.image.size() - kDescriptorBytes) {
    return file.error("has a descriptor that is not one of 64 bytes");
  }
  const std::span<const std::byte> bytes = std::span(object.image).subspan(at, kDescriptorBytes);
  // 12, 24 and 60 are reserved; 58 is of arguments in registers.
  if (!is_zero(bytes.subspan(12, 4)) || !is_zero(bytes.subspan(24, 20)) ||
      !is_zero(bytes.subspan(58, 6))) {
    return file.error("has a descriptor with reserved bytes set");
  }
  object.descriptor = decode_descriptor(bytes);
  object.entry_offset = at + static_cast<uint64_t>(object.descriptor.entry_offset);
  if (object.entry_offset != linker.address_of(code) ||
      object.entry_offset > object.image.size() - kPrefetchBytes ||
      object.entry_offset % AmdObject::kImageAlignment != 0) {
    return file.error("has a descriptor that does not lead to its kernel");
  }
  return {};
}

/// What the dispatcher fills in must be 0, and bits that the chip does not have too.
Result<void> check_registers(const ElfFile& file, const AmdGeneration& generation,
                             const AmdDescriptor& descriptor) {
  constexpr uint32_t kSgprs = 0xf << 6;  // ignored from gfx10 on, but LLVM 19 sets it
  const uint32_t rsrc1 = descriptor.rsrc1 & ~(generation.rsrc1_bits | kSgprs);
  const uint32_t rsrc2 = descriptor.rsrc2 & ~generation.rsrc2_bits;
  const uint32_t rsrc3 = descriptor.rsrc3 & ~generation.rsrc3_bits;
  if ((rsrc1 | rsrc2 | rsrc3) == 0) return {};
  return file.error(
      fmt::format("has a descriptor with bits ({:x}, {:x}, {:x}) that {} does not have", rsrc1,
                  rsrc2, rsrc3, generation.name));
}

Result<void> check_numbers(const ElfFile& file, const AmdObject& object) {
  const AmdDescriptor& descriptor = object.descriptor;
  const AmdKernelNotes& notes = object.notes;
  struct Pair {
    const char* what;
    uint64_t said, noted;
  };
  // VGPRS of RSRC1: units of 8 registers less one, for waves of 32 lanes. SCRATCH_EN: bit 0.
  const uint64_t vgpr_units = std::max<uint64_t>(1, (notes.vgprs + 7) / 8);
  const Pair pairs[] = {
      {"argument bytes", descriptor.kernarg_bytes, notes.kernarg_bytes},
      {"bytes of local memory", descriptor.group_bytes, notes.group_bytes},
      {"bytes of scratch", descriptor.private_bytes, notes.private_bytes},
      {"register units", (descriptor.rsrc1 & 0x3f) + 1, vgpr_units},
      {"scratch bit", descriptor.rsrc2 & 1, notes.private_bytes > 0 ? 1u : 0u},
      {"lanes of a wave", (descriptor.properties & kWave32) != 0 ? 32u : 64u, notes.wave_lanes},
  };
  for (const Pair& pair : pairs) {
    if (pair.said == pair.noted) continue;
    return file.error(fmt::format("says ({}) {} in its descriptor and ({}) in its notes", pair.said,
                                  pair.what, pair.noted));
  }
  return {};
}

/// Buffers only, one after the other; nothing hidden.
Result<void> check_arguments(const ElfFile& file, const KernelBinary& binary,
                             const AmdObject& object) {
  constexpr uint64_t kPointerBytes = 8;
  const std::vector<AmdNotedArgument>& arguments = object.notes.arguments;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].kind == "global_buffer" && arguments[i].size_bytes == kPointerBytes &&
        arguments[i].offset_bytes == i * kPointerBytes) {
      continue;
    }
    return file.error(fmt::format("has an argument ({}) of kind \"{}\" that is no buffer in order",
                                  i, arguments[i].kind));
  }
  const uint64_t size_bytes = binary.arguments.size() * kPointerBytes;
  if (arguments.size() == binary.arguments.size() && object.notes.kernarg_bytes == size_bytes) {
    return {};
  }
  return file.error(fmt::format("takes ({}) arguments in ({}) bytes and not ({})", arguments.size(),
                                object.notes.kernarg_bytes, binary.arguments.size()));
}

Result<void> check_object(const ElfFile& file, const KernelBinary& binary, const AmdChip& chip,
                          const AmdObject& object) {
  constexpr uint16_t kServed = kKernargPointer | kWave32;
  if (object.notes.target != fmt::format("amdgcn-amd-amdhsa--{}", chip.target)) {
    return file.error(fmt::format("is for ({}) and not for {}", object.notes.target, chip.target));
  }
  const uint16_t wanted = binary.arguments.empty() ? kWave32 : kServed;
  if ((object.descriptor.properties | kKernargPointer) != kServed ||
      (object.descriptor.properties & wanted) != wanted || object.notes.has_dynamic_stack) {
    return file.error(
        fmt::format("needs what this route does not give a kernel (properties 0x{:x})",
                    object.descriptor.properties));
  }
  const uint64_t lanes = uint64_t{binary.wave_lanes} * binary.waves_per_workgroup;
  if (lanes > object.notes.workgroup_size_max) {
    return file.error(fmt::format("is for workgroups of ({}) lanes at most and not for ({})",
                                  object.notes.workgroup_size_max, lanes));
  }
  TRY(check_registers(file, *chip.generation, object.descriptor));
  TRY(check_numbers(file, object));
  return check_arguments(file, binary, object);
}

}  // namespace

Result<AmdObject> read_amd_object(const KernelBinary& binary, const AmdChip& chip) {
  TRY_ASSIGN(const ElfFile file,
             ElfFile::read(binary.code, fmt::format("The code of Kernel \"{}\"", binary.name),
                           ErrorKind::invalid_argument));
  if (file.machine() != kMachineAmdgpu || file.type() != ET_REL ||
      file.abi_version() != kAbiVersion || (file.flags() & kMachineMask) != chip.elf_machine) {
    return file.error(fmt::format("is no relocatable object of version 5 for {}", chip.target));
  }
  AmdObject object;
  Linker linker(file);
  TRY(linker.place(object.image));
  TRY(linker.relocate(object.image));
  TRY(find_entry(file, linker, binary.entry, object));
  TRY_ASSIGN(object.notes, read_amd_notes(file, binary.entry + ".kd"));
  TRY(check_object(file, binary, chip, object));
  return object;
}

}  // namespace leat
