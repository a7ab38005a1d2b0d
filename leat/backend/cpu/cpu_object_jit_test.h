// Kernels for the tests of the cpu backend, which knows no emitter: object files compiled from a
// few lines of LLVM's text form.
#pragma once

#include <cstdint>

#include "leat/base/kernel_binary.h"

namespace leat {

/// x[g] = 3 * x[g] + addend for each workgroup g, i32; its order with others shows in the result.
KernelBinary triple_object(uint32_t group_count, int32_t addend);

/// Spins `rounds` times and then adds 1 to x[g]: work that takes as long as one wants.
KernelBinary slow_object(uint32_t group_count, uint32_t rounds);

/// y[0] = floorf(x[0]), through the C library.
KernelBinary floor_object();

}  // namespace leat
