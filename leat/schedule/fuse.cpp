// Two rules, applied until neither finds anything; who reads and writes what is kept true
// meanwhile, so that a chain of 10,000 nodes costs what its nodes cost.
//
// Into the producer: a map node C that reads tensor T only at its own coordinates is evaluated by
// T's producers on the value they are about to store, where C would store it. So
// batch-norm, activation, residual add and the copies of a concat vanish into the convolution
// before them.
//
// Into the reader: a map node P that only moves elements (transpose, slice, pad, broadcast) is
// substituted where its output is loaded, if one node reads it, in a product of matrices too.
#include "leat/schedule/fuse.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "leat/schedule/layout.h"
#include "leat/schedule/model_constants.h"
#include "leat/tensor/contraction.h"

namespace leat {

namespace {

/// Nodes with longer expressions are not copied into several producers or readers.
constexpr size_t kInlineExprsMax = 64;
/// No fused node grows beyond this weight: a model may chain 100,000 element-wise nodes, and what a
/// kernel takes to compile grows faster than its code. An operation that lowering writes out as a
/// sequence weighs as much as some twenty instructions.
constexpr size_t kFusedWeightMax = 256;
constexpr size_t kSequenceWeight = 16;
/// What is computed anew by every tile that reads it is no heavier than this: some subtraction, a
/// product, a conversion, the loads and their indices.
constexpr size_t kWideningWeightMax = 24;

/// Who reads and writes each tensor, kept true while nodes are absorbed. A node without
/// results has been absorbed and waits for its removal. Of readers only their number and the sum
/// of their node numbers is kept: where there is one, the sum is its number, and a change costs the
/// same however many there are.
class Uses {
 public:
  explicit Uses(const Graph& graph) : tensors_(graph.tensors.size()) {
    for (TensorId output : graph.outputs) tensors_[output].is_output = true;
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      add_reads(graph.nodes[n], n);
      for (const NodeResult& result : graph.nodes[n].results) {
        tensors_[result.output].producers.push_back(n);
      }
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

size_t weight_of(const ExprTree& tree) {
  size_t weight = tree.size();
  for (ExprId id = 0; id < tree.size(); ++id) {
    const ExprNode& expr = tree.node(id);
    if (expr.kind == ExprKind::apply && is_function(expr.op)) weight += kSequenceWeight;
  }
  return weight;
}

/// A node that makes floats of what takes fewer bytes, at its own coordinates and cheaply: a cast,
/// a dequantisation. What else it loads is the same for whole rows.
bool widens_only(const Graph& graph, const Node& node, const Target& target) {
  if (!is_map(node) || node.results.size() != 1) return false;
  const DType made = graph.tensors[node.results[0].output].dtype;
  if (!is_float(made) || weight_of(node.exprs) > kWideningWeightMax) return false;
  return std::ranges::any_of(node.inputs, [&](TensorId input) {
    const Tensor& tensor = graph.tensors[input];
    return tensor.shape == node.extents && size_bytes_of(storage_on(target, tensor.dtype)) <
                                               size_bytes_of(storage_on(target, made));
  });
}

/// True if each index of the load that the node is runs with its own axis: a slice, a pad.
bool keeps_order(const Node& view) {
  const ExprNode& load = view.exprs.node(view.results[0].value);
  const size_t rank = view.extents.size();
  if (load.indices.size() != rank) return false;
  for (size_t d = 0; d < rank; ++d) {
    const auto form = affine_of(view.exprs, load.indices[d], rank);
    if (!form || form->coefficients != affine_axis(rank, d).coefficients) return false;
  }
  return true;
}

/// True if every load of input number `input` is unmasked and at the element's own coordinates.
bool reads_own_element(const Node& node, uint32_t input) {
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind != ExprKind::load || expr.index != input) continue;
    if (expr.mask != kNoExpr || expr.indices.size() != node.extents.size()) return false;
    for (size_t d = 0; d < expr.indices.size(); ++d) {
      const ExprNode& index = node.exprs.node(expr.indices[d]);
      const bool own = index.kind == ExprKind::axis && index.index == d;
      const bool only =
          index.kind == ExprKind::constant && index.number == 0 && node.extents[d] == 1;
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

/// The producer stores what `consumer` makes of its result, where the consumer would store it.
void append(Node& producer, const Node& consumer, uint32_t input) {
  NodeResult& result = producer.results[0];
  ExprSubstitution substitution;
  substitution.inputs = merge_inputs(producer, consumer, consumer.inputs[input]);
  for (const Affine& index : result.index) {
    substitution.axes.push_back(expr_of(producer.exprs, index));
  }
  const ExprId stored = result.value;
  substitution.load = [&](const ExprNode& load, const std::vector<ExprId>&, ExprId) {
    return load.index == input ? stored : kNoExpr;
  };
  const NodeResult& read = consumer.results[0];
  const ExprId value = copy_expr(consumer.exprs, read.value, producer.exprs, substitution);
  std::vector<Affine> index;
  for (const Affine& form : read.index) index.push_back(compose(form, result.index));
  result = {read.output, value, std::move(index)};
  // What only moves elements, as a concatenation does, is no part of the kernel's name.
  if (!moves_only(consumer)) producer.op += "+" + consumer.op;
}

}  // namespace

bool moves_only(const Node& node) {
  return is_map(node) && node.results.size() == 1 &&
         node.exprs.node(node.results[0].value).kind == ExprKind::load;
}

// Each of the reader's loads of the tensor becomes all that the view is.
bool may_substitute(const Node& reader, const Node& view, TensorId tensor) {
  const auto input = std::ranges::find(reader.inputs, tensor) - reader.inputs.begin();
  const size_t loads = load_count(reader, static_cast<uint32_t>(input));
  return weight_of(reader.exprs) + loads * weight_of(view.exprs) <= kFusedWeightMax;
}

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
    const ExprId value = copy_expr(view.exprs, view.results[0].value, tree, inner);
    const ExprNode& top = view.exprs.node(view.results[0].value);
    const bool is_filled =
        top.kind == ExprKind::load && top.number == load.number && top.integer == load.integer;
    if (mask == kNoExpr || is_filled) return value;
    return tree.apply(ScalarOp::select, mask, value, tree.fill_of(load));
  };
  for (NodeResult& result : reader.results) {
    result.value = copy_expr(old.exprs, result.value, tree, outer);
  }
  reader.element = copy_expr(old.exprs, old.element, tree, outer);
}

namespace {

class Fusion {
 public:
  Fusion(Graph& graph, const Target& target) : graph_(graph), target_(target), uses_(graph) {}

  /// One pass over the nodes; true if it absorbed any.
  bool run() {
    bool changed = false;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!removed(n)) changed |= into_producers(n) || into_reader(n);
    }
    std::erase_if(graph_.nodes, [](const Node& node) { return node.results.empty(); });
    return changed;
  }

 private:
  bool removed(size_t n) const { return graph_.nodes[n].results.empty(); }

  bool into_producers(size_t n) {
    const Node& consumer = graph_.nodes[n];
    if (!is_map(consumer) || consumer.results.size() != 1 || consumer.reshape) return false;
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
    if (graph_.tensors[tensor].shape != consumer.extents) return false;
    if (!reads_own_element(consumer, i)) return false;
    if (producers.size() > 1 && consumer.exprs.size() > kInlineExprsMax) return false;
    return std::ranges::all_of(producers, [&](size_t p) { return takes(p, consumer, tensor); });
  }

  bool takes(size_t p, const Node& consumer, TensorId tensor) const {
    const Node& producer = graph_.nodes[p];
    if (producer.reshape || producer.program || producer.results.size() != 1) return false;
    if (weight_of(producer.exprs) + weight_of(consumer.exprs) > kFusedWeightMax) return false;
    if (distinct_inputs(producer, consumer, tensor) + 1 > target_.buffer_bindings_max) return false;
    return std::ranges::all_of(consumer.inputs, [&](TensorId other) {
      return other == tensor || uses_.written_before(other, p);
    });
  }

  void absorb(size_t n, uint32_t i) {
    const Node consumer = std::exchange(graph_.nodes[n], Node{});
    const TensorId tensor = consumer.inputs[i];
    uses_.remove_reads(consumer, n);
    uses_.remove_producer(consumer.results[0].output, n);
    for (size_t p : uses_.producers(tensor)) {
      uses_.remove_reads(graph_.nodes[p], p);
      append(graph_.nodes[p], consumer, i);
      uses_.add_reads(graph_.nodes[p], p);
    }
    uses_.move_producers(tensor, consumer.results[0].output);
  }

  bool into_reader(size_t n) {
    const Node& view = graph_.nodes[n];
    const bool moves = moves_only(view);
    if ((!moves && !widens_only(graph_, view, target_)) || view.reshape) return false;
    const TensorId tensor = view.results[0].output;
    const std::optional<size_t> r = uses_.only_reader(tensor);
    if (uses_.producers(tensor).size() != 1 || !r || uses_.is_output(tensor)) return false;
    if (!is_whole(graph_, view, view.results[0])) return false;
    Node& reader = graph_.nodes[*r];
    if (reader.reshape || reader.program) return false;
    if (distinct_inputs(reader, view, tensor) + 1 > target_.buffer_bindings_max) return false;
    if (!may_substitute(reader, view, tensor)) return false;
    Node fused = reader;
    substitute(fused, view, tensor);
    if (!(moves ? stays_fast(reader, fused, view, tensor) : takes_factor(reader, fused, tensor))) {
      return false;
    }
    uses_.remove_reads(reader, *r);
    uses_.remove_reads(view, n);
    uses_.remove_producer(tensor, n);
    reader = std::move(fused);
    uses_.add_reads(reader, *r);
    graph_.nodes[n].results.clear();
    return true;
  }

  /// A product of matrices must stay one, with factors as narrow as they are. A convolution's
  /// pixels must stay in their order, or its channels would not be innermost; columns that no
  /// longer lie side by side take local memory to be read fast, and rows that are worth it.
  bool stays_fast(const Node& reader, const Node& fused, const Node& view, TensorId tensor) const {
    const auto before = find_contraction(graph_, reader);
    if (!before) return true;
    if (narrows(view)) return false;
    const auto after = find_contraction(graph_, fused);
    if (!after) return false;
    if (keeps_order(view)) return true;
    if (before->k.size() > 1) return false;
    if (reader.inputs[before->b.input] != tensor) return true;
    const bool has_rows = element_count(after->m) >= kFew;
    return has_rows ? target_.local_memory_is_fast
                    : reads_along_k(*after, fused.inputs[after->b.input]);
  }

  /// Whether a row or a few, for which nothing is worth being turned, find what they are multiplied
  /// by along k.
  bool reads_along_k(const Contraction& after, TensorId from) const {
    const size_t k_axis = after.batch.size() + after.m.size() + after.n.size();
    const Affine place = address_of(row_major_strides(graph_.tensors[from].shape), after.b.index,
                                    k_axis + after.k.size());
    return place.coefficients[k_axis] == 1;
  }

  /// Whether it makes of its elements such that take fewer bytes, which products are faster with.
  bool narrows(const Node& view) const {
    const ExprNode& load = view.exprs.node(view.results[0].value);
    const auto bytes = [&](TensorId id) {
      return size_bytes_of(storage_on(target_, graph_.tensors[id].dtype));
    };
    return bytes(view.results[0].output) < bytes(view.inputs[load.index]);
  }

  /// What makes floats becomes a factor of a product of matrices, and nothing else: other readers
  /// are what it is absorbed by. Where a row's element is a broadcast, its conversion is no vector
  /// instruction, and every column tile would repeat it.
  bool takes_factor(const Node& reader, const Node& fused, TensorId tensor) const {
    const auto before = find_contraction(graph_, reader);
    if (!before || !find_contraction(graph_, fused)) return false;
    return reader.inputs[before->b.input] == tensor || !target_.uniform_loads_broadcast;
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
