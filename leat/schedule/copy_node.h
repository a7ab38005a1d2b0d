// A node that copies a tensor, as it is or in another type.
#pragma once

#include "leat/tensor/graph.h"

namespace leat {

/// Into a tensor of this type that is added to the graph; the node is the caller's to add.
Node copy_node(Graph& graph, TensorId input, DType dtype);

}  // namespace leat
