// Kahn's algorithm over value names; see onnx_order.h. No recursion: a chain of nodes may be as
// long as the file allows.
#include "leat/model/onnx_order.h"

#include <fmt/format.h>

#include <functional>
#include <queue>
#include <unordered_map>

#include "leat/model/onnx.pb.h"

namespace leat {
namespace {

std::string label_of(const onnx::NodeProto& node) {
  const std::string& name =
      node.name().empty() && node.output_size() > 0 ? node.output(0) : node.name();
  return fmt::format("\"{}\" ({})", name, node.op_type());
}

Error invalid(std::string sentence) {
  return Error(ErrorKind::invalid_argument, std::move(sentence));
}

using Producers = std::unordered_map<std::string, int>;

Result<Producers> producers_of(const onnx::GraphProto& graph,
                               const std::unordered_set<std::string>& known) {
  Producers producers;
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& output : graph.node(i).output()) {
      if (output.empty()) continue;
      if (known.contains(output) || !producers.emplace(output, i).second) {
        return invalid(fmt::format("Value \"{}\" of node {} is defined twice.", output,
                                   label_of(graph.node(i))));
      }
    }
  }
  return producers;
}

}  // namespace

Result<std::vector<int>> order_nodes(const onnx::GraphProto& graph,
                                     const std::unordered_set<std::string>& known) {
  TRY_ASSIGN(const Producers producers, producers_of(graph, known));
  const size_t count = static_cast<size_t>(graph.node_size());
  std::vector<std::vector<int>> users(count);
  std::vector<int> waits_for(count, 0);
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& input : graph.node(i).input()) {
      if (input.empty() || known.contains(input)) continue;
      const auto producer = producers.find(input);
      if (producer == producers.end()) {
        return invalid(fmt::format("Input \"{}\" of node {} is computed by no node.", input,
                                   label_of(graph.node(i))));
      }
      users[static_cast<size_t>(producer->second)].push_back(i);
      ++waits_for[static_cast<size_t>(i)];
    }
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;  // the file's order where free
  for (int i = 0; i < graph.node_size(); ++i) {
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
                               label_of(graph.node(static_cast<int>(i)))));
  }
  return order;
}

}  // namespace leat
