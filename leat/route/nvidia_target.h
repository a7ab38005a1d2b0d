// What the routes to an NVIDIA chip (cuda, direct) have in common: one Target from a few numbers,
// so that both take the same cubins from the cache, the limits of these chips, and the name of the
// driver. It lies here because neither backend may include the other.
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

/// A target of format cubin; llvm_cpu is "sm_80", "sm_90a" and the like.
Target nvidia_target(const NvidiaChip& chip);

// Limits that are the same for all of these chips, beside those in the Target.
inline constexpr uint32_t kNvidiaRegistersPerThreadMax = 255;
inline constexpr uint32_t kNvidiaRegistersPerSm = 65536;
inline constexpr uint32_t kNvidiaBarriersMax = 16;
inline constexpr uint32_t kNvidiaWorkgroupsPerSmMax = 32;
/// Of each workgroup's shared memory, taken by the system from 8.0 on.
inline constexpr uint32_t kNvidiaSharedReserveBytes = 1024;

/// Shared memory of a multiprocessor in KiB; `capability` is 90 for 9.0.
uint32_t nvidia_shared_kib(uint32_t capability);
/// The most that one workgroup can have of it, after opting in.
uint32_t nvidia_shared_bytes_max(uint32_t capability);

/// "NVIDIA 580.159.04", of the kernel module that is loaded; "NVIDIA" when it cannot be read.
std::string nvidia_driver();
/// The same from the text of /proc/driver/nvidia/version.
std::string nvidia_driver_of(std::string_view text);

}  // namespace leat
