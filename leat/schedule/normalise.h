// Normalising: what every later step may take for granted of a graph.
#pragma once

#include "leat/base/target.h"
#include "leat/schedule/plan.h"

namespace leat {

/// After it: every graph output is written by a node; every node's result is read by somebody; a
/// constant that is the b operand of a contraction has no other reader; no expression is f64 where
/// the target has no such numbers; no node reads more tensors than a kernel may, where it can be
/// cut; products are rounded as far as `precision` says and the target does (round_products.h),
/// which the answer counts. Errors: unsupported, for a tensor beyond 32-bit indices.
Result<ProductCounts> normalise(Graph& graph, const Target& target, Precision precision);
/// Whether the graph has f64 and the target has not.
bool needs_f64_as_f32(const Graph& graph, const Target& target);

}  // namespace leat
