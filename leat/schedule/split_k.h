// Split of k: a contraction with few output tiles and a long k becomes several partial ones and a
// sum.
#pragma once

#include "leat/tensor/graph.h"

namespace leat {

/// Replaces contraction `node` by `parts` contractions over equal parts of the innermost k axis,
/// made one by a batch axis, and a map-reduce that adds the partial results in order and applies
/// the epilogue. `parts` must divide that axis. Invalidates node numbers after `node` (one is
/// inserted).
void split_k(Graph& graph, size_t node, int64_t parts);

}  // namespace leat
