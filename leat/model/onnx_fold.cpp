// See onnx_fold.h.
#include "leat/model/onnx_fold.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace leat {
namespace {

using ConstantValue = std::shared_ptr<const HostTensor>;

/// Of nodes that write a tensor together this is the tensor; they have one result each.
TensorId output_of(const Node& node) { return node.results[0].output; }

/// The value of a tensor that these nodes write together, as those of a Concat do; empty when it
/// does not follow from constants, or is too large to be a shape.
Result<ConstantValue> joined_value(const Graph& graph, std::span<const Node> writers) {
  const Tensor& output = graph.tensors[output_of(writers[0])];
  if (element_count(output.shape) > kShapeElementsMax) return ConstantValue();
  auto value = std::make_shared<HostTensor>(HostTensor::zeros(output.dtype, output.shape));
  for (const Node& node : writers) {
    std::vector<const HostTensor*> inputs;
    for (TensorId input : node.inputs) inputs.push_back(graph.tensors[input].constant.get());
    if (std::ranges::count(inputs, nullptr) > 0) return ConstantValue();
    TRY(evaluate_node(graph, node, inputs, std::array{value.get()}));
  }
  return ConstantValue(std::move(value));
}

}  // namespace

bool writes_any(const Node& node, const std::vector<bool>& tensors) {
  return std::ranges::any_of(node.results, [&](const auto& r) { return tensors[r.output]; });
}

Result<void> fold_nodes(Graph& graph) {
  const std::vector<Node> nodes = std::exchange(graph.nodes, {});
  for (size_t begin = 0, end = 0; begin < nodes.size(); begin = end) {
    while (end < nodes.size() && output_of(nodes[end]) == output_of(nodes[begin])) ++end;
    const std::span<const Node> writers(&nodes[begin], end - begin);
    if (writers.size() > 1) {
      auto& constant = graph.tensors[output_of(writers[0])].constant;
      TRY_ASSIGN(constant, joined_value(graph, writers));
      if (constant) continue;
    }
    for (const Node& node : writers) TRY(graph.add_node(node));  // folds it if it can
  }
  return {};
}

std::vector<bool> needed_tensors(const Graph& graph, std::span<const TensorId> needed) {
  std::vector<bool> seen(graph.tensors.size(), false);
  for (TensorId tensor : needed) seen[tensor] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (!writes_any(graph.nodes[i], seen)) continue;
    for (TensorId input : graph.nodes[i].inputs) seen[input] = true;
  }
  return seen;
}

}  // namespace leat
