// Between host tensors and a device's storage types: whole numbers and booleans may be held as i32,
// floats as f32. This is the only place where bytes are converted, and it happens at a network's
// rim.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "leat/base/result.h"
#include "leat/schedule/plan.h"
#include "leat/tensor/graph.h"

namespace leat {

/// Writes `value` row-major into `bytes`, which holds exactly that, as the placement stores it.
void to_storage(const HostTensor& value, const Placement& placement, std::span<std::byte> bytes);

/// Writes `value` as the placement has it, in the order of its strides.
void place_constant(const HostTensor& value, const Placement& placement,
                    std::span<std::byte> bytes);

/// The reverse, to `dtype`. Whole numbers wrap to the width of `dtype`.
HostTensor from_storage(std::span<const std::byte> bytes, DType storage, DType dtype, Shape shape);

/// Between row-major order and the order of `strides` (elements), which must be a permutation of
/// it.
std::vector<std::byte> to_strides(std::span<const std::byte> row_major, DType storage,
                                  const Shape& shape, const std::vector<int64_t>& strides);
std::vector<std::byte> from_strides(std::span<const std::byte> placed, DType storage,
                                    const Shape& shape, const std::vector<int64_t>& strides);

}  // namespace leat
