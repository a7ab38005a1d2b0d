// Machine 190 (EM_CUDA). Source: LLVM's BinaryFormat/ELF.h for the architecture in the flags
// (EF_CUDA_SM for ABI version 7, EF_CUDA_SM_MASK and EF_CUDA_SM_OFFSET for 8). The attributes are
// not documented: their layout was read from cubins of ptxas 13.0.88, and agrees with tinygrad's
// loader (runtime/support/elf.py).
#include "leat/route/cubin_file.h"

namespace leat {

namespace {

constexpr uint16_t kMachineCuda = 190;  // EM_CUDA
constexpr uint8_t kFormatBytes = 4;     // the 16-bit value counts the bytes that follow

}  // namespace

Result<CubinFile> CubinFile::read(std::span<const std::byte> file, std::string subject,
                                  ErrorKind kind) {
  TRY_ASSIGN(ElfFile elf, ElfFile::read(file, std::move(subject), kind));
  if (elf.machine() != kMachineCuda) {
    return elf.error("is for machine (" + std::to_string(elf.machine()) + ") and not for CUDA (" +
                     std::to_string(kMachineCuda) + ")");
  }
  CubinFile cubin(std::move(elf));
  // Until ABI version 7 the architecture stands in the lowest byte, from 8 on in the next.
  const uint32_t flags = cubin.elf_.flags();
  cubin.architecture_ = cubin.elf_.abi_version() >= 8 ? flags >> 8 & 0xff : flags & 0xff;
  return cubin;
}

Result<std::vector<CubinAttribute>> CubinFile::attributes(const ElfSection& section) const {
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
