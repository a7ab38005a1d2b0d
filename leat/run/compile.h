// Compilation of a network's kernels: from the cache, or lowered and emitted on all cores.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "leat/device/device.h"
#include "leat/lower/lower.h"
#include "leat/run/kernel_cache.h"
#include "leat/schedule/plan.h"

namespace leat {

struct CompiledKernels {
  std::vector<std::unique_ptr<Kernel>> kernels;  // one for each wish
  uint32_t compiled = 0;                         // not found in the cache
};

struct KernelWish {
  uint32_t step = 0;                       // of the schedule
  const LoweredKernel* lowered = nullptr;  // null: it is lowered for just this step
};

/// The kernels that are wanted, loaded on the device. Errors: unsupported, and what the emitter or
/// driver says, of the first that fails, with its node's name.
Result<CompiledKernels> compile_kernels(const Schedule& schedule,
                                        std::span<const KernelWish> wishes, Device& device,
                                        KernelCache& cache);

/// The kernels of these steps for a target that may be elsewhere. Errors: as above.
Result<std::vector<KernelBinary>> emit_kernels(const Schedule& schedule,
                                               std::span<const uint32_t> steps,
                                               const Target& target);

}  // namespace leat
