// Puts the parts of scheduling in their order; see schedule.h.
#include "leat/schedule/schedule.h"

#include <algorithm>

#include "leat/schedule/fuse.h"
#include "leat/schedule/layout.h"
#include "leat/schedule/memory_plan.h"
#include "leat/schedule/split_constant.h"
#include "leat/schedule/split_k.h"
#include "leat/schedule/split_reduce.h"

namespace leat {

namespace {

Result<void> check_dtypes(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    for (TensorId id : node.inputs) {
      if (graph.tensors[id].dtype == DType::f64) {
        return Error(ErrorKind::unsupported, "Tensor \"" + graph.tensors[id].name +
                                                 "\" of node \"" + node.name +
                                                 "\" is double, which no device here computes.");
      }
    }
    TRY(check_shape(graph.tensors[node.output].shape));
  }
  return {};
}

/// A graph output that is also an input or a constant needs a kernel that copies it.
Result<void> copy_unwritten_outputs(Graph& graph) {
  for (TensorId& output : graph.outputs) {
    bool written = false;
    for (const Node& node : graph.nodes) written |= node.output == output;
    if (written) continue;
    const Tensor source = graph.tensors[output];
    Node copy;
    copy.name = "copy_of_" + source.name;
    copy.op = "Identity";
    copy.inputs = {output};
    copy.out_extents = source.shape;
    copy.view = {std::vector<int64_t>(source.shape.size(), 0),
                 std::vector<int64_t>(source.shape.size(), 1)};
    std::vector<ExprId> axes;
    for (uint32_t d = 0; d < source.shape.size(); ++d) axes.push_back(copy.exprs.axis(d));
    const ScalarType type = is_float(source.dtype)           ? ScalarType::f32
                            : source.dtype == DType::boolean ? ScalarType::b1
                                                             : ScalarType::i32;
    copy.result = copy.exprs.load(0, type, std::move(axes));
    copy.output = graph.add_tensor(source.name, source.dtype, source.shape);
    output = copy.output;
    graph.nodes.push_back(std::move(copy));
  }
  return {};
}

/// A constant weight read by several contractions is cloned, as each packs it in its own way.
void clone_shared_weights(Graph& graph) {
  std::vector<uint32_t> reads(graph.tensors.size(), 0);
  for (Node& node : graph.nodes) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorId id = node.inputs[i];
      if (!graph.tensors[id].constant) continue;
      const bool weights = node.family == Family::contraction && node.contraction.b.input == i;
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

void split_contractions(Schedule& schedule, const Target& target, ChooseParams choose) {
  Graph& graph = schedule.graph;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.family != Family::contraction || element_count(node.out_extents) == 0) continue;
    const uint32_t parts = choose(schedule, node, target).contraction.split_k;
    // The sum binds the epilogue's inputs, the partial results and the output.
    if (node.inputs.size() + 2 > target.buffer_bindings_max) continue;
    // The partial contraction and the sum are not split again.
    if (parts > 1) split_k(graph, n++, parts);
  }
}

bool is_reduction(const Node& node) {
  return node.family == Family::map_reduce && node.map_reduce.op != ReduceOp::none;
}

void split_reductions(Schedule& schedule, const Target& target, const ScheduleOptions& options) {
  std::vector<Node>& nodes = schedule.graph.nodes;
  if (std::ranges::none_of(nodes, is_reduction)) return;
  assign_layouts(schedule, target, options.external_channels_last);  // the choice reads strides
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Node& node = nodes[n];
    if (!is_reduction(node) || element_count(node.out_extents) == 0) continue;
    const uint32_t parts = options.choose(schedule, node, target).map_reduce.split;
    // The second kernel binds what the result loads, the partial results and the output.
    if (node.inputs.size() + 2 > target.buffer_bindings_max) continue;
    // What was split is not split again.
    if (parts > 1) split_reduce(schedule, n++, parts);
  }
}

bool is_empty(const Graph& graph, const Node& node) {
  return element_count(node.out_extents) == 0 ||
         element_count(graph.tensors[node.output].shape) == 0;
}

}  // namespace

Result<Schedule> make_schedule(const Graph& graph, const Target& target,
                               const ScheduleOptions& options) {
  Schedule schedule;
  schedule.graph = graph;
  TRY(copy_unwritten_outputs(schedule.graph));
  remove_dead_nodes(schedule.graph);
  TRY(check_dtypes(schedule.graph));
  fuse(schedule.graph, target);
  clone_shared_weights(schedule.graph);
  split_large_constants(schedule, target, options);
  split_contractions(schedule, target, options.choose);
  split_reductions(schedule, target, options);
  for (uint32_t n = 0; n < schedule.graph.nodes.size(); ++n) {
    if (!is_empty(schedule.graph, schedule.graph.nodes[n])) schedule.steps.push_back({n, {}});
  }
  assign_layouts(schedule, target, options.external_channels_last);
  for (Step& step : schedule.steps) {
    step.params = options.choose(schedule, schedule.graph.nodes[step.node], target);
  }
  mark_packed(schedule);
  TRY(check_argument_sizes(schedule, target, options));
  plan_memory(schedule);
  return schedule;
}

std::string to_string(const Schedule& schedule) {
  std::string text;
  for (const Step& step : schedule.steps) {
    const Node& node = schedule.graph.nodes[step.node];
    text += node.name + ": " + node.op + " -> " + schedule.graph.tensors[node.output].name + " " +
            to_string(node.out_extents);
    if (node.family == Family::contraction) {
      text += " m" + to_string(node.contraction.m) + " n" + to_string(node.contraction.n) + " k" +
              to_string(node.contraction.k) + " " + to_string(step.params.contraction);
    } else if (is_reduction(node)) {
      text += " reduce" + to_string(node.map_reduce.reduce) +
              (step.params.map_reduce.lanes_reduce ? " by lanes" : "");
    }
    for (TensorId id : node.inputs) {
      const Placement& placement = schedule.placements[id];
      text += " | " + schedule.graph.tensors[id].name + " " +
              std::string(name_of(placement.storage)) + (placement.packed ? " packed" : "") + " @" +
              std::to_string(placement.offset_bytes);
    }
    text += "\n";
  }
  text += "weights " + std::to_string(schedule.memory.weights_bytes) + " bytes, activations " +
          std::to_string(schedule.memory.activations_bytes) + " bytes (lower bound " +
          std::to_string(schedule.memory.lower_bound_bytes) + ")\n";
  return text;
}

}  // namespace leat
