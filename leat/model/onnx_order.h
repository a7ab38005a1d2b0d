// The order in which a model's nodes can be added: every value before its users. ONNX asks files to
// be sorted already; not all are.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "leat/base/result.h"

namespace google::protobuf {
template <typename Element>
class RepeatedPtrField;
}  // namespace google::protobuf

namespace leat::onnx {
class NodeProto;
}  // namespace leat::onnx

namespace leat {

using OnnxNodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

/// What is there before the first node.
struct KnownNames {
  std::function<bool(const std::string& name)> is_own;  // inputs and initializers of the graph
  std::function<bool(const std::string& name)> is_any;  // those, and what graphs around it have
};

/// The name that messages use: the node's own, or its first output's.
std::string name_of(const onnx::NodeProto& node);

/// The node's inputs, and what the graphs that it holds take from around it.
std::set<std::string> names_taken_by(const onnx::NodeProto& node);

/// Indices into `nodes`. A node also waits for the values that the graphs which it holds take from
/// around them. Nodes that are in order already keep it.
/// Errors: invalid_argument, naming the node: a value that nothing computes, one that two nodes
/// compute, a cycle.
Result<std::vector<int>> order_nodes(const OnnxNodes& nodes, const KnownNames& known);

}  // namespace leat
