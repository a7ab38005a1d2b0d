// See limits_profile.h.
#include "leat/base/limits_profile.h"

#include <algorithm>

namespace leat {

namespace {

constexpr LimitsProfile kProfiles[] = {
    {.name = "vulkan-1.1-min",
     .chip = "no chip: what each implementation of Vulkan 1.1 must offer",
     .source = "Vulkan 1.1 specification, \"Required Limits\"",
     .wave_lanes = 4,
     .lanes_per_workgroup_max = 128,
     .buffer_bindings_max = 4},
    {.name = "webgpu-min",
     .chip = "no chip: what each implementation of WebGPU must offer",
     .source = "WebGPU, W3C, section 3.6.2 \"Limits\"",
     .wave_lanes = 32},
    {.name = "mali-g52",
     .chip = "Arm Mali-G52, phones from 2018 on",
     .source = "Mesa's panvk: pan_subgroup_size (8 lanes from architecture 7 on), "
               "get_vk_properties; 2 cores assumed",
     .wave_lanes = 8,
     .lanes_per_workgroup_max = 384,
     .local_memory_bytes_max = 32768,
     .compute_units = 2},
    {.name = "adreno-630",
     .chip = "Qualcomm Adreno 630, phones from 2018 on",
     .source = "Mesa's turnip: threadsize_base of a6xx, MAX_STORAGE_BUFFER_RANGE; 2 cores",
     .wave_lanes = 64,
     .lanes_per_workgroup_max = 1024,
     .local_memory_bytes_max = 32768,
     .buffer_bindings_max = 24,
     .compute_units = 2,
     .has_storage_f16 = true},
    {.name = "v3d",
     .chip = "Broadcom VideoCore VI and VII, Raspberry Pi 4 and 5",
     .source = "Mesa's v3dv: V3D_CHANNELS, MAX_STORAGE_BUFFERS, V3D_MAX_BUFFER_RANGE, 256 "
               "invocations, 16 KiB; 8 QPUs, in 2 slices",
     .wave_lanes = 16,
     .argument_bytes_max = uint64_t{1} << 30,
     .compute_units = 2},
};

}  // namespace

std::span<const LimitsProfile> limits_profiles() { return kProfiles; }

const LimitsProfile* find_limits_profile(std::string_view name) {
  const auto* found = std::ranges::find(kProfiles, name, &LimitsProfile::name);
  return found == std::end(kProfiles) ? nullptr : found;
}

void limit_as(Target& target, std::string_view profile_name) {
  const LimitsProfile* const profile = find_limits_profile(profile_name);
  if (profile == nullptr) return;
  const auto lower = [](auto& value, auto limit) { value = std::min(value, limit); };
  target.name += " as " + std::string(profile->name);
  target.wave_lanes = profile->wave_lanes;
  lower(target.lanes_per_workgroup_max, profile->lanes_per_workgroup_max);
  lower(target.local_memory_bytes_max, profile->local_memory_bytes_max);
  lower(target.buffer_bindings_max, profile->buffer_bindings_max);
  lower(target.argument_bytes_max, profile->argument_bytes_max);
  target.compute_units = profile->compute_units;
  if (!profile->has_pointers && target.format == CodeFormat::spirv_pointers) {
    target.format = CodeFormat::spirv_bindings;
  }
  target.storage_f16 = target.storage_f16 && profile->has_storage_f16;
  target.shader_64bit = target.shader_64bit && profile->has_64bit;
  target.shader_products = 0;
  // A chip's kernels are wanted, not those for a renderer that runs on a CPU.
  target.waves_hide_latency = true;
  target.local_memory_is_fast = true;
}

}  // namespace leat
