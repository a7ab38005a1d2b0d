// Constants that import leaves to the plan.
#pragma once

#include "leat/tensor/graph.h"

namespace leat {

/// Computes the nodes that make floats of constants of few bits and that nobody took as a factor:
/// add_node leaves large ones alone, as a product of matrices widens its weights where it reads
/// them, and in memory they stay as small as the file has them. What other nodes read is a constant
/// from here on. The limits of add_node hold.
Result<void> fold_widened(Graph& graph);

}  // namespace leat
