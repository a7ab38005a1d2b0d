// Limits profiles: a device made to behave as one with a smaller chip's limits, so that what a
// phone needs is tried where there is none. Only limits are taken over: speed, memory and faults
// are the device's own. `leat run --as PROFILE` and the variable LEAT_AS choose one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "leat/base/target.h"

namespace leat {

struct LimitsProfile {
  std::string_view name;
  std::string_view chip;    // for people
  std::string_view source;  // of the numbers
  uint32_t wave_lanes = 32;
  uint32_t lanes_per_workgroup_max = 256;
  uint32_t local_memory_bytes_max = 16384;
  uint32_t buffer_bindings_max = 8;
  uint64_t argument_bytes_max = uint64_t{1} << 27;
  uint32_t compute_units = 1;
  bool has_pointers = false;  // buffers by address, else by binding
  bool has_storage_f16 = false;
  bool has_64bit = false;  // whole numbers and floats in shaders
};

std::span<const LimitsProfile> limits_profiles();
/// Null, when there is none of that name.
const LimitsProfile* find_limits_profile(std::string_view name);

/// What a device may offer under the profile of this name: the less of both, but lanes of a wave
/// and compute units, which are the profile's. Untouched when there is none. For GPUs' backends,
/// with LEAT_AS, when they have filled a Target.
void limit_as(Target& target, std::string_view profile_name);

}  // namespace leat
