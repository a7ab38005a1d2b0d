// Shape: the extents of a tensor, outermost first. A scalar has rank 0 and one element.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat {

using Shape = std::vector<int64_t>;

/// Number of elements; 1 for rank 0. The extents must have passed check_shape.
int64_t element_count(const Shape& shape);
/// "(1, 3, 224, 224)".
std::string to_string(const Shape& shape);
/// Refuses negative extents and more than `kElementsMax` elements.
/// Errors: invalid_argument.
Result<void> check_shape(const Shape& shape);
/// Row-major strides in elements.
std::vector<int64_t> row_major_strides(const Shape& shape);

/// A tensor may hold at most this many elements: device indices are 32-bit.
inline constexpr int64_t kElementsMax = (int64_t{1} << 31) - 1;

}  // namespace leat
