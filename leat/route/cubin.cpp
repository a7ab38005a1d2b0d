// Source: the layout of EIATTR_KPARAM_INFO was read from cubins of ptxas 13.0.88, and agrees with
// tinygrad's loader (runtime/support/elf.py).
#include "leat/route/cubin.h"

#include <string>

#include "leat/base/nvidia_architecture.h"
#include "leat/route/cubin_file.h"
#include "leat/route/nvidia_target.h"

namespace leat {

namespace {

constexpr uint8_t kParameterInfo = 0x17;      // EIATTR_KPARAM_INFO
constexpr uint32_t kParameterSizeShift = 18;  // of the size in an EIATTR_KPARAM_INFO
constexpr size_t kParameterInfoBytes = 12;

/// How many parameters the kernel's attributes name; nullopt when one is not 8 bytes at its place.
std::optional<size_t> count_parameters(const std::vector<CubinAttribute>& attributes) {
  size_t count = 0;
  for (const CubinAttribute& attribute : attributes) {
    if (attribute.number != kParameterInfo || attribute.data.size() < kParameterInfoBytes) continue;
    const auto ordinal = *read_at<uint16_t>(attribute.data, 4);
    const auto offset = *read_at<uint16_t>(attribute.data, 6);
    const uint32_t size_bytes = *read_at<uint32_t>(attribute.data, 8) >> kParameterSizeShift;
    if (size_bytes != 8 || offset != ordinal * 8) return std::nullopt;
    ++count;
  }
  return count;
}

}  // namespace

Result<void> check_cubin(const KernelBinary& binary, const Target& target) {
  TRY_ASSIGN(
      const CubinFile file,
      CubinFile::read(binary.code, "The cubin of Kernel \"" + binary.name + "\"", ErrorKind::io));
  if (file.architecture() != nvidia_architecture(target.llvm_cpu)) {
    return file.error("is for (sm_" + std::to_string(file.architecture()) + ") and not for (" +
                      target.llvm_cpu + ")");
  }
  const ElfSection* text = file.find(".text." + binary.entry);
  if (text == nullptr || text->bytes.empty()) {
    return file.error("has no entry (" + binary.entry + ")");
  }
  const ElfSection* info = file.find(".nv.info." + binary.entry);
  std::optional<size_t> count;
  if (info != nullptr) {
    TRY_ASSIGN(const std::vector<CubinAttribute> attributes, file.attributes(*info));
    count = count_parameters(attributes);
  }
  if (count == binary.arguments.size()) return {};
  return file.error("does not take (" + std::to_string(binary.arguments.size()) +
                    ") buffers as parameters");
}

}  // namespace leat
