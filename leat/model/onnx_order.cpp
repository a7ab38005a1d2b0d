// Kahn's algorithm over value names; see onnx_order.h. No recursion: a chain of nodes may be as
// long as the file allows.
#include "leat/model/onnx_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <queue>
#include <set>
#include <unordered_map>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"

namespace leat {
namespace {

std::string label_of(const onnx::NodeProto& node) {
  return fmt::format("\"{}\" ({})", name_of(node), node.op_type());
}

using Producers = std::unordered_map<std::string, int>;

Result<Producers> producers_of(const OnnxNodes& nodes, const KnownNames& known) {
  Producers producers;
  for (int i = 0; i < nodes.size(); ++i) {
    for (const std::string& output : nodes[i].output()) {
      if (output.empty()) continue;
      if (known.is_own(output) || !producers.emplace(output, i).second) {
        return invalid(
            fmt::format("Value \"{}\" of node {} is defined twice.", output, label_of(nodes[i])));
      }
    }
  }
  return producers;
}

using Names = std::set<std::string>;

void add_names(const onnx::NodeProto& node, Names& names);

/// What the graph takes from around it.
void add_names(const onnx::GraphProto& graph, Names& names) {
  Names used;
  Names own;
  for (const onnx::NodeProto& node : graph.node()) {
    add_names(node, used);
    own.insert(node.output().begin(), node.output().end());
  }
  for (const onnx::ValueInfoProto& output : graph.output()) used.insert(output.name());
  for (const onnx::ValueInfoProto& input : graph.input()) own.insert(input.name());
  for (const onnx::TensorProto& tensor : graph.initializer()) own.insert(tensor.name());
  std::ranges::set_difference(used, own, std::inserter(names, names.end()));
}

/// The node's inputs, and what the graphs that it holds take from around it.
void add_names(const onnx::NodeProto& node, Names& names) {
  for (const std::string& input : node.input()) {
    if (!input.empty()) names.insert(input);
  }
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g()) add_names(attribute.g(), names);
  }
}

}  // namespace

std::string name_of(const onnx::NodeProto& node) {
  if (!node.name().empty()) return node.name();
  return node.output_size() > 0 ? node.output(0) : node.op_type();
}

std::set<std::string> names_taken_by(const onnx::NodeProto& node) {
  Names names;
  add_names(node, names);
  return names;
}

Result<std::vector<int>> order_nodes(const OnnxNodes& nodes, const KnownNames& known) {
  TRY_ASSIGN(const Producers producers, producers_of(nodes, known));
  const size_t count = static_cast<size_t>(nodes.size());
  std::vector<std::vector<int>> users(count);
  std::vector<int> waits_for(count, 0);
  for (int i = 0; i < nodes.size(); ++i) {
    for (const std::string& input : names_taken_by(nodes[i])) {
      const auto producer = producers.find(input);
      if (producer == producers.end()) {
        if (known.is_any(input)) continue;
        return invalid(fmt::format("Input \"{}\" of node {} is computed by no node.", input,
                                   label_of(nodes[i])));
      }
      users[static_cast<size_t>(producer->second)].push_back(i);
      ++waits_for[static_cast<size_t>(i)];
    }
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;  // the file's order where free
  for (int i = 0; i < nodes.size(); ++i) {
    if (waits_for[static_cast<size_t>(i)] == 0) ready.push(i);
  }
  std::vector<int> order;
  while (!ready.empty()) {
    const int index = ready.top();
    ready.pop();
    order.push_back(index);
    for (int user : users[static_cast<size_t>(index)]) {
      if (--waits_for[static_cast<size_t>(user)] == 0) ready.push(user);
    }
  }
  if (order.size() == count) return order;
  for (size_t i = 0; i < count; ++i) {
    if (waits_for[i] == 0) continue;
    return invalid(fmt::format("Node {} depends on its own result: the graph has a cycle.",
                               label_of(nodes[static_cast<int>(i)])));
  }
  return order;
}

}  // namespace leat
