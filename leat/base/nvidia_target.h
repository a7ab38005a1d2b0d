// What the routes to an NVIDIA chip (cuda, direct) have in common: one Target from a few numbers,
// so that both take the same cubins from the cache, and the name of the driver.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "leat/base/target.h"

namespace leat {

/// What a route asks its driver for.
struct NvidiaChip {
  uint32_t capability_major = 0;  // compute capability: 9.0 on GH100
  uint32_t capability_minor = 0;
  uint32_t multiprocessors = 1;
  uint32_t shared_bytes_max = 0;  // dynamic shared memory of one block, after opting in
  uint64_t l2_bytes = 0;          // 0: unknown
};

/// The oldest chip that cubins are made for: Turing, compute capability 7.5.
inline constexpr uint32_t kNvidiaCapabilityMin = 75;

/// A target of format cubin; llvm_cpu is "sm_90" and the like.
Target nvidia_target(const NvidiaChip& chip);

/// 90 for "sm_90" and "sm_90a"; 0 when `llvm_cpu` names no NVIDIA architecture.
uint32_t nvidia_architecture(const std::string& llvm_cpu);

/// "NVIDIA 580.159.04", of the kernel module that is loaded; "NVIDIA" when it cannot be read.
std::string nvidia_driver();
/// The same from the text of /proc/driver/nvidia/version.
std::string nvidia_driver_of(std::string_view text);

}  // namespace leat
