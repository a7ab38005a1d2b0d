// Constants that import leaves to the plan.
#pragma once

#include <limits>

#include "leat/tensor/graph.h"

namespace leat {

/// Up to here what few bits become is a constant, whoever reads it: as floats it is faster.
inline constexpr int64_t kWidenedElementsSmall = 65536;

/// Computes the nodes that make at most `elements_max` floats each of constants of few bits and
/// that nobody took as a factor, and what is made of those alone: add_node leaves them alone, as a
/// product of matrices takes its weights as they are or widens them where it reads them, and in
/// memory they stay as small as the file has them. What other nodes read is a constant from here
/// on. The limits of add_node hold.
/// Graph outputs among them become constants only where `outputs` says so.
Result<void> fold_widened(Graph& graph, int64_t elements_max = std::numeric_limits<int64_t>::max(),
                          bool outputs = false);

}  // namespace leat
