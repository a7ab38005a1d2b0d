// The order in which a model's nodes can be added: every value before its users. ONNX asks files to
// be sorted already; not all are.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "leat/base/result.h"

namespace leat::onnx {
class GraphProto;
}  // namespace leat::onnx

namespace leat {

/// Indices into graph.node. `known` are the names of inputs and initializers. Nodes that are in
/// order already keep it.
/// Errors: invalid_argument, naming the node: a value that nothing computes, one that two nodes
/// compute, a cycle.
Result<std::vector<int>> order_nodes(const onnx::GraphProto& graph,
                                     const std::unordered_set<std::string>& known);

}  // namespace leat
