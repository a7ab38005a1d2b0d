// Fusion: fewer nodes that compute the same outputs. See fuse.cpp for the rules.
#pragma once

#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat {

/// Absorbs element-wise nodes into the nodes that compute their input, and views into the nodes
/// that read them. No kernel gets more than target.buffer_bindings_max buffers. Takes time in
/// proportion to the graph.
void fuse(Graph& graph, const Target& target);

/// Whether the node only moves elements: its result is one load, no arithmetic on values.
bool moves_only(const Node& node);

/// Whether the reader does not grow beyond what a kernel may be, when it computes what `view` does.
bool may_substitute(const Node& reader, const Node& view, TensorId tensor);

/// Rewrites `reader` so that where it loads `tensor` it computes what `view`, a map node that
/// writes all of it, computes.
void substitute(Node& reader, const Node& view, TensorId tensor);

}  // namespace leat
