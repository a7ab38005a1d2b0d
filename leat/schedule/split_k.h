// Split of k: a contraction with few output tiles and a long k becomes a partial one and a sum.
#pragma once

#include "leat/schedule/plan.h"

namespace leat {

/// What a node was split into; the second reads what the first writes.
struct NodePair {
  Node first;
  Node second;
};

/// The contraction over `parts` equal parts of the innermost k axis, made one kernel by a batch
/// axis, and the map-reduce that adds the partial results in order and applies the epilogue.
/// `parts` must divide that axis. Adds the tensor of the partial results with its placement.
NodePair split_k(Schedule& schedule, const Node& whole, int64_t parts);

}  // namespace leat
