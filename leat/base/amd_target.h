// What is known of AMD's chips without one at hand: the Target that kernels are compiled for.
#pragma once

#include <span>
#include <string_view>

#include "leat/base/result.h"
#include "leat/base/target.h"

namespace leat {

/// "gfx1100" and the others that amd_target() takes.
std::span<const std::string_view> amd_target_names();

/// A target of format amdgpu_object. Errors: invalid_argument, when the name is none of these.
Result<Target> amd_target(std::string_view name);

}  // namespace leat
