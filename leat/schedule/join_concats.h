// Tensors put together of others (concat) that are part of a larger one: where every layer of a
// block reads what all before it gave, the last such tensor begins with each of the earlier ones,
// and these need no memory and no copies. Their readers read the largest, into which each part is
// copied as soon as it is there; the copy vanishes into what computes the part (fuse.h).
#pragma once

#include "leat/tensor/graph.h"

namespace leat {

/// Before fusion. Keeps what the graph computes; an order of channels that vectors fit stays one.
void join_concats(Graph& graph);

}  // namespace leat
