// Sums of products by named dimensions, and determinants. Source: ONNX operator schemas Einsum
// 12/28, Det 11/22.
#pragma once

#include <span>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::ops {

/// numpy.einsum: one letter a dimension, "..." for those between that broadcast, a letter twice in
/// an operand for its diagonal; without "->" the result has the letters that occur once, sorted.
/// Operands are multiplied from left to right, two in each node, which is a matrix product where
/// it sums. Floats and whole numbers, all of one dtype.
Result<TensorId> einsum(Graph& graph, std::string_view name, std::string_view equation,
                        std::span<const TensorId> inputs);

/// Of the matrices in the last two dimensions, by Gaussian elimination with the largest pivot of
/// each column: four nodes for a row, of kDetRowsMax at most. Floats.
inline constexpr int64_t kDetRowsMax = 64;
Result<TensorId> det(Graph& graph, std::string_view name, TensorId x);

}  // namespace leat::ops
