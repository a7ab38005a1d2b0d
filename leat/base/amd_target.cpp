// Sources: LLVM's User Guide for AMDGPU Backend, "Processors" and "Target Features" (which chips
// run waves of 32 lanes, cumode); AMD's "RDNA3 Instruction Set Architecture", sections 3.1 (a
// workgroup of at most 1024 work-items) and 12.1 (64 KiB of local memory a workgroup), the same in
// RDNA1, RDNA2, RDNA4 and CDNA; Vulkan registry, maxComputeWorkGroupCount of RADV. A grid's x
// counts work-items in 32 bits.
//
// RDNA runs workgroups in CU mode: all their waves share one compute unit's local memory and
// first-level cache, so that no barrier has to write that cache through.
#include "leat/base/amd_target.h"

#include <algorithm>
#include <iterator>

namespace leat {

namespace {

constexpr std::string_view kNames[] = {"gfx1010", "gfx1030", "gfx1031", "gfx1032", "gfx1033",
                                       "gfx1034", "gfx1035", "gfx1036", "gfx1100", "gfx1101",
                                       "gfx1102", "gfx1103", "gfx1150", "gfx1151", "gfx1152",
                                       "gfx1200", "gfx1201", "gfx90a",  "gfx942"};

/// gfx9 is CDNA: waves of 64 lanes, one mode.
bool is_rdna(std::string_view name) { return name.starts_with("gfx1"); }

}  // namespace

std::span<const std::string_view> amd_target_names() { return kNames; }

Result<Target> amd_target(std::string_view name) {
  if (std::ranges::find(kNames, name) == std::end(kNames)) {
    return Error(ErrorKind::invalid_argument,
                 "No AMD GPU that kernels are made for is named \"" + std::string(name) + "\".");
  }
  constexpr uint32_t kItemsPerWorkgroupMax = 1024;
  Target target;
  target.name = name;
  target.format = CodeFormat::amdgpu_object;
  target.llvm_triple = "amdgcn-amd-amdhsa";
  target.llvm_cpu = name;
  target.llvm_features = is_rdna(name) ? "+cumode,+wavefrontsize32" : "";
  target.wave_lanes = is_rdna(name) ? 32 : 64;
  target.lanes_per_workgroup_max = kItemsPerWorkgroupMax;
  target.local_memory_bytes_max = 64 << 10;
  target.workgroups_max[0] = UINT32_MAX / kItemsPerWorkgroupMax;
  target.buffer_bindings_max = 64;
  return target;
}

}  // namespace leat
