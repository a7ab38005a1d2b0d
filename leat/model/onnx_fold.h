// What follows from constants in a graph under construction, and what a tensor follows from.
#pragma once

#include <span>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat {

/// Of a value that decides a shape: far above any tensor's rank.
inline constexpr int64_t kShapeElementsMax = 1024;

/// Computes what follows from tensors that have become constants.
Result<void> fold_nodes(Graph& graph);

/// Whether one of the node's results is among the tensors.
bool writes_any(const Node& node, const std::vector<bool>& tensors);
/// Which tensors a walk from `needed` to the front of the graph meets.
std::vector<bool> needed_tensors(const Graph& graph, std::span<const TensorId> needed);

}  // namespace leat
