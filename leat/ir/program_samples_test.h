// Programs that several tests of this folder use.
#pragma once

#include <cstdint>
#include <string>

#include "leat/ir/ir.h"

namespace leat::ir {

/// c (m x n) = a (m x k) * b (k x n), all row-major f32. A workgroup of two waves of 4 lanes makes
/// a tile of 8 rows and 4 columns; a tile of b (depth rows) goes through local memory. m a multiple
/// of 8; n and k of any size, masked.
struct MatmulShape {
  int64_t m = 16;
  int64_t n = 10;
  int64_t k = 7;
  DType storage = DType::f32;
};
Program tiled_matmul(const MatmulShape& shape);

/// Uses every kind of instruction and both kinds of regions at least once.
Program sampler();

/// A text of a whole kernel around `body`, with parameters x (f32, read), y (f32, write), h (f16,
/// write), n (i32, read) of 64 elements each, locals s (f32) and q (f32x4) of 16; 4 lanes, 2 waves,
/// grid 2.
std::string kernel_around(const std::string& body);

}  // namespace leat::ir
