// The step that takes a user's word for whole numbers of 8 bits (Precision::i8): products of f32
// tensors become sums of whole numbers and scales, as DynamicQuantizeLinear and MatMulInteger are.
#pragma once

#include "leat/base/target.h"
#include "leat/schedule/plan.h"

namespace leat {

/// Where the target multiplies bytes four at once: of products of activations and constant weights
/// whose innermost k are whole groups, activations become u8 by the range of the whole tensor,
/// found as it runs, weights i8 by the largest of each column, and sums i32. All others stay. Every
/// node of the graph is wanted, and no tensor is read before all of it is written. Errors: those of
/// adding nodes.
Result<ProductCounts> quantize_products(Graph& graph, const Target& target);

}  // namespace leat
