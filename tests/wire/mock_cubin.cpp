#include "tests/wire/mock_cubin.h"

#include <elf.h>

#include <cstring>

namespace leat::mock {

namespace {

template <typename T>
void append(std::vector<std::byte>& bytes, const T& value) {
  const auto* data = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), data, data + sizeof value);
}

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

/// An attribute with a symbol and a number, or with its number in the header.
void append_attribute(std::vector<std::byte>& bytes, uint8_t code, uint32_t symbol,
                      uint32_t value) {
  append(bytes, uint8_t{4});
  append(bytes, code);
  append(bytes, uint16_t{8});
  append(bytes, symbol);
  append(bytes, value);
}
void append_short_attribute(std::vector<std::byte>& bytes, uint8_t code, uint16_t value) {
  append(bytes, uint8_t{3});
  append(bytes, code);
  append(bytes, value);
}

class ElfWriter {
 public:
  /// Its index.
  uint16_t add(const std::string& name, uint32_t type, std::vector<std::byte> bytes,
               uint32_t link = 0, uint32_t info = 0) {
    Elf64_Shdr header = {};
    header.sh_name = static_cast<uint32_t>(names_.size());
    header.sh_type = type;
    header.sh_link = link;
    header.sh_info = info;
    header.sh_size = bytes.size();
    names_ += name + '\0';
    headers_.push_back(header);
    contents_.push_back(std::move(bytes));
    return static_cast<uint16_t>(headers_.size() - 1);
  }

  std::vector<std::byte> write(uint32_t flags) {
    const uint16_t names = add(".shstrtab", SHT_STRTAB, {});
    contents_[names] = bytes_of(names_);
    headers_[names].sh_size = contents_[names].size();
    std::vector<std::byte> file(sizeof(Elf64_Ehdr));
    for (size_t i = 1; i < headers_.size(); ++i) {
      file.resize((file.size() + 127) / 128 * 128);
      headers_[i].sh_offset = file.size();
      file.insert(file.end(), contents_[i].begin(), contents_[i].end());
    }
    file.resize((file.size() + 7) / 8 * 8);
    Elf64_Ehdr header = {};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_ABIVERSION] = 8;  // the architecture in bits 15:8 of e_flags
    header.e_type = ET_EXEC;
    header.e_machine = 190;
    header.e_flags = flags;
    header.e_shoff = file.size();
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(headers_.size());
    header.e_shstrndx = names;
    std::memcpy(file.data(), &header, sizeof header);
    for (const Elf64_Shdr& section : headers_) append(file, section);
    return file;
  }

 private:
  std::string names_ = std::string(1, '\0');
  std::vector<Elf64_Shdr> headers_ = std::vector<Elf64_Shdr>(1);
  std::vector<std::vector<std::byte>> contents_ = std::vector<std::vector<std::byte>>(1);
};

}  // namespace

std::vector<std::byte> make_cubin(const CubinOptions& options) {
  constexpr uint32_t kSymbol = 1;
  ElfWriter elf;
  const uint16_t text = elf.add(".text." + options.entry, SHT_PROGBITS, bytes_of(options.code));
  const uint16_t strings = elf.add(".strtab", SHT_STRTAB, bytes_of('\0' + options.entry + '\0'));
  std::vector<std::byte> symbols(sizeof(Elf64_Sym));
  Elf64_Sym symbol = {};
  symbol.st_name = 1;
  symbol.st_shndx = text;
  append(symbols, symbol);
  elf.add(".symtab", SHT_SYMTAB, symbols, strings);
  std::vector<std::byte> info;
  append_attribute(info, 0x2F, kSymbol, options.registers);
  append_attribute(info, 0x12, kSymbol, options.stack_bytes);
  elf.add(".nv.info", 0x70000000, info);
  std::vector<std::byte> kernel_info;
  append_attribute(kernel_info, 0x0A, kSymbol,
                   options.parameter_offset | options.parameter_bytes << 16);
  append_short_attribute(kernel_info, 0x4C, static_cast<uint16_t>(options.barriers));
  elf.add(".nv.info." + options.entry, 0x70000000, kernel_info);
  elf.add(".nv.constant0." + options.entry, SHT_PROGBITS,
          std::vector<std::byte>(options.parameter_offset + options.parameter_bytes));
  if (options.has_relocations) {
    elf.add(".rela.text." + options.entry, SHT_RELA, std::vector<std::byte>(sizeof(Elf64_Rela)), 0,
            text);
  }
  return elf.write(options.sm_version << 8);
}

KernelBinary wrap_program(const KernelBinary& text) {
  KernelBinary binary = text;
  binary.format = CodeFormat::cubin;
  binary.entry = "kernel";
  CubinOptions options;
  options.code.assign(reinterpret_cast<const char*>(text.code.data()), text.code.size());
  options.code += '\0';
  options.parameter_bytes = static_cast<uint32_t>(8 * text.arguments.size());
  binary.code = make_cubin(options);
  return binary;
}

}  // namespace leat::mock
