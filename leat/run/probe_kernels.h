// Kernels that measure a device instead of computing a network: one that does nothing, one that
// counts, and one that does nothing but multiply and add.
#pragma once

#include <memory>
#include <optional>

#include "leat/base/dtype.h"
#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat {

/// One workgroup without arguments that does nothing.
Result<KernelBinary> empty_kernel(const Target& target);

/// One workgroup whose first lane adds one to a word. Argument: an i32 buffer of one element.
Result<KernelBinary> count_kernel(const Target& target);

/// Multiply-adds on registers, in chains long enough to fill every pipeline. Arguments: an i32
/// buffer of one element, the number of rounds, and a buffer of `output_count` sums, of 4 bytes
/// each.
struct FmaKernel {
  KernelBinary binary;
  int64_t output_count = 0;
  double flop_per_round = 0;  // of the whole grid
};
/// Of elements that the target has a dot product for the products are its; else they are of f32.
Result<FmaKernel> fma_kernel(const Target& target, DType element = DType::f32);

/// The same by the target's matrix units, of elements that are stored so. Nothing, when it has none
/// for them.
Result<std::optional<FmaKernel>> unit_kernel(const Target& target, DType element);

}  // namespace leat
