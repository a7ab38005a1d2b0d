// Compilation of a network's kernels: from the cache, or lowered and emitted on all cores.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "leat/device/device.h"
#include "leat/run/kernel_cache.h"
#include "leat/schedule/plan.h"

namespace leat {

struct CompiledKernels {
  std::vector<std::unique_ptr<Kernel>> kernels;  // one for each step asked for
  uint32_t compiled = 0;                         // not found in the cache
};

/// The kernels of these steps of the schedule, loaded on the device. Errors: unsupported, and what
/// the emitter or driver says, of the first step that fails, with its node's name.
Result<CompiledKernels> compile_kernels(const Schedule& schedule, std::span<const uint32_t> steps,
                                        Device& device, KernelCache& cache);

}  // namespace leat
