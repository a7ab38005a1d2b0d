// Which of a pack's targets a device can run, and which it runs best.
// Levels of x86-64: the psABI, version 1.0, section 3.1.1; CUDA C++ Programming Guide 13.0, "Binary
// Compatibility": a cubin runs on chips of its major version whose minor version is no lower.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "leat/base/nvidia_architecture.h"
#include "leat/pack/packed_model.h"

namespace leat {

namespace {

constexpr std::string_view kLevel3 = "+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe";
constexpr std::string_view kLevel4 =
    "+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl";

/// The first of `wanted` ("+a,-b,+c") with a plus that `there` lacks, or empty.
std::string_view missing_feature(std::string_view wanted, const std::string& there) {
  const std::string list = "," + there + ",";
  while (!wanted.empty()) {
    const std::string_view feature = wanted.substr(0, wanted.find(','));
    wanted.remove_prefix(std::min(feature.size() + 1, wanted.size()));
    const std::string entry = "," + std::string(feature) + ",";
    if (feature.starts_with('+') && list.find(entry) == std::string::npos) return feature.substr(1);
  }
  return {};
}

std::string_view architecture_of(const Target& target) {
  return std::string_view(target.llvm_triple).substr(0, target.llvm_triple.find('-'));
}

std::string cpu_misfit(const Target& target, const Target& device) {
  if (architecture_of(target) != architecture_of(device)) {
    return fmt::format("it is for {} and not {}", architecture_of(target), architecture_of(device));
  }
  std::string_view level;
  if (target.llvm_cpu == "x86-64-v3") level = kLevel3;
  if (target.llvm_cpu == "x86-64-v4") level = kLevel4;
  const bool is_named = level.empty() && target.llvm_cpu != "generic";
  if (is_named && target.llvm_cpu != device.llvm_cpu) {
    return fmt::format("it is for ({}) alone", target.llvm_cpu);
  }
  for (const std::string_view wanted : {level, std::string_view(target.llvm_features)}) {
    const std::string_view missing = missing_feature(wanted, device.llvm_features);
    if (!missing.empty()) return fmt::format("it needs ({}), which the CPU lacks", missing);
  }
  return "";
}

std::string cubin_misfit(const Target& target, const Target& device) {
  const uint32_t wanted = nvidia_architecture(target.llvm_cpu);
  const uint32_t there = nvidia_architecture(device.llvm_cpu);
  const bool runs = wanted / 10 == there / 10 && wanted <= there;
  return runs ? "" : fmt::format("it is for {} and not {}", target.llvm_cpu, device.llvm_cpu);
}

/// The limits that kernels were made for, where the device's are smaller.
std::string limit_misfit(const Target& target, const Target& device) {
  const auto is_more = [](uint64_t wanted, uint64_t there) { return wanted > there; };
  if (is_more(target.lanes_per_workgroup_max, device.lanes_per_workgroup_max)) {
    return "its workgroups are too large";
  }
  if (is_more(target.local_memory_bytes_max, device.local_memory_bytes_max)) {
    return "it needs more local memory";
  }
  if (is_more(target.buffer_bindings_max, device.buffer_bindings_max)) {
    return "its kernels take more buffers";
  }
  if (target.storage_f16 && !device.storage_f16) return "it stores 16-bit floats";
  if (target.shader_64bit && !device.shader_64bit) return "it computes in 64 bits";
  if (target.shader_keeps_nan && !device.shader_keeps_nan) return "it asks for NaN to be kept";
  if ((target.shader_products & ~device.shader_products) != 0) return "it needs matrix units";
  if (target.shader_products != 0 && target.wave_lanes != device.wave_lanes) {
    return fmt::format("its waves have ({}) lanes and not ({})", target.wave_lanes,
                       device.wave_lanes);
  }
  return "";
}

/// What its kernels themselves take more of than the device has. Limits of the target say less: it
/// may have more room than this plan uses.
std::string need_misfit(const RunPlan& plan, const Target& device) {
  for (const PlanKernel& kernel : plan.kernels) {
    for (size_t axis = 0; axis < 3; ++axis) {
      if (kernel.binary.grid[axis] > device.workgroups_max[axis]) {
        return "it launches more workgroups";
      }
    }
  }
  for (const PlanLaunch& launch : plan.launches) {
    for (const TensorId id : launch.arguments) {
      if (plan.schedule.placements[id].size_bytes() > device.argument_bytes_max) {
        return "its kernels take larger buffers";
      }
    }
  }
  return "";
}

/// Higher is better, among what fits.
uint32_t rank_of(const Target& target, const Target& device) {
  Target same = target;
  same.compute_units = device.compute_units;
  if (same == device) return UINT32_MAX;
  if (target.is_cpu) return target.wave_lanes;
  return target.format == CodeFormat::cubin ? nvidia_architecture(target.llvm_cpu) : 1;
}

}  // namespace

std::string misfit(const Target& target, const Target& device) {
  if (target.format != device.format || target.opengl != device.opengl) {
    return "it is for another kind of device";
  }
  if (target.is_cpu) return cpu_misfit(target, device);
  if (target.format == CodeFormat::cubin) return cubin_misfit(target, device);
  if (target.format == CodeFormat::amdgpu_object) {
    if (target.llvm_cpu == device.llvm_cpu) return "";
    return fmt::format("it is for {} and not {}", target.llvm_cpu, device.llvm_cpu);
  }
  if (target.software != device.software) {
    return device.software ? "it is for GPUs and not for software" : "it is for software alone";
  }
  return limit_misfit(target, device);
}

Result<const PackTarget*> Pack::target_for(const Target& device,
                                           std::string_view device_name) const {
  const PackTarget* best = nullptr;
  std::vector<std::string> reasons;
  for (const PackTarget& each : targets_) {
    std::string reason = misfit(each.target, device);
    if (reason.empty()) reason = need_misfit(each.plan, device);
    reasons.push_back(fmt::format("{}: {}", each.name, reason));
    if (!reason.empty()) continue;
    if (best == nullptr || rank_of(each.target, device) > rank_of(best->target, device)) {
      best = &each;
    }
  }
  if (best != nullptr) return best;
  return Error(ErrorKind::unsupported,
               fmt::format("Packed model \"{}\" has nothing for Device \"{}\" ({}): {}.",
                           model_.path, device_name, device.name, fmt::join(reasons, "; ")));
}

}  // namespace leat
