// Between host tensors and a device's storage types: integers and booleans widen to i32, f16 may be
// held as f32. This is the only place where bytes are converted, and it happens at a network's rim.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat {

/// Writes `value` row-major as `storage` (f32, f16, i32) into `bytes`, which holds exactly that.
/// Errors: invalid_argument, when a whole number does not fit 32 bits; unsupported for f64.
Result<void> to_storage(const HostTensor& value, DType storage, std::span<std::byte> bytes);

/// The reverse, to `dtype`. Whole numbers wrap to the width of `dtype`.
HostTensor from_storage(std::span<const std::byte> bytes, DType storage, DType dtype, Shape shape);

/// Between row-major order and the order of `strides` (elements), which must be a permutation of
/// it.
std::vector<std::byte> to_strides(std::span<const std::byte> row_major, DType storage,
                                  const Shape& shape, const std::vector<int64_t>& strides);
std::vector<std::byte> from_strides(std::span<const std::byte> placed, DType storage,
                                    const Shape& shape, const std::vector<int64_t>& strides);

}  // namespace leat
