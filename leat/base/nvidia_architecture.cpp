// See nvidia_architecture.h.
#include "leat/base/nvidia_architecture.h"

#include <charconv>

namespace leat {

uint32_t nvidia_architecture(std::string_view llvm_cpu) {
  constexpr std::string_view kPrefix = "sm_";
  if (!llvm_cpu.starts_with(kPrefix)) return 0;
  uint32_t number = 0;
  std::from_chars(llvm_cpu.data() + kPrefix.size(), llvm_cpu.data() + llvm_cpu.size(), number);
  return number;
}

}  // namespace leat
