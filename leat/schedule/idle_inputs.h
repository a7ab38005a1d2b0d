// Inputs that a node no longer loads once it was taken apart.
#pragma once

#include "leat/tensor/graph.h"

namespace leat {

/// Leaves only the inputs that the expressions load, in their order.
void drop_idle_inputs(Node& node);

}  // namespace leat
