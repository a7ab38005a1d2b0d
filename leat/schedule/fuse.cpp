// Two rules, applied until neither finds anything; who reads and writes what is kept true
// meanwhile, so that a chain of 10,000 nodes costs what its nodes cost.
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
#include <optional>
#include <utility>

namespace leat {

namespace {

/// Nodes with longer expressions are not copied into several producers or readers.
constexpr size_t kInlineExprsMax = 64;
/// No fused expression grows beyond this: it is walked by recursion, and a model may chain 100,000
/// element-wise nodes.
constexpr size_t kFusedExprsMax = 1024;

/// Who reads and writes each tensor, kept true while nodes are absorbed. A node whose output is
/// kNoTensor has been absorbed and waits for its removal. Of readers only their number and the sum
/// of their node numbers is kept: where there is one, the sum is its number, and a change costs the
/// same however many there are.
class Uses {
 public:
  explicit Uses(const Graph& graph) : tensors_(graph.tensors.size()) {
    for (TensorId output : graph.outputs) tensors_[output].is_output = true;
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      add_reads(graph.nodes[n], n);
      tensors_[graph.nodes[n].output].producers.push_back(n);
    }
  }

  bool is_output(TensorId tensor) const { return tensors_[tensor].is_output; }
  const std::vector<size_t>& producers(TensorId tensor) const { return tensors_[tensor].producers; }
  std::optional<size_t> only_reader(TensorId tensor) const {
    const Tensor& uses = tensors_[tensor];
    return uses.reader_count == 1 ? std::optional(uses.reader_sum) : std::nullopt;
  }
  bool written_before(TensorId tensor, size_t node) const {
    return std::ranges::all_of(producers(tensor), [&](size_t p) { return p < node; });
  }

  void add_reads(const Node& node, size_t n) {
    for_each_read(node, [&](Tensor& uses) { ++uses.reader_count, uses.reader_sum += n; });
  }
  void remove_reads(const Node& node, size_t n) {
    for_each_read(node, [&](Tensor& uses) { --uses.reader_count, uses.reader_sum -= n; });
  }
  void remove_producer(TensorId tensor, size_t n) { std::erase(tensors_[tensor].producers, n); }
  /// `to` is written by what wrote `from`.
  void move_producers(TensorId from, TensorId to) {
    std::vector<size_t> moved = std::exchange(tensors_[from].producers, {});
    std::vector<size_t>& target = tensors_[to].producers;
    target.insert(target.end(), moved.begin(), moved.end());
  }

 private:
  struct Tensor {
    size_t reader_count = 0;  // a node that reads it twice counts once
    size_t reader_sum = 0;
    std::vector<size_t> producers;
    bool is_output = false;
  };

  void for_each_read(const Node& node, auto change) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const auto first = std::find(node.inputs.begin(), node.inputs.end(), node.inputs[i]);
      if (first - node.inputs.begin() == static_cast<std::ptrdiff_t>(i)) {
        change(tensors_[node.inputs[i]]);
      }
    }
  }

  std::vector<Tensor> tensors_;
};

bool whole_view(const Graph& graph, const Node& node) {
  if (node.out_extents != graph.tensors[node.output].shape) return false;
  return std::all_of(node.view.step.begin(), node.view.step.end(),
                     [](int64_t step) { return step == 1; });
}

bool is_map(const Node& node) {
  return node.family == Family::map_reduce && node.map_reduce.op == ReduceOp::none;
}

/// A node that only moves elements: its result is one load, no arithmetic on values.
bool moves_only(const Node& node) {
  return is_map(node) && node.exprs.node(node.result).kind == ExprKind::load;
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

/// The output coordinates of `producer` as coordinates of the tensor that its view writes into.
std::vector<ExprId> tensor_coordinates(Node& producer) {
  std::vector<ExprId> axes;
  ExprTree& tree = producer.exprs;
  for (size_t d = 0; d < producer.out_extents.size(); ++d) {
    const ExprId step = tree.constant_int(producer.view.step[d]);
    const ExprId offset = tree.constant_int(producer.view.offset[d]);
    const ExprId axis = tree.axis(static_cast<uint32_t>(d));
    axes.push_back(tree.apply(ScalarOp::add, tree.apply(ScalarOp::mul, axis, step), offset));
  }
  return axes;
}

/// The producer stores what `consumer` makes of its result, where the consumer would store it.
void append(Node& producer, const Node& consumer, uint32_t input) {
  ExprSubstitution substitution;
  substitution.inputs = merge_inputs(producer, consumer, consumer.inputs[input]);
  substitution.axes = tensor_coordinates(producer);
  const ExprId stored = producer.result;
  substitution.load = [&](const ExprNode& load, const std::vector<ExprId>&, ExprId) {
    return load.index == input ? stored : kNoExpr;
  };
  producer.result = copy_expr(consumer.exprs, consumer.result, producer.exprs, substitution);
  for (size_t d = 0; d < producer.out_extents.size(); ++d) {
    producer.view.offset[d] =
        producer.view.offset[d] * consumer.view.step[d] + consumer.view.offset[d];
    producer.view.step[d] *= consumer.view.step[d];
  }
  producer.output = consumer.output;
  // What only moves elements, as a concatenation does, is no part of the kernel's name.
  if (!moves_only(consumer)) producer.op += "+" + consumer.op;
}

ExprId fill_of(ExprTree& tree, const ExprNode& load) {
  if (load.type == ScalarType::f32) return tree.constant(load.number);
  if (load.type == ScalarType::b1) return tree.constant_bool(load.number != 0);
  return tree.constant_int(static_cast<int64_t>(load.number));
}

/// Rewrites `reader` so that loads of `tensor` become loads of what `view` loads.
void substitute(Node& reader, const Node& view, TensorId tensor) {
  const Node old = reader;
  reader.exprs = {};
  std::erase(reader.inputs, tensor);
  std::ranges::sort(reader.inputs);
  const auto repeated = std::ranges::unique(reader.inputs);
  reader.inputs.erase(repeated.begin(), repeated.end());
  const std::vector<uint32_t> view_inputs = merge_inputs(reader, view, kNoTensor);

  ExprSubstitution outer;
  for (TensorId input : old.inputs) {
    const auto found = std::find(reader.inputs.begin(), reader.inputs.end(), input);
    outer.inputs.push_back(static_cast<uint32_t>(found - reader.inputs.begin()));
  }
  ExprTree& tree = reader.exprs;
  outer.load = [&](const ExprNode& load, const std::vector<ExprId>& indices, ExprId mask) {
    if (old.inputs[load.index] != tensor) return kNoExpr;
    ExprSubstitution inner;
    inner.axes = indices;
    inner.inputs = view_inputs;
    inner.mask = mask;
    const ExprId value = copy_expr(view.exprs, view.result, tree, inner);
    const double view_fill = view.exprs.node(view.result).number;
    if (mask == kNoExpr || view_fill == load.number) return value;
    return tree.apply(ScalarOp::select, mask, value, fill_of(tree, load));
  };
  reader.result = copy_expr(old.exprs, old.result, tree, outer);
  reader.map_reduce.element = copy_expr(old.exprs, old.map_reduce.element, tree, outer);
}

class Fusion {
 public:
  Fusion(Graph& graph, const Target& target) : graph_(graph), target_(target), uses_(graph) {}

  /// One pass over the nodes; true if it absorbed any.
  bool run() {
    bool changed = false;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!removed(n)) changed |= into_producers(n) || into_reader(n);
    }
    std::erase_if(graph_.nodes, [](const Node& node) { return node.output == kNoTensor; });
    return changed;
  }

 private:
  bool removed(size_t n) const { return graph_.nodes[n].output == kNoTensor; }

  bool into_producers(size_t n) {
    const Node& consumer = graph_.nodes[n];
    if (!is_map(consumer) || consumer.reshape) return false;
    for (uint32_t i = 0; i < consumer.inputs.size(); ++i) {
      if (!absorbable(n, i)) continue;
      absorb(n, i);
      return true;
    }
    return false;
  }

  bool absorbable(size_t n, uint32_t i) const {
    const Node& consumer = graph_.nodes[n];
    const TensorId tensor = consumer.inputs[i];
    const std::vector<size_t>& producers = uses_.producers(tensor);
    if (producers.empty() || !uses_.only_reader(tensor) || uses_.is_output(tensor)) return false;
    if (std::ranges::count(consumer.inputs, tensor) != 1) return false;
    if (graph_.tensors[tensor].shape != consumer.out_extents) return false;
    if (!reads_own_element(consumer, i)) return false;
    if (producers.size() > 1 && consumer.exprs.size() > kInlineExprsMax) return false;
    return std::ranges::all_of(producers, [&](size_t p) { return takes(p, consumer, tensor); });
  }

  bool takes(size_t p, const Node& consumer, TensorId tensor) const {
    const Node& producer = graph_.nodes[p];
    if (producer.reshape) return false;
    if (producer.exprs.size() + consumer.exprs.size() > kFusedExprsMax) return false;
    if (distinct_inputs(producer, consumer, tensor) + 1 > target_.buffer_bindings_max) return false;
    return std::ranges::all_of(consumer.inputs, [&](TensorId other) {
      return other == tensor || uses_.written_before(other, p);
    });
  }

  void absorb(size_t n, uint32_t i) {
    const Node consumer = std::exchange(graph_.nodes[n], Node{});
    const TensorId tensor = consumer.inputs[i];
    uses_.remove_reads(consumer, n);
    uses_.remove_producer(consumer.output, n);
    for (size_t p : uses_.producers(tensor)) {
      uses_.remove_reads(graph_.nodes[p], p);
      append(graph_.nodes[p], consumer, i);
      uses_.add_reads(graph_.nodes[p], p);
    }
    uses_.move_producers(tensor, consumer.output);
  }

  bool into_reader(size_t n) {
    const Node& view = graph_.nodes[n];
    const TensorId tensor = view.output;
    const std::optional<size_t> r = uses_.only_reader(tensor);
    if (!moves_only(view) || view.reshape || uses_.producers(tensor).size() != 1) return false;
    if (!r || uses_.is_output(tensor) || !whole_view(graph_, view)) return false;
    Node& reader = graph_.nodes[*r];
    if (reader.family != Family::map_reduce || reader.reshape) return false;
    if (distinct_inputs(reader, view, tensor) + 1 > target_.buffer_bindings_max) return false;
    if (reader.exprs.size() > kInlineExprsMax * 4) return false;
    uses_.remove_reads(reader, *r);
    uses_.remove_reads(view, n);
    uses_.remove_producer(tensor, n);
    substitute(reader, view, tensor);
    uses_.add_reads(reader, *r);
    graph_.nodes[n].output = kNoTensor;
    return true;
  }

  Graph& graph_;
  const Target& target_;
  Uses uses_;
};

}  // namespace

void fuse(Graph& graph, const Target& target) {
  // A pass finds nearly all; another looks at what the absorbed left behind.
  while (Fusion(graph, target).run()) {
  }
}

}  // namespace leat
