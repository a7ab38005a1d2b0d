// What a launch needs of a cubin's sections. Attributes stand in .nv.info (of the module, each with
// a symbol) and .nv.info.<kernel>.
#include "leat/backend/nvidia/nvidia_cubin.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "leat/route/cubin_file.h"

namespace leat {

namespace {

// .nv.info attributes (EIATTR_*).
constexpr uint8_t kParamCbank = 0x0A;
constexpr uint8_t kMaxThreads = 0x05;
constexpr uint8_t kMinStackSize = 0x12;
constexpr uint8_t kRegCount = 0x2F;
constexpr uint8_t kNumBarriers = 0x4C;

class CubinReader {
 public:
  CubinReader(const CubinFile& file, const std::string& entry) : file_(file), entry_(entry) {}

  Result<Cubin> read() const;

 private:
  std::optional<uint32_t> find_symbol() const;
  Result<void> check_banks() const;
  Result<void> link(const ElfSection& entry_text, Cubin& cubin) const;
  Result<void> read_relocations(const ElfSection& section, std::span<const uint64_t> offsets,
                                Cubin& cubin) const;
  void take_attribute(const CubinAttribute& attribute, uint32_t symbol, Cubin& cubin) const;

  const CubinFile& file_;
  const std::string& entry_;
};

/// The index of the symbol that is named as the entry.
std::optional<uint32_t> CubinReader::find_symbol() const {
  const std::span<const ElfSection> sections = file_.sections();
  for (const ElfSection& section : file_.sections()) {
    if (section.type != SHT_SYMTAB || section.link >= sections.size()) continue;
    const std::span<const std::byte> names = sections[section.link].bytes;
    for (uint32_t i = 0; (i + 1) * sizeof(Elf64_Sym) <= section.bytes.size(); ++i) {
      const auto symbol = *read_at<Elf64_Sym>(section.bytes, i * sizeof(Elf64_Sym));
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
  for (const ElfSection& section : file_.sections()) {
    const bool is_bank = section.name.starts_with(".nv.constant");
    if (!is_bank || section.name.starts_with(".nv.constant0.") || section.size_bytes == 0) {
      continue;
    }
    return file_.error(fmt::format("has a constant bank \"{}\", which is not bound", section.name));
  }
  return {};
}

// Kernels of ours refer to nothing but code; what else would have to be relocated (globals, printf)
// is refused.
Result<void> CubinReader::link(const ElfSection& entry_text, Cubin& cubin) const {
  const std::span<const ElfSection> sections = file_.sections();
  constexpr uint64_t kNowhere = ~uint64_t{0};
  std::vector<uint64_t> offsets(sections.size(), kNowhere);
  const auto append = [&](const ElfSection& section) {
    const uint64_t start = (cubin.text.size() + kNvidiaCodeAlignment - 1) / kNvidiaCodeAlignment *
                           kNvidiaCodeAlignment;
    cubin.text.resize(start);
    cubin.text.insert(cubin.text.end(), section.bytes.begin(), section.bytes.end());
    offsets[static_cast<size_t>(&section - sections.data())] = start;
  };
  append(entry_text);
  for (const ElfSection& section : file_.sections()) {
    if (&section == &entry_text || !section.name.starts_with(".text.")) continue;
    // Sections of one file that overlap would grow without end.
    if (section.bytes.size() >
        file_.size_bytes() - std::min(file_.size_bytes(), cubin.text.size())) {
      return file_.error("has more code than bytes");
    }
    append(section);
  }
  for (const ElfSection& section : file_.sections()) {
    const bool relocates = section.type == SHT_REL || section.type == SHT_RELA;
    if (!relocates || section.bytes.empty() || section.info >= sections.size()) continue;
    const std::string_view target = sections[section.info].name;
    const bool is_code = offsets[section.info] != kNowhere;
    if (target.starts_with(".nv.constant") || (is_code && section.type == SHT_REL)) {
      return file_.error(fmt::format("must be linked: section \"{}\" has relocations", target));
    }
    if (is_code) TRY(read_relocations(section, offsets, cubin));
  }
  return {};
}

/// `offsets`: where each section's code lies in cubin.text, by section index.
Result<void> CubinReader::read_relocations(const ElfSection& section,
                                           std::span<const uint64_t> offsets, Cubin& cubin) const {
  const std::span<const ElfSection> sections = file_.sections();
  const ElfSection& target = sections[section.info];
  const auto wrong = [&](const std::string& what) {
    return file_.error(fmt::format("has a relocation of \"{}\" {}", target.name, what));
  };
  if (section.link >= sections.size()) return wrong("without symbols");
  const std::span<const std::byte> symbols = sections[section.link].bytes;
  for (uint64_t place = 0; place + sizeof(Elf64_Rela) <= section.bytes.size();
       place += sizeof(Elf64_Rela)) {
    const auto entry = *read_at<Elf64_Rela>(section.bytes, place);
    const auto symbol = read_at<Elf64_Sym>(symbols, ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym));
    if (!symbol || symbol->st_shndx >= sections.size() ||
        offsets[symbol->st_shndx] >= cubin.text.size()) {
      return wrong("that refers to something else than code");
    }
    const uint64_t size_bytes = target.bytes.size();
    if (entry.r_offset % kNvidiaInstructionBytes != 0 || size_bytes < kNvidiaInstructionBytes ||
        entry.r_offset > size_bytes - kNvidiaInstructionBytes) {
      return wrong(fmt::format("at ({}), which is no instruction", entry.r_offset));
    }
    const uint64_t within = symbol->st_value + static_cast<uint64_t>(entry.r_addend);
    if (within >= sections[symbol->st_shndx].bytes.size()) return wrong("that leaves its code");
    TRY_ASSIGN(const NvidiaRelocation::Field field,
               nvidia_relocation_field(static_cast<uint32_t>(ELF64_R_TYPE(entry.r_info))));
    cubin.relocations.push_back(
        {field, offsets[section.info] + entry.r_offset, offsets[symbol->st_shndx] + within});
  }
  return {};
}

void CubinReader::take_attribute(const CubinAttribute& attribute, uint32_t symbol,
                                 Cubin& cubin) const {
  const std::span<const std::byte> data = attribute.data;
  const auto word = [&](uint64_t index) { return read_at<uint32_t>(data, index * 4).value_or(0); };
  const bool ours = word(0) == symbol && data.size() >= 8;
  switch (attribute.number) {
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
    case kNumBarriers: cubin.barrier_count = attribute.value; break;
    default: break;
  }
}

Result<Cubin> CubinReader::read() const {
  const ElfSection* text = file_.find(".text." + entry_);
  const std::optional<uint32_t> symbol = find_symbol();
  if (text == nullptr || text->bytes.empty() || !symbol) {
    return file_.error("does not have that kernel");
  }
  TRY(check_banks());
  Cubin cubin;
  cubin.sm_version = file_.architecture();
  TRY(link(*text, cubin));
  if (const ElfSection* bank = file_.find(".nv.constant0." + entry_)) cubin.bank0 = bank->bytes;
  if (const ElfSection* shared = file_.find(".nv.shared." + entry_)) {
    cubin.shared_bytes = static_cast<uint32_t>(std::min<uint64_t>(shared->size_bytes, 1u << 20));
  }
  for (const std::string& name : {std::string(".nv.info"), ".nv.info." + entry_}) {
    const ElfSection* info = file_.find(name);
    if (info == nullptr) continue;
    TRY_ASSIGN(const std::vector<CubinAttribute> attributes, file_.attributes(*info));
    for (const CubinAttribute& attribute : attributes) take_attribute(attribute, *symbol, cubin);
  }
  if (cubin.register_count == 0) return file_.error("does not say how many registers it needs");
  if (cubin.parameter_bytes > 0 && cubin.parameter_offset == 0) {
    return file_.error("hides its parameters");
  }
  return cubin;
}

}  // namespace

Result<Cubin> read_cubin(std::span<const std::byte> file, const std::string& entry) {
  TRY_ASSIGN(const CubinFile cubin,
             CubinFile::read(
                 file, fmt::format("The cubin of kernel \"{}\" ({} bytes)", entry, file.size()),
                 ErrorKind::invalid_argument));
  return CubinReader(cubin, entry).read();
}

}  // namespace leat
