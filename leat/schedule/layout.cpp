// Activations that convolutions touch have their channels innermost: rows of the implicit matrix
// are then contiguous along k, and results are stored along n, both in full vectors. The choice
// spreads over nodes that keep the rank, so that a network changes layout only where a reshape
// does. Graph inputs and outputs stay row-major, as the host gave them; kernels at the rim read
// them with their strides.
#include "leat/schedule/layout.h"

#include <algorithm>

namespace leat {

namespace {

std::vector<int64_t> channels_last_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  strides[1] = stride;
  stride *= shape[1];
  for (size_t d = shape.size(); d > 2; --d) {
    strides[d - 1] = stride;
    stride *= shape[d - 1];
  }
  strides[0] = stride;
  return strides;
}

/// A contraction with a window: convolutions of any rank, not matrix products.
bool is_convolution(const Node& node) {
  return node.family == Family::contraction && node.contraction.k.size() >= 2;
}

std::vector<bool> find_channels_last(const Graph& graph) {
  std::vector<bool> last(graph.tensors.size(), false);
  auto mark = [&](TensorId tensor) {
    if (graph.tensors[tensor].shape.size() < 3 || graph.tensors[tensor].constant || last[tensor]) {
      return false;
    }
    last[tensor] = true;
    return true;
  };
  for (const Node& node : graph.nodes) {
    if (!is_convolution(node)) continue;
    mark(node.inputs[node.contraction.a.input]);
    mark(node.output);
  }
  bool changed = true;
  while (changed) {
    changed = false;
    for (const Node& node : graph.nodes) {
      if (node.reshape || node.family == Family::contraction) continue;
      const size_t rank = graph.tensors[node.output].shape.size();
      bool any = last[node.output];
      for (TensorId input : node.inputs) {
        any |= last[input] && graph.tensors[input].shape.size() == rank;
      }
      if (!any) continue;
      changed |= mark(node.output);
      for (TensorId input : node.inputs) {
        if (graph.tensors[input].shape.size() == rank) changed |= mark(input);
      }
    }
  }
  return last;
}

/// True when walking memory forward is walking the tensor in row-major order.
bool is_row_major(const Shape& shape, const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (size_t d = shape.size(); d > 0; --d) {
    if (shape[d - 1] == 1) continue;
    if (strides[d - 1] != expected) return false;
    expected *= shape[d - 1];
  }
  return true;
}

class Aliases {
 public:
  explicit Aliases(Schedule& schedule) : schedule_(schedule) {}

  void run() {
    std::vector<Step> kept;
    for (const Step& step : schedule_.steps) {
      if (!alias(schedule_.graph.nodes[step.node])) kept.push_back(step);
    }
    schedule_.steps = std::move(kept);
  }

 private:
  bool alias(const Node& node) {
    if (!node.reshape) return false;
    const TensorId input = node.inputs[0];
    Placement& source = schedule_.placements[input];
    Placement& target = schedule_.placements[node.output];
    const Graph& graph = schedule_.graph;
    if (node.out_extents != graph.tensors[node.output].shape) return false;
    if (source.storage != target.storage) return false;
    if (!is_row_major(graph.tensors[input].shape, source.strides) ||
        !is_row_major(graph.tensors[node.output].shape, target.strides)) {
      return false;
    }
    if (target.space == Space::activations && source.space != Space::weights) {
      target.alias_of = input;
      return true;
    }
    // A graph output cannot lie in its source; its source may lie in it instead.
    const bool free_source = source.space == Space::activations && source.alias_of == kNoTensor;
    if (target.space != Space::external || !free_source || has_alias(input)) return false;
    source.alias_of = node.output;
    return true;
  }

  bool has_alias(TensorId tensor) const {
    return std::any_of(schedule_.placements.begin(), schedule_.placements.end(),
                       [&](const Placement& p) { return p.alias_of == tensor; });
  }

  Schedule& schedule_;
};

}  // namespace

TensorId root_of(const Schedule& schedule, TensorId tensor) {
  while (schedule.placements[tensor].alias_of != kNoTensor) {
    tensor = schedule.placements[tensor].alias_of;
  }
  return tensor;
}

DType storage_on(const Target& target, DType dtype) {
  // A CPU widens halves in every inner loop; there f16 tensors are held as f32.
  const bool narrow = target.storage_f16 && !target.is_cpu && !target.software;
  const DType storage = storage_of(dtype);
  return storage == DType::f16 && !narrow ? DType::f32 : storage;
}

void assign_layouts(Schedule& schedule, const Target& target, bool external_channels_last) {
  const Graph& graph = schedule.graph;
  const std::vector<bool> channels_last = find_channels_last(graph);
  schedule.placements.assign(graph.tensors.size(), Placement{});
  for (const Node& node : graph.nodes) {
    for (TensorId input : node.inputs) {
      schedule.placements[input].space =
          graph.tensors[input].constant ? Space::weights : Space::activations;
    }
    schedule.placements[node.output].space = Space::activations;
  }
  for (TensorId input : graph.inputs) schedule.placements[input].space = Space::external;
  for (TensorId output : graph.outputs) schedule.placements[output].space = Space::external;
  for (TensorId id = 0; id < graph.tensors.size(); ++id) {
    Placement& placement = schedule.placements[id];
    const Tensor& tensor = graph.tensors[id];
    placement.storage = storage_on(target, tensor.dtype);
    placement.element_count = element_count(tensor.shape);
    const bool free = placement.space == Space::activations ||
                      (placement.space == Space::external && external_channels_last);
    placement.strides = free && channels_last[id] ? channels_last_strides(tensor.shape)
                                                  : row_major_strides(tensor.shape);
  }
  Aliases(schedule).run();
}

int64_t packed_element_count(const Contraction& contraction, const ContractionParams& params) {
  const int64_t n = element_count(contraction.n);
  const int64_t columns = (n + params.tile_n() - 1) / params.tile_n() * params.tile_n();
  return element_count(contraction.batch) * columns * element_count(contraction.k);
}

bool loads_input(const Node& node, uint32_t input) {
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind == ExprKind::load && expr.index == input) return true;
  }
  return false;
}

void mark_packed(Schedule& schedule) {
  std::vector<uint32_t> reads(schedule.graph.tensors.size(), 0);
  for (const Node& node : schedule.graph.nodes) {
    for (TensorId input : node.inputs) ++reads[input];
  }
  for (const Step& step : schedule.steps) {
    const Node& node = schedule.graph.nodes[step.node];
    if (node.family != Family::contraction) continue;
    const TensorId weights = node.inputs[node.contraction.b.input];
    Placement& placement = schedule.placements[weights];
    const auto& bounded = node.contraction.b.bounded;
    const bool any_bound = std::find(bounded.begin(), bounded.end(), true) != bounded.end();
    if (placement.space != Space::weights || reads[weights] != 1 || any_bound) continue;
    if (loads_input(node, node.contraction.b.input)) continue;
    placement.packed = true;
    placement.element_count = packed_element_count(node.contraction, step.params.contraction);
  }
}

}  // namespace leat
