// Activations that convolutions touch have their channels innermost: rows of the implicit matrix
// are then contiguous along k, and results are stored along n, both in full vectors. The choice
// spreads over nodes that keep the rank, so that a network changes layout only where a reshape
// does. Graph inputs and outputs stay row-major, as the host gave them; kernels at the rim read
// them with their strides.
#include "leat/schedule/layout.h"

#include <algorithm>

#include "leat/base/target_facts.h"
#include "leat/schedule/model_constants.h"
#include "leat/schedule/reduction_strides.h"

namespace leat {

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

bool is_convolution(const Contraction& contraction) { return contraction.k.size() >= 2; }

namespace {

/// What is a product of matrices, by the number of its node.
using Contractions = std::vector<std::optional<Contraction>>;

Contractions find_contractions(const Graph& graph) {
  Contractions found;
  for (const Node& node : graph.nodes) found.push_back(find_contraction(graph, node));
  return found;
}

/// What a kernel that somebody wrote reads and writes, which knows one order.
std::vector<bool> find_row_major(const Graph& graph) {
  std::vector<bool> found(graph.tensors.size(), false);
  for (const Node& node : graph.nodes) {
    if (!node.program || !node.program->kernel) continue;
    for (const TensorId input : node.inputs) found[input] = true;
    for (const NodeResult& result : node.results) found[result.output] = true;
  }
  return found;
}

std::vector<bool> find_channels_last(const Graph& graph, const Contractions& contractions) {
  std::vector<bool> last(graph.tensors.size(), false);
  const std::vector<bool> row_major = find_row_major(graph);
  auto mark = [&](TensorId tensor) {
    if (graph.tensors[tensor].shape.size() < 3 || graph.tensors[tensor].constant || last[tensor] ||
        row_major[tensor]) {
      return false;
    }
    last[tensor] = true;
    return true;
  };
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!contractions[n] || !is_convolution(*contractions[n])) continue;
    mark(graph.nodes[n].inputs[contractions[n]->a.input]);
    mark(graph.nodes[n].results[0].output);
  }
  const auto spread = [&](size_t n) {
    const Node& node = graph.nodes[n];
    if (node.reshape || contractions[n]) return false;
    std::vector<TensorId> tensors = node.inputs;
    for (const NodeResult& result : node.results) tensors.push_back(result.output);
    const size_t rank = graph.tensors[node.results[0].output].shape.size();
    std::erase_if(tensors, [&](TensorId id) { return graph.tensors[id].shape.size() != rank; });
    if (std::ranges::none_of(tensors, [&](TensorId id) { return last[id]; })) return false;
    bool changed = false;
    for (TensorId id : tensors) changed |= mark(id);
    return changed;
  };
  // Forwards along chains, then backwards: each way takes one pass however long the chain is.
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t n = 0; n < graph.nodes.size(); ++n) changed |= spread(n);
    for (size_t n = graph.nodes.size(); n > 0; --n) changed |= spread(n - 1);
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
  explicit Aliases(Schedule& schedule)
      : schedule_(schedule), has_alias_(schedule.placements.size(), false) {}

  void run() {
    for (const Node& node : schedule_.graph.nodes) alias(node);
  }

 private:
  void alias(const Node& node) {
    if (!node.reshape || element_count(node.extents) == 0) return;
    const TensorId input = node.inputs[0];
    const TensorId output = node.results[0].output;
    Placement& source = schedule_.placements[input];
    Placement& target = schedule_.placements[output];
    const Graph& graph = schedule_.graph;
    if (!is_whole(graph, node, node.results[0])) return;
    if (source.storage != target.storage || source.is_in_words()) return;
    if (!is_row_major(graph.tensors[input].shape, source.strides) ||
        !is_row_major(graph.tensors[output].shape, target.strides)) {
      return;
    }
    if (target.space == Space::activations && source.space != Space::weights) {
      target.alias_of = input;
      has_alias_[input] = true;
      return;
    }
    // A graph output cannot lie in its source; its source may lie in it instead.
    const bool free_source = source.space == Space::activations && source.alias_of == kNoTensor;
    if (target.space != Space::external || !free_source || has_alias_[input]) return;
    source.alias_of = output;
    has_alias_[output] = true;
    return;
  }

  Schedule& schedule_;
  std::vector<bool> has_alias_;
};

/// Who owns the bytes of each tensor.
void assign_spaces(Schedule& schedule) {
  const Graph& graph = schedule.graph;
  for (const Node& node : graph.nodes) {
    for (TensorId input : node.inputs) {
      schedule.placements[input].space =
          graph.tensors[input].constant ? Space::weights : Space::activations;
    }
    for (const NodeResult& result : node.results) {
      schedule.placements[result.output].space = Space::activations;
    }
  }
  for (TensorId input : graph.inputs) schedule.placements[input].space = Space::external;
  for (TensorId output : graph.outputs) schedule.placements[output].space = Space::external;
}

/// Elements of less than 8 bits that no kernel writes lie in words, as many as fit. Programs and
/// products of matrices read elements that are not.
void put_into_words(Schedule& schedule, const Contractions& contractions) {
  const Graph& graph = schedule.graph;
  std::vector<bool> stays(graph.tensors.size(), false);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    for (TensorId input : node.inputs)
      stays[input] = stays[input] || node.program || contractions[n];
    for (const NodeResult& result : node.results) stays[result.output] = true;
  }
  for (TensorId id = 0; id < graph.tensors.size(); ++id) {
    Placement& placement = schedule.placements[id];
    const DType dtype = graph.tensors[id].dtype;
    if (stays[id] || placement.space == Space::none || bits_of(dtype) >= 8) continue;
    placement.words_of = dtype;
    placement.storage = DType::i32;
    placement.element_count = (placement.element_count * bits_of(dtype) + 31) / 32;
  }
}

/// The dimension of `tensor` that moves with the node's axis `axis` in all loads of input `input`,
/// if each has one alone.
std::optional<size_t> dimension_along(const Node& node, uint32_t input, size_t axis) {
  const size_t axis_count = node.extents.size() + node.reduce.size();
  std::optional<size_t> found;
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& load = node.exprs.node(id);
    if (load.kind != ExprKind::load || load.index != input) continue;
    std::optional<size_t> moves;
    for (size_t d = 0; d < load.indices.size(); ++d) {
      const auto form = affine_of(node.exprs, load.indices[d], axis_count);
      if (!form || form->coefficients[axis] == 0) continue;
      if (moves || form->coefficients[axis] != 1) return std::nullopt;
      moves = d;
    }
    if (!moves || (found && *found != *moves)) return std::nullopt;
    found = moves;
  }
  return found;
}

/// The other dimensions keep their order.
void put_innermost(Placement& placement, const Shape& shape, size_t inner) {
  int64_t stride = shape[inner];
  for (size_t d = shape.size(); d-- > 0;) {
    if (d == inner) continue;
    placement.strides[d] = stride;
    stride *= shape[d];
  }
  placement.strides[inner] = 1;
}

/// How often each tensor is read.
std::vector<uint32_t> count_reads(const Graph& graph) {
  std::vector<uint32_t> reads(graph.tensors.size(), 0);
  for (const Node& node : graph.nodes) {
    for (TensorId input : node.inputs) ++reads[input];
  }
  return reads;
}

/// The dimension of b that lanes would share, where the product has one row and takes rows of b.
std::optional<size_t> row_dimension(const Schedule& schedule, const Node& node,
                                    const Contraction& contraction, const Target& target) {
  const Placement& b = schedule.placements[node.inputs[contraction.b.input]];
  const bool has_waves = target.waves_hide_latency && target.local_memory_is_fast;
  if (b.packed || b.is_in_words() || b.size_bytes() > target.argument_bytes_max)
    return std::nullopt;
  if (node.reduce.empty() || !has_waves) return std::nullopt;
  if (contraction.type != ScalarType::f32 || element_count(contraction.m) != 1) return std::nullopt;
  const auto is_bounded = [](const ContractionOperand& operand) {
    return std::ranges::count(operand.bounded, true) > 0;
  };
  if (is_bounded(contraction.a) || is_bounded(contraction.b)) return std::nullopt;
  const size_t axis = lane_axis_of(node.reduce);
  if (node.reduce[axis] < kSharedRoundsMin * int64_t{target.wave_lanes}) return std::nullopt;
  return dimension_along(node, contraction.b.input, node.extents.size() + axis);
}

/// Of the weights that one contraction alone reads: those of products of one row have the row
/// innermost that lanes read side by side, the others are packed.
void order_factors(Schedule& schedule, const Contractions& contractions, const Target& target) {
  const Graph& graph = schedule.graph;
  const std::vector<uint32_t> reads = count_reads(graph);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!contractions[n]) continue;
    const Node& node = graph.nodes[n];
    const ContractionOperand& b = contractions[n]->b;
    const TensorId weights = node.inputs[b.input];
    Placement& placement = schedule.placements[weights];
    if (placement.space != Space::weights || reads[weights] != 1) continue;
    if (const auto inner = row_dimension(schedule, node, *contractions[n], target)) {
      put_innermost(placement, graph.tensors[weights].shape, *inner);
    } else if (std::ranges::count(b.bounded, true) == 0 && load_count(node, b.input) == 1) {
      placement.packed = true;
    }
  }
}

/// Weights of depthwise convolutions and their like, which lanes read side by side where they write
/// channels side by side, have their channels innermost, too.
void turn_weights(Schedule& schedule, const Contractions& contractions) {
  const Graph& graph = schedule.graph;
  const std::vector<uint32_t> reads = count_reads(graph);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const NodeResult& result = node.results[0];
    const Shape& written = graph.tensors[result.output].shape;
    if (contractions[n] || node.program || written.size() < 3 || written[1] == 1) continue;
    if (schedule.placements[result.output].strides[1] != 1 || !is_whole(graph, node, result)) {
      continue;
    }
    for (uint32_t i = 0; i < node.inputs.size(); ++i) {
      const TensorId id = node.inputs[i];
      Placement& placement = schedule.placements[id];
      if (placement.space != Space::weights || placement.is_in_words() || reads[id] != 1) continue;
      const auto inner = dimension_along(node, i, 1);
      if (!inner) continue;
      put_innermost(placement, graph.tensors[id].shape, *inner);
    }
  }
}

}  // namespace

bool takes_rows(const Schedule& schedule, const Node& node, const Contraction& contraction,
                const Target& target) {
  const auto inner = row_dimension(schedule, node, contraction, target);
  const Placement& b = schedule.placements[node.inputs[contraction.b.input]];
  return inner && b.strides[*inner] == 1;
}

bool is_one_row(const Schedule& schedule, const Node& node, const Contraction& contraction,
                const Target& target) {
  const bool has_waves = target.waves_hide_latency && target.local_memory_is_fast;
  const Placement& b = schedule.placements[node.inputs[contraction.b.input]];
  return has_waves && element_count(contraction.m) == 1 && b.space != Space::weights &&
         contraction.type == ScalarType::f32 && !node.reduce.empty();
}

DType storage_on(const Target& target, DType dtype) {
  // What most tensors are, without a look at all facts.
  if (dtype == DType::f32 || dtype == DType::i32 || dtype == DType::i64) return dtype;
  const TargetFacts facts = facts_of(target);
  const bool has_narrow = facts.has_narrow_storage;
  switch (dtype) {
    case DType::bf16:
      if (facts.has_dot_bf16) return dtype;
      [[fallthrough]];
    case DType::f16:
      // Where no other wave works meanwhile, halves that are widened in an inner loop cost time.
      return target.storage_f16 && target.waves_hide_latency ? dtype : DType::f32;
    case DType::f32: return DType::f32;
    case DType::f64: return facts.has_f64 ? DType::f64 : DType::f32;
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16: return has_narrow ? dtype : DType::i32;
    case DType::i4:
    case DType::i2: return has_narrow ? DType::i8 : DType::i32;
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1:
    case DType::u4:
    case DType::u2: return has_narrow ? DType::u8 : DType::i32;
    case DType::i32:
    case DType::u32:
    case DType::i64:
    case DType::u64: return dtype;
  }
  return DType::f32;
}

Placement row_major_placement(const Tensor& tensor, const Target& target) {
  Placement placement;
  placement.space = tensor.constant ? Space::weights : Space::activations;
  placement.storage = storage_on(target, tensor.dtype);
  placement.strides = row_major_strides(tensor.shape);
  placement.element_count = element_count(tensor.shape);
  return placement;
}

void assign_layouts(Schedule& schedule, const Target& target, bool external_channels_last) {
  const Graph& graph = schedule.graph;
  const Contractions contractions = find_contractions(graph);
  const std::vector<bool> channels_last = find_channels_last(graph, contractions);
  schedule.placements.clear();
  for (const Tensor& tensor : graph.tensors) {
    schedule.placements.push_back(row_major_placement(tensor, target));
    schedule.placements.back().space = Space::none;
  }
  assign_spaces(schedule);
  put_into_words(schedule, contractions);
  for (TensorId id = 0; id < graph.tensors.size(); ++id) {
    Placement& placement = schedule.placements[id];
    const bool free = placement.space == Space::activations ||
                      (placement.space == Space::external && external_channels_last);
    if (free && channels_last[id] && !placement.is_in_words()) {
      placement.strides = channels_last_strides(graph.tensors[id].shape);
    }
  }
  turn_weights(schedule, contractions);
  Aliases(schedule).run();
  order_factors(schedule, contractions, target);
}

bool moves_nothing(const Schedule& schedule, const Node& node) {
  if (!node.reshape) return false;
  const TensorId input = node.inputs[0];
  const TensorId output = node.results[0].output;
  return schedule.placements[output].alias_of == input ||
         schedule.placements[input].alias_of == output;
}

}  // namespace leat
