// The identity of a kernel: all that decides its code but parameters and target, without a name in
// it. Nodes with equal keys are one kernel: chosen, lowered, compiled and loaded once.
#pragma once

#include <string>

#include "leat/schedule/plan.h"

namespace leat {

/// Bytes, not for people. The placements of the node's tensors must have their strides.
std::string kernel_key(const Schedule& schedule, const Node& node);

}  // namespace leat
