// What Target::llvm_cpu says where the code format is cubin: for who makes cubins, who stores them
// and who runs them.
#pragma once

#include <cstdint>
#include <string_view>

namespace leat {

/// 90 for "sm_90" and "sm_90a"; 0 when `llvm_cpu` names no NVIDIA architecture.
uint32_t nvidia_architecture(std::string_view llvm_cpu);

}  // namespace leat
