// Slices: a contraction whose constant operand is larger than what a kernel may have as one
// argument becomes several, each with a slice of the constant, that write their slices of the
// output in place.
#pragma once

#include "leat/base/target.h"
#include "leat/schedule/plan.h"

namespace leat {

/// The slices of contraction `node`, cut along one of the axes that only the large operand and the
/// output have: columns for B, rows for A. A slice may be too large still, by its other operand or
/// in whole tiles, and be sliced again. Empty when both constants are within `bytes_max`, or when
/// no axis is plainly one dimension of the constant and one of the output (groups). `params` are
/// those chosen for the whole: packed constants are padded to its tiles. The slices' constants are
/// copies.
std::vector<Node> slice_large_constant(Schedule& schedule, const Node& node,
                                       const ContractionParams& params, const Target& target,
                                       uint64_t bytes_max);

}  // namespace leat
