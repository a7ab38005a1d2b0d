// ELF64, little endian, machine 190 (EM_CUDA). Attributes stand in .nv.info (of the module, each
// with a symbol) and .nv.info.<kernel>: u8 format, u8 attribute, u16 value or byte count.
#include "leat/backend/nvidia/nvidia_cubin.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

namespace leat {

namespace {

constexpr uint16_t kMachineCuda = 190;
// .nv.info attributes (EIATTR_*).
constexpr uint8_t kParamCbank = 0x0A;
constexpr uint8_t kMaxThreads = 0x05;
constexpr uint8_t kMinStackSize = 0x12;
constexpr uint8_t kRegCount = 0x2F;
constexpr uint8_t kNumBarriers = 0x4C;
constexpr uint8_t kFormatBytes = 4;

struct Section {
  std::string_view name;
  Elf64_Shdr header;
  std::span<const std::byte> bytes;  // empty for NOBITS
};

class CubinReader {
 public:
  CubinReader(std::span<const std::byte> file, const std::string& entry)
      : file_(file), entry_(entry) {}

  Result<Cubin> read();

 private:
  Error bad(const std::string& what) const {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("The cubin of kernel \"{}\" ({} bytes) {}.", entry_, file_.size(), what));
  }
  template <typename T>
  std::optional<T> at(std::span<const std::byte> bytes, uint64_t offset) const {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
  std::optional<std::span<const std::byte>> part(uint64_t offset, uint64_t size_bytes) const {
    if (offset > file_.size() || size_bytes > file_.size() - offset) return std::nullopt;
    return file_.subspan(offset, size_bytes);
  }

  Result<void> read_sections(const Elf64_Ehdr& header);
  const Section* find(const std::string& name) const;
  std::optional<uint32_t> find_symbol() const;
  Result<void> check_banks() const;
  Result<void> link(const Section& entry_text, Cubin& cubin) const;
  Result<void> read_relocations(const Section& section, std::span<const uint64_t> offsets,
                                Cubin& cubin) const;
  Result<void> read_attributes(const Section& section, uint32_t symbol, Cubin& cubin) const;
  void take_attribute(uint8_t attribute, std::span<const std::byte> data, uint16_t value,
                      uint32_t symbol, Cubin& cubin) const;

  std::span<const std::byte> file_;
  const std::string& entry_;
  std::vector<Section> sections_;
};

Result<void> CubinReader::read_sections(const Elf64_Ehdr& header) {
  const uint64_t table_bytes = uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  const auto table = part(header.e_shoff, table_bytes);
  if (!table || header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shstrndx >= header.e_shnum) {
    return bad("has no table of sections");
  }
  const auto names_header = *at<Elf64_Shdr>(*table, header.e_shstrndx * sizeof(Elf64_Shdr));
  const auto names = part(names_header.sh_offset, names_header.sh_size);
  if (!names || names->empty() || names->back() != std::byte{0}) return bad("has no section names");
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    Section section;
    section.header = *at<Elf64_Shdr>(*table, i * sizeof(Elf64_Shdr));
    if (section.header.sh_name >= names->size()) return bad("has a section without a name");
    section.name = reinterpret_cast<const char*>(names->data()) + section.header.sh_name;
    if (section.header.sh_type != SHT_NOBITS) {
      const auto bytes = part(section.header.sh_offset, section.header.sh_size);
      if (!bytes) return bad(fmt::format("ends inside section \"{}\"", section.name));
      section.bytes = *bytes;
    }
    sections_.push_back(section);
  }
  return {};
}

const Section* CubinReader::find(const std::string& name) const {
  const auto section = std::ranges::find(sections_, name, &Section::name);
  return section == sections_.end() ? nullptr : &*section;
}

/// The index of the symbol that is named as the entry.
std::optional<uint32_t> CubinReader::find_symbol() const {
  for (const Section& section : sections_) {
    if (section.header.sh_type != SHT_SYMTAB || section.header.sh_link >= sections_.size())
      continue;
    const std::span<const std::byte> names = sections_[section.header.sh_link].bytes;
    for (uint32_t i = 0; (i + 1) * sizeof(Elf64_Sym) <= section.bytes.size(); ++i) {
      const auto symbol = *at<Elf64_Sym>(section.bytes, i * sizeof(Elf64_Sym));
      const bool fits =
          symbol.st_name < names.size() && names.size() - symbol.st_name > entry_.size();
      if (fits &&
          std::memcmp(names.data() + symbol.st_name, entry_.c_str(), entry_.size() + 1) == 0) {
        return i;
      }
    }
  }
  return std::nullopt;
}

// A launch binds constant bank 0 and no other.
Result<void> CubinReader::check_banks() const {
  for (const Section& section : sections_) {
    const bool is_bank = section.name.starts_with(".nv.constant");
    if (!is_bank || section.name.starts_with(".nv.constant0.") || section.header.sh_size == 0) {
      continue;
    }
    return bad(fmt::format("has a constant bank \"{}\", which is not bound", section.name));
  }
  return {};
}

// Kernels of ours refer to nothing but code; what else would have to be relocated (globals, printf)
// is refused.
Result<void> CubinReader::link(const Section& entry_text, Cubin& cubin) const {
  constexpr uint64_t kNowhere = ~uint64_t{0};
  std::vector<uint64_t> offsets(sections_.size(), kNowhere);
  const auto append = [&](const Section& section) {
    const uint64_t start = (cubin.text.size() + kNvidiaCodeAlignment - 1) / kNvidiaCodeAlignment *
                           kNvidiaCodeAlignment;
    cubin.text.resize(start);
    cubin.text.insert(cubin.text.end(), section.bytes.begin(), section.bytes.end());
    offsets[static_cast<size_t>(&section - sections_.data())] = start;
  };
  append(entry_text);
  for (const Section& section : sections_) {
    if (&section == &entry_text || !section.name.starts_with(".text.")) continue;
    // Sections of one file that overlap would grow without end.
    if (section.bytes.size() > file_.size() - std::min(file_.size(), cubin.text.size())) {
      return bad("has more code than bytes");
    }
    append(section);
  }
  for (const Section& section : sections_) {
    const bool relocates = section.header.sh_type == SHT_REL || section.header.sh_type == SHT_RELA;
    if (!relocates || section.bytes.empty() || section.header.sh_info >= sections_.size()) continue;
    const std::string_view target = sections_[section.header.sh_info].name;
    const bool is_code = offsets[section.header.sh_info] != kNowhere;
    if (target.starts_with(".nv.constant") || (is_code && section.header.sh_type == SHT_REL)) {
      return bad(fmt::format("must be linked: section \"{}\" has relocations", target));
    }
    if (is_code) TRY(read_relocations(section, offsets, cubin));
  }
  return {};
}

/// `offsets`: where each section's code lies in cubin.text, by section index.
Result<void> CubinReader::read_relocations(const Section& section,
                                           std::span<const uint64_t> offsets, Cubin& cubin) const {
  const Section& target = sections_[section.header.sh_info];
  const auto wrong = [&](const std::string& what) {
    return bad(fmt::format("has a relocation of \"{}\" {}", target.name, what));
  };
  if (section.header.sh_link >= sections_.size()) return wrong("without symbols");
  const std::span<const std::byte> symbols = sections_[section.header.sh_link].bytes;
  for (uint64_t place = 0; place + sizeof(Elf64_Rela) <= section.bytes.size();
       place += sizeof(Elf64_Rela)) {
    const auto entry = *at<Elf64_Rela>(section.bytes, place);
    const auto symbol = at<Elf64_Sym>(symbols, ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym));
    if (!symbol || symbol->st_shndx >= sections_.size() ||
        offsets[symbol->st_shndx] >= cubin.text.size()) {
      return wrong("that refers to something else than code");
    }
    const uint64_t size_bytes = target.bytes.size();
    if (entry.r_offset % kNvidiaInstructionBytes != 0 || size_bytes < kNvidiaInstructionBytes ||
        entry.r_offset > size_bytes - kNvidiaInstructionBytes) {
      return wrong(fmt::format("at ({}), which is no instruction", entry.r_offset));
    }
    const uint64_t within = symbol->st_value + static_cast<uint64_t>(entry.r_addend);
    if (within >= sections_[symbol->st_shndx].bytes.size()) return wrong("that leaves its code");
    TRY_ASSIGN(const NvidiaRelocation::Field field,
               nvidia_relocation_field(static_cast<uint32_t>(ELF64_R_TYPE(entry.r_info))));
    cubin.relocations.push_back({field, offsets[section.header.sh_info] + entry.r_offset,
                                 offsets[symbol->st_shndx] + within});
  }
  return {};
}

void CubinReader::take_attribute(uint8_t attribute, std::span<const std::byte> data, uint16_t value,
                                 uint32_t symbol, Cubin& cubin) const {
  const auto word = [&](uint64_t index) { return at<uint32_t>(data, index * 4).value_or(0); };
  const bool ours = word(0) == symbol && data.size() >= 8;
  switch (attribute) {
    case kRegCount:  // of the kernel and of what it calls, which has the registers it finds
      if (data.size() >= 8) cubin.register_count = std::max(cubin.register_count, word(1));
      break;
    case kMinStackSize:
      if (ours) cubin.stack_bytes = word(1);
      break;
    case kParamCbank:  // its symbol is the constant bank's
      if (data.size() < 8) break;
      cubin.parameter_offset = word(1) & 0xffff;
      cubin.parameter_bytes = word(1) >> 16;
      break;
    case kMaxThreads:
      if (data.size() >= 12) cubin.max_threads = word(0) * word(1) * word(2);
      break;
    case kNumBarriers: cubin.barrier_count = value; break;
    default: break;
  }
}

Result<void> CubinReader::read_attributes(const Section& section, uint32_t symbol,
                                          Cubin& cubin) const {
  uint64_t offset = 0;
  while (offset + 4 <= section.bytes.size()) {
    const auto format = static_cast<uint8_t>(section.bytes[offset]);
    const auto attribute = static_cast<uint8_t>(section.bytes[offset + 1]);
    const uint16_t value = *at<uint16_t>(section.bytes, offset + 2);
    offset += 4;
    const uint64_t data_bytes = format == kFormatBytes ? value : 0;
    if (data_bytes > section.bytes.size() - offset) {
      return bad(fmt::format("ends inside an attribute of \"{}\"", section.name));
    }
    take_attribute(attribute, section.bytes.subspan(offset, data_bytes), value, symbol, cubin);
    offset += data_bytes;
  }
  return {};
}

Result<Cubin> CubinReader::read() {
  const auto header = at<Elf64_Ehdr>(file_, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != kMachineCuda) {
    return bad("is no ELF file for an NVIDIA GPU");
  }
  TRY(read_sections(*header));
  const Section* text = find(".text." + entry_);
  const std::optional<uint32_t> symbol = find_symbol();
  if (text == nullptr || text->bytes.empty() || !symbol) return bad("does not have that kernel");
  TRY(check_banks());
  Cubin cubin;
  // Until ABI version 7 the architecture stands in the lowest byte, from 8 on in the next.
  const bool is_late_abi = header->e_ident[EI_ABIVERSION] >= 8;
  cubin.sm_version = is_late_abi ? header->e_flags >> 8 & 0xff : header->e_flags & 0xff;
  TRY(link(*text, cubin));
  if (const Section* bank = find(".nv.constant0." + entry_)) cubin.bank0 = bank->bytes;
  if (const Section* shared = find(".nv.shared." + entry_)) {
    cubin.shared_bytes =
        static_cast<uint32_t>(std::min<uint64_t>(shared->header.sh_size, 1u << 20));
  }
  for (const std::string& name : {std::string(".nv.info"), ".nv.info." + entry_}) {
    if (const Section* info = find(name)) TRY(read_attributes(*info, *symbol, cubin));
  }
  if (cubin.register_count == 0) return bad("does not say how many registers it needs");
  if (cubin.parameter_bytes > 0 && cubin.parameter_offset == 0) return bad("hides its parameters");
  return cubin;
}

}  // namespace

Result<Cubin> read_cubin(std::span<const std::byte> file, const std::string& entry) {
  return CubinReader(file, entry).read();
}

}  // namespace leat
