// The kernels of the conformance suite, written as wave programs and emitted for a target.
#pragma once

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"

namespace leat {

/// out[i] = 2.5 * x[i] + y[i], f32. Arguments: x, y, out.
Result<KernelBinary> saxpy_kernel(const Target& target, int64_t count);
/// x[i] = 3 * x[i] + addend, i32; its order with others shows in the result. Argument: x.
Result<KernelBinary> triple_kernel(const Target& target, int64_t count, int32_t addend);
/// out[i] = x[(i * step + 1) % count] + 3 * x[i], i32: most of what a workgroup reads others wrote.
/// `count` is a power of two. Arguments: x, out.
Result<KernelBinary> mixing_kernel(const Target& target, int64_t count, int64_t step);
/// x[i] after `rounds` of x = 0.5 * x + 1, f32: as long as one wants. Argument: x.
Result<KernelBinary> halving_kernel(const Target& target, int64_t count, int64_t rounds);
/// out[g] = g.x + 100 * g.y + 10000 * g.z for each workgroup of a 2 by 3 by 4 grid, i32.
Result<KernelBinary> grid_kernel(const Target& target);
/// Reverses each workgroup's elements through local memory, i32: `groups` workgroups of two waves
/// (one on a CPU). Arguments: in, out.
Result<KernelBinary> reverse_kernel(const Target& target, int64_t groups);
/// Elements of a workgroup of reverse_kernel.
int64_t reverse_group_size(const Target& target);
/// quotient[i] = a[i] / b[i] and root[i] = sqrt(a[i]), f32. Arguments: a, b, quotient, root.
Result<KernelBinary> rounding_kernel(const Target& target, int64_t count);
/// out[i] = value[0], i32, written last by each workgroup, and these take different times: `groups`
/// workgroups of stamp_group_size elements. Arguments: value, out.
Result<KernelBinary> stamp_kernel(const Target& target, int64_t groups);
/// Elements of a workgroup of stamp_kernel.
int64_t stamp_group_size(const Target& target);
/// out[i] = in[i], from f32 to f16. Arguments: in, out.
Result<KernelBinary> to_half_kernel(const Target& target, int64_t count);

}  // namespace leat
