// Nodes that read more tensors than a kernel of the target may have buffers: parts of what they
// compute become nodes of their own, whose results they read instead.
#pragma once

#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat {

/// A node that cannot be split so far stays too wide, and lowering refuses it. Nodes with a program
/// are left as they are.
void split_wide_nodes(Graph& graph, const Target& target);

}  // namespace leat
