// Products of dequantised bytes as sums of whole numbers.
#pragma once

#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat {

/// Where a product of matrices multiplies floats that were made of bytes, of activations and of
/// constant weights, and the target has dot products of bytes: the sum of (a - s) scale_a (b - t)
/// scale_b becomes that of (a - s) (b - t), which is exact, times both scales. Whatever else reads
/// the floats still finds them. Whether it changed anything.
bool sum_whole_numbers(Graph& graph, const Target& target);

}  // namespace leat
