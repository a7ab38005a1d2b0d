// Normalising: what every later step may take for granted of a graph.
#pragma once

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat {

/// After it: every graph output is written by a node; every node's result is read by somebody; a
/// constant that is the b operand of a contraction has no other reader.
/// Errors: unsupported, for a dtype that no device computes or a tensor beyond 32-bit indices.
Result<void> normalise(Graph& graph);

}  // namespace leat
