// See normalise.h.
#include "leat/schedule/normalise.h"

#include <algorithm>
#include <utility>

#include "leat/base/target_facts.h"
#include "leat/schedule/copy_node.h"
#include "leat/schedule/join_concats.h"
#include "leat/schedule/round_products.h"
#include "leat/schedule/split_wide.h"
#include "leat/schedule/whole_sums.h"
#include "leat/tensor/contraction.h"
#include "leat/tensor/fold.h"

namespace leat {

namespace {

Result<void> check_shapes(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    for (const NodeResult& result : node.results) {
      TRY(check_shape(graph.tensors[result.output].shape));
    }
  }
  return {};
}

/// A graph output that is also an input or a constant needs a kernel that copies it.
void copy_unwritten_outputs(Graph& graph) {
  std::vector<bool> written(graph.tensors.size(), false);
  for (const Node& node : graph.nodes) {
    for (const NodeResult& result : node.results) written[result.output] = true;
  }
  for (TensorId& output : graph.outputs) {
    if (written[output]) continue;
    graph.nodes.push_back(copy_node(graph, output, graph.tensors[output].dtype));
    output = graph.nodes.back().results[0].output;
    written.push_back(true);
  }
}

bool writes_any(const Node& node, const std::vector<bool>& wanted) {
  return std::ranges::any_of(node.results, [&](const auto& r) { return wanted[r.output]; });
}

/// What the outputs are computed of, and they.
std::vector<bool> wanted_tensors(const Graph& graph) {
  std::vector<bool> wanted(graph.tensors.size(), false);
  for (TensorId output : graph.outputs) wanted[output] = true;
  for (size_t n = graph.nodes.size(); n > 0; --n) {
    const Node& node = graph.nodes[n - 1];
    if (!writes_any(node, wanted)) continue;
    for (TensorId input : node.inputs) wanted[input] = true;
  }
  return wanted;
}

/// Checks of what is wanted are outputs behind the graph's own; the others go.
void ask_checks(Graph& graph) {
  if (graph.checks.empty()) return;
  const std::vector<bool> wanted = wanted_tensors(graph);
  std::erase_if(graph.checks, [&](const IndexCheck& check) { return !wanted[check.guarded]; });
  for (const IndexCheck& check : graph.checks) {
    graph.outputs.insert(graph.outputs.end(), {check.position, check.index});
  }
}

void remove_dead_nodes(Graph& graph) {
  const std::vector<bool> wanted = wanted_tensors(graph);
  std::erase_if(graph.nodes, [&](const Node& node) { return !writes_any(node, wanted); });
}

/// Zeros where a kernel that somebody wrote finds them: nodes before it write its results whole.
void write_starts(Graph& graph) {
  std::vector<Node> nodes;
  for (Node& node : std::exchange(graph.nodes, {})) {
    for (size_t i = 0; node.program && node.program->kernel && i < node.results.size(); ++i) {
      if (!node.program->kernel->starts_at_zero[i]) continue;
      const TensorId output = node.results[i].output;
      const Tensor& tensor = graph.tensors[output];
      Node start;
      start.name = node.name + "/start_" + std::to_string(i);
      start.op = "Fill";
      start.extents = tensor.shape;
      start.results.push_back({output, start.exprs.constant_of(scalar_type_of(tensor.dtype), 0),
                               affine_axes(tensor.shape.size())});
      nodes.push_back(std::move(start));
    }
    nodes.push_back(std::move(node));
  }
  graph.nodes = std::move(nodes);
}

/// Each contraction packs its weights in its own way, so each has a tensor of its own for them.
void clone_shared_weights(Graph& graph) {
  std::vector<uint32_t> reads(graph.tensors.size(), 0);
  for (Node& node : graph.nodes) {
    const auto contraction = find_contraction(graph, node);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorId id = node.inputs[i];
      if (!graph.tensors[id].constant) continue;
      const bool weights = contraction && contraction->b.input == i;
      if (!weights) {
        ++reads[id];
        continue;
      }
      if (reads[id]++ == 0) continue;
      graph.tensors.push_back(graph.tensors[id]);
      node.inputs[i] = static_cast<TensorId>(graph.tensors.size() - 1);
      reads.push_back(1);
    }
  }
}

/// What nodes compute as f64 becomes f32; tensors keep their dtype, which is the host's.
void compute_f64_as_f32(Graph& graph) {
  for (Node& node : graph.nodes) {
    ExprTree exprs;
    const ExprSubstitution narrow = {.f64_as_f32 = true};
    node.element = copy_expr(node.exprs, node.element, exprs, narrow);
    for (NodeResult& result : node.results) {
      result.value = copy_expr(node.exprs, result.value, exprs, narrow);
    }
    node.exprs = std::move(exprs);
  }
}

}  // namespace

bool needs_f64_as_f32(const Graph& graph, const Target& target) {
  const auto is_read_or_written = [&](const Node& node) {
    const auto is_f64 = [&](TensorId id) { return graph.tensors[id].dtype == DType::f64; };
    return std::ranges::any_of(node.inputs, is_f64) ||
           std::ranges::any_of(node.results, is_f64, &NodeResult::output);
  };
  return !facts_of(target).has_f64 && std::ranges::any_of(graph.nodes, is_read_or_written);
}

Result<ProductCounts> normalise(Graph& graph, const Target& target, Precision precision) {
  ask_checks(graph);
  remove_dead_nodes(graph);
  // Before concatenations are joined: a factor that is copied has to be written whole.
  TRY_ASSIGN(const ProductCounts products, round_products(graph, target, precision));
  join_concats(graph);
  if (sum_whole_numbers(graph, target)) remove_dead_nodes(graph);
  TRY(fold_widened(graph, kWidenedElementsSmall, true));
  copy_unwritten_outputs(graph);
  write_starts(graph);  // a second node for a tensor, behind those that look for the one
  if (needs_f64_as_f32(graph, target)) compute_f64_as_f32(graph);
  split_wide_nodes(graph, target);
  TRY(check_shapes(graph));
  clone_shared_weights(graph);
  return products;
}

}  // namespace leat
