// From a schedule to what is launched: its distinct kernels, who launches which on what, and the
// weights as the kernels read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "leat/pack/run_plan.h"

namespace leat {

/// Equal steps share a kernel.
struct DistinctKernels {
  std::vector<uint32_t> first_steps;  // the first step of each
  std::vector<PlanLaunch> launches;   // one for each step; `kernel` counts in first_steps
};
DistinctKernels distinct_kernels(const Schedule& schedule);

/// MemoryPlan::weights_bytes of constants, packed and stored as the placements say.
std::vector<std::byte> weights_image(const Schedule& schedule);

}  // namespace leat
