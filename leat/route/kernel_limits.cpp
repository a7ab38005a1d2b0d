// See kernel_limits.h.
#include "leat/route/kernel_limits.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat {

namespace {

/// A wave of more lanes than a CPU's vector has takes several vectors; its emitter
/// (emit/llvm_object.cpp) takes so many, and one wave a workgroup.
constexpr uint32_t kCpuLanesMax = 64;

Result<void> check_positive(const KernelBinary& binary, const char* what, uint64_t value) {
  if (value > 0) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("{} (0) of Kernel \"{}\" is not positive.", what, binary.name));
}

}  // namespace

Result<void> check_limit(const KernelBinary& binary, const DeviceInfo& device, const char* what,
                         uint64_t value, uint64_t limit) {
  if (value <= limit) return {};
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("{} ({}) of Kernel \"{}\" is larger than the limit ({}) of Device \"{}\".", what,
                  value, binary.name, limit, device.name));
}

Result<void> check_limits(const KernelBinary& binary, const Target& target,
                          const DeviceInfo& device) {
  if (binary.format != target.format) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Code format ({}) of Kernel \"{}\" is not that of Device \"{}\" ({}).",
                             static_cast<int>(binary.format), binary.name, device.name,
                             static_cast<int>(target.format)));
  }
  const uint64_t lanes = uint64_t{binary.wave_lanes} * binary.waves_per_workgroup;
  TRY(check_positive(binary, "Workgroup size", lanes));
  const uint64_t lanes_max = target.is_cpu ? std::max(kCpuLanesMax, target.lanes_per_workgroup_max)
                                           : target.lanes_per_workgroup_max;
  TRY(check_limit(binary, device, "Workgroup size", lanes, lanes_max));
  TRY(check_limit(binary, device, "Local memory", binary.local_memory_bytes,
                  target.local_memory_bytes_max));
  TRY(check_limit(binary, device, "Number of buffers", binary.arguments.size(),
                  target.buffer_bindings_max));
  for (size_t axis = 0; axis < 3; ++axis) {
    TRY(check_positive(binary, "Grid size", binary.grid[axis]));
    TRY(check_limit(binary, device, "Grid size", binary.grid[axis], target.workgroups_max[axis]));
  }
  return {};
}

}  // namespace leat
