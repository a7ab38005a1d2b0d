// Sources: System V ABI, "ELF-64 Object File Format" for headers; LLVM's BinaryFormat/ELF.h for
// EM_CUDA and the place of the architecture in e_flags (EF_CUDA_SM for ABI version 7,
// EF_CUDA_SM_MASK and EF_CUDA_SM_OFFSET for 8). The attributes in .nv.info are not documented:
// their layout was read from cubins of ptxas 13.0.88, and agrees with tinygrad's loader
// (runtime/support/elf.py).
#include "leat/base/cubin.h"

#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "leat/base/nvidia_target.h"

namespace leat {

namespace {

constexpr size_t kHeaderBytes = 64;
constexpr size_t kSectionHeaderBytes = 64;
constexpr uint16_t kMachineCuda = 190;        // EM_CUDA
constexpr uint8_t kParameterInfo = 0x17;      // EIATTR_KPARAM_INFO
constexpr uint8_t kFormatSized = 4;           // the 16-bit value counts the bytes that follow
constexpr uint32_t kParameterSizeShift = 18;  // of the size in an EIATTR_KPARAM_INFO
constexpr size_t kParameterInfoBytes = 12;

using Bytes = std::span<const std::byte>;

struct Section {
  std::string_view name;
  Bytes content;
};

template <typename T>
T read(Bytes bytes, size_t offset) {
  T value{};
  if (offset <= bytes.size() && sizeof value <= bytes.size() - offset) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
  }
  return value;
}

std::optional<Bytes> part(Bytes bytes, uint64_t offset, uint64_t size_bytes) {
  if (offset > bytes.size() || size_bytes > bytes.size() - offset) return std::nullopt;
  return bytes.subspan(offset, size_bytes);
}

/// Section `index`; nullopt when it leaves the file. A section without content is empty.
std::optional<Bytes> section_content(Bytes file, uint64_t index) {
  constexpr uint32_t kNoBits = 8;  // SHT_NOBITS
  const uint64_t first = read<uint64_t>(file, 40);
  if (first > file.size()) return std::nullopt;
  const auto header = part(file, first + index * kSectionHeaderBytes, kSectionHeaderBytes);
  if (!header) return std::nullopt;
  if (read<uint32_t>(*header, 4) == kNoBits) return Bytes();
  return part(file, read<uint64_t>(*header, 24), read<uint64_t>(*header, 32));
}

std::string_view name_at(Bytes names, uint32_t offset) {
  if (offset >= names.size()) return "";
  const char* first = reinterpret_cast<const char*>(names.data()) + offset;
  return {first, strnlen(first, names.size() - offset)};
}

/// The content of the section of that name; nullopt when there is none.
std::optional<Bytes> find_section(Bytes file, std::string_view name) {
  const uint64_t count = read<uint16_t>(file, 60);
  const std::optional<Bytes> names = section_content(file, read<uint16_t>(file, 62));
  if (!names) return std::nullopt;
  const uint64_t first = read<uint64_t>(file, 40);
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t place = read<uint32_t>(file, first + i * kSectionHeaderBytes);
    if (name_at(*names, place) == name) return section_content(file, i);
  }
  return std::nullopt;
}

/// How many parameters the kernel's attributes name; nullopt when one is not 8 bytes at its place.
std::optional<size_t> count_parameters(Bytes attributes) {
  size_t count = 0;
  for (size_t at = 0; at + 4 <= attributes.size();) {
    const uint8_t format = read<uint8_t>(attributes, at);
    const uint8_t attribute = read<uint8_t>(attributes, at + 1);
    const uint16_t value = read<uint16_t>(attributes, at + 2);
    at += 4;
    if (format != kFormatSized) continue;
    if (attribute == kParameterInfo && value >= kParameterInfoBytes) {
      const uint16_t ordinal = read<uint16_t>(attributes, at + 4);
      const uint16_t offset = read<uint16_t>(attributes, at + 6);
      const uint32_t size_bytes = read<uint32_t>(attributes, at + 8) >> kParameterSizeShift;
      if (size_bytes != 8 || offset != ordinal * 8) return std::nullopt;
      ++count;
    }
    at += value;
  }
  return count;
}

uint32_t architecture_of(Bytes file) {
  const uint8_t abi_version = read<uint8_t>(file, 8);  // EI_ABIVERSION
  const uint32_t flags = read<uint32_t>(file, 48);
  return abi_version >= 8 ? flags >> 8 & 0xff : flags & 0xff;
}

Error refused(const KernelBinary& binary, const std::string& what) {
  return Error(ErrorKind::io, "The cubin of Kernel \"" + binary.name + "\" " + what);
}

}  // namespace

Result<void> check_cubin(const KernelBinary& binary, const Target& target) {
  constexpr unsigned char kMagic[] = {0x7f, 'E', 'L', 'F', 2, 1};  // 64 bits, little-endian
  const Bytes file = binary.code;
  if (file.size() < kHeaderBytes || std::memcmp(file.data(), kMagic, sizeof kMagic) != 0) {
    return refused(binary, "is no 64-bit ELF file.");
  }
  if (read<uint16_t>(file, 18) != kMachineCuda) {
    return refused(binary, "is for machine (" + std::to_string(read<uint16_t>(file, 18)) +
                               ") and not for CUDA (190).");
  }
  const uint32_t architecture = architecture_of(file);
  if (architecture != nvidia_architecture(target.llvm_cpu)) {
    return refused(binary, "is for (sm_" + std::to_string(architecture) + ") and not for (" +
                               target.llvm_cpu + ").");
  }
  const std::optional<Bytes> text = find_section(file, ".text." + binary.entry);
  if (!text || text->empty()) return refused(binary, "has no entry (" + binary.entry + ").");
  const std::optional<Bytes> info = find_section(file, ".nv.info." + binary.entry);
  const std::optional<size_t> count = info ? count_parameters(*info) : std::nullopt;
  if (!count || *count != binary.arguments.size()) {
    return refused(binary, "does not take (" + std::to_string(binary.arguments.size()) +
                               ") buffers as parameters.");
  }
  return {};
}

}  // namespace leat
