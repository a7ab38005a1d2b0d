// Two rules, applied until neither finds anything.
//
// Into the producer: a map node C that reads tensor T only at its own coordinates is evaluated by
// T's producers on the value they are about to store; their views are composed with C's. So
// batch-norm, activation, residual add and the copies of a concat vanish into the convolution
// before them.
//
// Into the reader: a map node P that only moves elements (transpose, slice, pad, broadcast) is
// substituted where its output is loaded, if one map-reduce node reads it.
#include "leat/schedule/fuse.h"

#include <algorithm>
#include <utility>

namespace leat {

namespace {

/// Nodes with longer expressions are not copied into several producers or readers.
constexpr size_t kInlineExprsMax = 64;
/// No fused expression grows beyond this: it is walked by recursion, and a model may chain 100,000
/// element-wise nodes.
constexpr size_t kFusedExprsMax = 1024;

/// A node whose output is kNoTensor has been absorbed and waits for its removal.
struct Uses {
  std::vector<std::vector<size_t>> readers;    // by tensor: nodes, once per node
  std::vector<std::vector<size_t>> producers;  // by tensor
  std::vector<bool> is_output;
};

Uses find_uses(const Graph& graph) {
  Uses uses;
  uses.readers.resize(graph.tensors.size());
  uses.producers.resize(graph.tensors.size());
  uses.is_output.assign(graph.tensors.size(), false);
  for (TensorId output : graph.outputs) uses.is_output[output] = true;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].output == kNoTensor) continue;
    for (TensorId input : graph.nodes[n].inputs) {
      if (uses.readers[input].empty() || uses.readers[input].back() != n) {
        uses.readers[input].push_back(n);
      }
    }
    uses.producers[graph.nodes[n].output].push_back(n);
  }
  return uses;
}

/// Copies an expression with coordinates, inputs and an extra mask replaced. `mask` (kNoExpr: none)
/// is a condition of the target tree under which the copied value is wanted at all.
class ExprCopy {
 public:
  ExprCopy(const ExprTree& source, ExprTree& target, std::vector<ExprId> axes,
           std::vector<uint32_t> inputs, ExprId mask)
      : source_(source),
        target_(target),
        axes_(std::move(axes)),
        inputs_(std::move(inputs)),
        mask_(mask),
        memo_(source.size(), kNoExpr) {}

  /// Loads of source input `input` become the target's `value`.
  void replace_loads(uint32_t input, ExprId value) {
    replaced_input_ = input;
    replacement_ = value;
  }

  ExprId copy(ExprId id) {
    if (memo_[id] != kNoExpr) return memo_[id];
    const ExprNode& node = source_.node(id);
    ExprId result = kNoExpr;
    switch (node.kind) {
      case ExprKind::constant: result = copy_constant(node); break;
      case ExprKind::axis: result = axes_[node.index]; break;
      case ExprKind::accumulator: result = target_.accumulator(node.type); break;
      case ExprKind::load: result = copy_load(node); break;
      case ExprKind::apply: {
        ExprId arguments[3] = {kNoExpr, kNoExpr, kNoExpr};
        for (size_t i = 0; i < 3; ++i) {
          if (node.arguments[i] != kNoExpr) arguments[i] = copy(node.arguments[i]);
        }
        result = target_.apply(node.op, arguments[0], arguments[1], arguments[2]);
        break;
      }
    }
    return memo_[id] = result;
  }

 private:
  ExprId copy_constant(const ExprNode& node) {
    if (node.type == ScalarType::f32) return target_.constant(node.number);
    if (node.type == ScalarType::b1) return target_.constant_bool(node.number != 0);
    return target_.constant_int(static_cast<int64_t>(node.number));
  }

  ExprId copy_load(const ExprNode& node) {
    if (node.index == replaced_input_) return replacement_;
    std::vector<ExprId> indices;
    for (ExprId index : node.indices) indices.push_back(copy(index));
    ExprId mask = mask_;
    if (node.mask != kNoExpr) {
      const ExprId own = copy(node.mask);
      mask = mask == kNoExpr ? own : target_.apply(ScalarOp::logical_and, own, mask);
    }
    return target_.load(inputs_[node.index], node.type, std::move(indices), mask, node.number);
  }

  const ExprTree& source_;
  ExprTree& target_;
  std::vector<ExprId> axes_;
  std::vector<uint32_t> inputs_;
  ExprId mask_;
  std::vector<ExprId> memo_;
  uint32_t replaced_input_ = UINT32_MAX;
  ExprId replacement_ = kNoExpr;
};

bool whole_view(const Graph& graph, const Node& node) {
  if (node.out_extents != graph.tensors[node.output].shape) return false;
  return std::all_of(node.view.step.begin(), node.view.step.end(),
                     [](int64_t step) { return step == 1; });
}

bool is_map(const Node& node) {
  return node.family == Family::map_reduce && node.map_reduce.op == ReduceOp::none;
}

/// True if every load of input number `input` is unmasked and at the element's own coordinates.
bool reads_own_element(const Node& node, uint32_t input) {
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind != ExprKind::load || expr.index != input) continue;
    if (expr.mask != kNoExpr || expr.indices.size() != node.out_extents.size()) return false;
    for (size_t d = 0; d < expr.indices.size(); ++d) {
      const ExprNode& index = node.exprs.node(expr.indices[d]);
      const bool own = index.kind == ExprKind::axis && index.index == d;
      const bool only =
          index.kind == ExprKind::constant && index.number == 0 && node.out_extents[d] == 1;
      if (!own && !only) return false;
    }
  }
  return true;
}

/// Input numbers in `into` for the inputs of `from`, appending those it lacks.
std::vector<uint32_t> merge_inputs(Node& into, const Node& from, TensorId except) {
  std::vector<uint32_t> numbers;
  for (TensorId input : from.inputs) {
    if (input == except) {
      numbers.push_back(UINT32_MAX);
      continue;
    }
    const auto found = std::find(into.inputs.begin(), into.inputs.end(), input);
    numbers.push_back(static_cast<uint32_t>(found - into.inputs.begin()));
    if (found == into.inputs.end()) into.inputs.push_back(input);
  }
  return numbers;
}

size_t distinct_inputs(const Node& a, const Node& b, TensorId except) {
  std::vector<TensorId> all = a.inputs;
  all.insert(all.end(), b.inputs.begin(), b.inputs.end());
  std::erase(all, except);
  std::ranges::sort(all);
  return static_cast<size_t>(std::unique(all.begin(), all.end()) - all.begin());
}

class Fusion {
 public:
  Fusion(Graph& graph, const Target& target) : graph_(graph), target_(target) {}

  void run() {
    bool changed = true;
    while (changed) {
      changed = false;
      uses_ = find_uses(graph_);
      for (size_t n = 0; n < graph_.nodes.size(); ++n) {
        if (removed(n)) continue;
        if (into_producers(n) || into_reader(n)) changed = true;
      }
      std::erase_if(graph_.nodes, [](const Node& node) { return node.output == kNoTensor; });
    }
  }

 private:
  bool removed(size_t n) const { return graph_.nodes[n].output == kNoTensor; }

  bool computed_before(TensorId tensor, size_t node) const {
    return std::all_of(uses_.producers[tensor].begin(), uses_.producers[tensor].end(),
                       [&](size_t producer) { return producer < node; });
  }

  bool into_producers(size_t n) {
    const Node& consumer = graph_.nodes[n];
    if (!is_map(consumer) || consumer.reshape) return false;
    for (uint32_t i = 0; i < consumer.inputs.size(); ++i) {
      if (absorbable(n, i)) {
        absorb(n, i);
        return true;
      }
    }
    return false;
  }

  bool absorbable(size_t n, uint32_t i) const {
    const Node& consumer = graph_.nodes[n];
    const TensorId tensor = consumer.inputs[i];
    const std::vector<size_t>& producers = uses_.producers[tensor];
    if (producers.empty() || uses_.readers[tensor].size() != 1 || uses_.is_output[tensor]) {
      return false;
    }
    if (std::count(consumer.inputs.begin(), consumer.inputs.end(), tensor) != 1) return false;
    if (graph_.tensors[tensor].shape != consumer.out_extents) return false;
    if (!reads_own_element(consumer, i)) return false;
    if (producers.size() > 1 && consumer.exprs.size() > kInlineExprsMax) return false;
    for (size_t p : producers) {
      const Node& producer = graph_.nodes[p];
      if (removed(p) || producer.reshape) return false;
      if (producer.exprs.size() + consumer.exprs.size() > kFusedExprsMax) return false;
      if (distinct_inputs(producer, consumer, tensor) + 1 > target_.buffer_bindings_max) {
        return false;
      }
      for (TensorId other : consumer.inputs) {
        if (other != tensor && !computed_before(other, p)) return false;
      }
    }
    return true;
  }

  void absorb(size_t n, uint32_t i) {
    const Node consumer = std::exchange(graph_.nodes[n], Node{});
    const TensorId tensor = consumer.inputs[i];
    for (size_t p : uses_.producers[tensor]) {
      Node& producer = graph_.nodes[p];
      const size_t rank = producer.out_extents.size();
      const std::vector<uint32_t> inputs = merge_inputs(producer, consumer, tensor);
      std::vector<ExprId> axes;
      for (size_t d = 0; d < rank; ++d) {
        ExprTree& tree = producer.exprs;
        const ExprId step = tree.constant_int(producer.view.step[d]);
        const ExprId offset = tree.constant_int(producer.view.offset[d]);
        const ExprId axis = tree.axis(static_cast<uint32_t>(d));
        axes.push_back(tree.apply(ScalarOp::add, tree.apply(ScalarOp::mul, axis, step), offset));
      }
      ExprCopy copy(consumer.exprs, producer.exprs, std::move(axes), inputs, kNoExpr);
      copy.replace_loads(i, producer.result);
      producer.result = copy.copy(consumer.result);
      for (size_t d = 0; d < rank; ++d) {
        producer.view.offset[d] =
            producer.view.offset[d] * consumer.view.step[d] + consumer.view.offset[d];
        producer.view.step[d] *= consumer.view.step[d];
      }
      producer.output = consumer.output;
      if (consumer.op != "Concat") producer.op += "+" + consumer.op;
    }
    uses_ = find_uses(graph_);
  }

  /// A node that only moves elements: its result is one load, no arithmetic on values.
  bool moves_only(const Node& node) const {
    return is_map(node) && node.exprs.node(node.result).kind == ExprKind::load;
  }

  bool into_reader(size_t n) {
    const Node& view = graph_.nodes[n];
    const TensorId tensor = view.output;
    if (!moves_only(view) || view.reshape || uses_.producers[tensor].size() != 1) return false;
    if (uses_.readers[tensor].size() != 1 || uses_.is_output[tensor]) return false;
    if (!whole_view(graph_, view)) return false;
    const size_t r = uses_.readers[tensor][0];
    Node& reader = graph_.nodes[r];
    if (reader.family != Family::map_reduce || reader.reshape) return false;
    if (distinct_inputs(reader, view, tensor) + 1 > target_.buffer_bindings_max) return false;
    if (reader.exprs.size() > kInlineExprsMax * 4) return false;
    substitute(reader, view, tensor);
    graph_.nodes[n].output = kNoTensor;
    uses_ = find_uses(graph_);
    return true;
  }

  /// Rewrites `reader` so that loads of `tensor` become loads of what `view` loads.
  static void substitute(Node& reader, const Node& view, TensorId tensor) {
    const ExprTree old = std::move(reader.exprs);
    reader.exprs = ExprTree();
    const std::vector<TensorId> old_inputs = std::exchange(reader.inputs, {});
    for (TensorId input : old_inputs) {
      if (input != tensor) reader.inputs.push_back(input);
    }
    std::ranges::sort(reader.inputs);
    reader.inputs.erase(std::unique(reader.inputs.begin(), reader.inputs.end()),
                        reader.inputs.end());
    const std::vector<uint32_t> view_inputs = merge_inputs(reader, view, kNoTensor);
    Rewrite rewrite{old, reader.exprs, old_inputs, reader.inputs, view, view_inputs, tensor, {}};
    rewrite.memo.assign(old.size(), kNoExpr);
    reader.result = rewrite.copy(reader.result);
    if (reader.map_reduce.element != kNoExpr) {
      reader.map_reduce.element = rewrite.copy(reader.map_reduce.element);
    }
  }

  struct Rewrite {
    const ExprTree& source;
    ExprTree& target;
    const std::vector<TensorId>& old_inputs;
    const std::vector<TensorId>& new_inputs;
    const Node& view;
    const std::vector<uint32_t>& view_inputs;
    TensorId tensor;
    std::vector<ExprId> memo;

    ExprId copy(ExprId id) {
      if (memo[id] != kNoExpr) return memo[id];
      const ExprNode& node = source.node(id);
      ExprId result = kNoExpr;
      if (node.kind == ExprKind::load) {
        result = copy_load(node);
      } else if (node.kind == ExprKind::apply) {
        ExprId arguments[3] = {kNoExpr, kNoExpr, kNoExpr};
        for (size_t i = 0; i < 3; ++i) {
          if (node.arguments[i] != kNoExpr) arguments[i] = copy(node.arguments[i]);
        }
        result = target.apply(node.op, arguments[0], arguments[1], arguments[2]);
      } else if (node.kind == ExprKind::axis) {
        result = target.axis(node.index);
      } else if (node.kind == ExprKind::accumulator) {
        result = target.accumulator(node.type);
      } else if (node.type == ScalarType::f32) {
        result = target.constant(node.number);
      } else if (node.type == ScalarType::b1) {
        result = target.constant_bool(node.number != 0);
      } else {
        result = target.constant_int(static_cast<int64_t>(node.number));
      }
      return memo[id] = result;
    }

    ExprId copy_load(const ExprNode& node) {
      std::vector<ExprId> indices;
      for (ExprId index : node.indices) indices.push_back(copy(index));
      const ExprId mask = node.mask == kNoExpr ? kNoExpr : copy(node.mask);
      if (old_inputs[node.index] != tensor) {
        const auto found = std::find(new_inputs.begin(), new_inputs.end(), old_inputs[node.index]);
        return target.load(static_cast<uint32_t>(found - new_inputs.begin()), node.type,
                           std::move(indices), mask, node.number);
      }
      ExprCopy inner(view.exprs, target, std::move(indices), view_inputs, mask);
      const ExprId value = inner.copy(view.result);
      const double view_fill = view.exprs.node(view.result).number;
      if (mask == kNoExpr || view_fill == node.number) return value;
      const ExprId fill = node.type == ScalarType::f32 ? target.constant(node.number)
                          : node.type == ScalarType::b1
                              ? target.constant_bool(node.number != 0)
                              : target.constant_int(static_cast<int64_t>(node.number));
      return target.apply(ScalarOp::select, mask, value, fill);
    }
  };

  Graph& graph_;
  const Target& target_;
  Uses uses_;
};

}  // namespace

void remove_dead_nodes(Graph& graph) {
  std::vector<bool> wanted(graph.tensors.size(), false);
  for (TensorId output : graph.outputs) wanted[output] = true;
  for (size_t n = graph.nodes.size(); n > 0; --n) {
    Node& node = graph.nodes[n - 1];
    if (!wanted[node.output]) {
      node.output = kNoTensor;
      continue;
    }
    for (TensorId input : node.inputs) wanted[input] = true;
  }
  std::erase_if(graph.nodes, [](const Node& node) { return node.output == kNoTensor; });
}

void fuse(Graph& graph, const Target& target) { Fusion(graph, target).run(); }

}  // namespace leat
