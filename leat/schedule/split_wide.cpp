// A reduction is first taken from what is made of its sums. Then parts are taken out.
// A part is an expression over the node's axes, without its accumulator, that reads two inputs or
// more: computed apart it is one input. Of all parts that fit into a kernel the one is taken that
// saves the most inputs, and of those the one with the smallest result. Where none saves any, as
// the others read the same tables, the one with the most loads is taken, until some does. No part
// is much larger than what the node reads and writes, as the factors of a product would be.
#include "leat/schedule/split_wide.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace leat {

namespace {

/// Elements of a part beside those of the node's largest tensor.
constexpr int64_t kGrowthMax = 32;

DType dtype_of(ScalarType type) {
  switch (type) {
    case ScalarType::f32: return DType::f32;
    case ScalarType::i32: return DType::i32;
    case ScalarType::b1: return DType::boolean;
    case ScalarType::i64: return DType::i64;
    case ScalarType::u64: return DType::u64;
    case ScalarType::f64: return DType::f64;
  }
  return DType::f32;
}

template <typename Visit>
void for_each_operand(const ExprNode& node, Visit&& visit) {
  for (const ExprId argument : node.arguments) {
    if (argument != kNoExpr) visit(argument);
  }
  for (const ExprId index : node.indices) visit(index);
  if (node.mask != kNoExpr) visit(node.mask);
}

/// What is reached from `roots` without passing `barrier`, by expression.
std::vector<bool> reached_from(const ExprTree& tree, std::vector<ExprId> roots, ExprId barrier) {
  std::vector<bool> reached(tree.size(), false);
  for (const ExprId root : roots) {
    if (root != kNoExpr) reached[root] = true;
  }
  for (size_t id = tree.size(); id > 0; --id) {
    if (!reached[id - 1] || id - 1 == barrier) continue;
    for_each_operand(tree.node(static_cast<ExprId>(id - 1)),
                     [&](ExprId operand) { reached[operand] = true; });
  }
  return reached;
}

std::vector<ExprId> roots_of(const Node& node) {
  std::vector<ExprId> roots = {node.element};
  for (const NodeResult& result : node.results) roots.push_back(result.value);
  return roots;
}

/// Tensors that the reached expressions load.
size_t count_inputs(const Node& node, const std::vector<bool>& reached) {
  std::vector<TensorId> inputs;
  for (ExprId id = 0; id < reached.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (reached[id] && expr.kind == ExprKind::load) inputs.push_back(node.inputs[expr.index]);
  }
  std::ranges::sort(inputs);
  return static_cast<size_t>(std::ranges::unique(inputs).begin() - inputs.begin());
}

/// An expression that may be computed apart.
struct Part {
  ExprId value = kNoExpr;
  std::vector<uint32_t> axes;  // that it depends on
  int64_t elements = 1;
  size_t inputs_left = 0;  // of the node without it
  size_t loads = 0;        // in it
};

int64_t extent_of(const Node& node, uint32_t axis) {
  const size_t rank = node.extents.size();
  return axis < rank ? node.extents[axis] : node.reduce[axis - rank];
}

std::optional<Part> part_at(const Node& node, ExprId value, size_t buffers_max) {
  const std::vector<bool> within = reached_from(node.exprs, {value}, kNoExpr);
  Part part = {.value = value, .axes = {}};
  for (ExprId id = 0; id < within.size(); ++id) {
    if (!within[id]) continue;
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind == ExprKind::accumulator) return std::nullopt;
    if (expr.kind == ExprKind::load) ++part.loads;
    if (expr.kind != ExprKind::axis) continue;
    part.axes.push_back(expr.index);
    part.elements *= extent_of(node, expr.index);
  }
  std::ranges::sort(part.axes);
  const size_t inputs = count_inputs(node, within);
  if (inputs < 2 || inputs + 1 > buffers_max) return std::nullopt;
  // Its own load replaces it.
  std::vector<bool> without = reached_from(node.exprs, roots_of(node), value);
  without[value] = false;
  part.inputs_left = count_inputs(node, without) + 1;
  return part;
}

int64_t largest_tensor(const Graph& graph, const Node& node) {
  int64_t largest = 0;
  for (const TensorId id : node.inputs) {
    largest = std::max(largest, element_count(graph.tensors[id].shape));
  }
  for (const NodeResult& result : node.results) {
    largest = std::max(largest, element_count(graph.tensors[result.output].shape));
  }
  return largest;
}

std::optional<Part> best_part(const Graph& graph, const Node& node, size_t buffers_max) {
  const int64_t elements_max = kGrowthMax * largest_tensor(graph, node);
  const size_t inputs = count_inputs(node, reached_from(node.exprs, roots_of(node), kNoExpr));
  const auto rank = [&](const Part& part) {
    const bool saves = part.inputs_left < inputs;
    return std::tuple(saves ? part.inputs_left : inputs,
                      saves ? 0 : -static_cast<int64_t>(part.loads), part.elements);
  };
  std::optional<Part> best;
  for (ExprId id = 0; id < node.exprs.size(); ++id) {
    std::optional<Part> part = part_at(node, id, buffers_max);
    if (!part || part->elements > elements_max) continue;
    if (!best || rank(*part) < rank(*best)) best = std::move(part);
  }
  return best;
}

/// Copies a tree, with a load of input `part_input` where the part stood.
class Rebuilder {
 public:
  Rebuilder(const Node& node, const Part& part, uint32_t part_input)
      : node_(node), part_(part), part_input_(part_input), copies_(node.exprs.size(), kNoExpr) {}

  ExprId copy(ExprId id) {
    if (id == kNoExpr || copies_[id] != kNoExpr) return id == kNoExpr ? id : copies_[id];
    return copies_[id] = make(id);
  }
  ExprTree take() { return std::move(target_); }

 private:
  ExprId make(ExprId id) {
    const ExprNode& expr = node_.exprs.node(id);
    if (id == part_.value) {
      std::vector<ExprId> axes;
      for (const uint32_t axis : part_.axes) axes.push_back(target_.axis(axis));
      return target_.load(part_input_, expr.type, std::move(axes));
    }
    switch (expr.kind) {
      case ExprKind::constant: return target_.fill_of(expr);
      case ExprKind::axis: return target_.axis(expr.index);
      case ExprKind::accumulator: return target_.accumulator(expr.type);
      case ExprKind::load: {
        std::vector<ExprId> indices;
        for (const ExprId index : expr.indices) indices.push_back(copy(index));
        return target_.load_as(expr, expr.index, std::move(indices), copy(expr.mask));
      }
      case ExprKind::apply:
        return target_.apply(expr.op, copy(expr.arguments[0]), copy(expr.arguments[1]),
                             copy(expr.arguments[2]));
    }
    return kNoExpr;
  }

  const Node& node_;
  const Part& part_;
  uint32_t part_input_;
  ExprTree target_;
  std::vector<ExprId> copies_;
};

/// Inputs that no load names go, the others move up.
void drop_unread_inputs(Node& node) {
  std::vector<bool> is_read(node.inputs.size(), false);
  const std::vector<bool> reached = reached_from(node.exprs, roots_of(node), kNoExpr);
  for (ExprId id = 0; id < reached.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (reached[id] && expr.kind == ExprKind::load) is_read[expr.index] = true;
  }
  ExprSubstitution moved;
  std::vector<TensorId> kept;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    moved.inputs.push_back(static_cast<uint32_t>(kept.size()));
    if (is_read[i]) kept.push_back(node.inputs[i]);
  }
  ExprTree exprs;
  const auto copy = [&](ExprId& id) {
    if (id != kNoExpr) id = copy_expr(node.exprs, id, exprs, moved);
  };
  copy(node.element);
  for (NodeResult& result : node.results) copy(result.value);
  node.exprs = std::move(exprs);
  node.inputs = std::move(kept);
}

/// The part as a node, which `node` reads from then on.
Node take_out(Graph& graph, Node& node, const Part& part, size_t number) {
  Node made;
  made.name = fmt::format("{}/wide{}", node.name, number);
  made.op = node.op;
  made.inputs = node.inputs;
  ExprSubstitution axes;
  axes.axes.assign(node.extents.size() + node.reduce.size(), kNoExpr);
  for (const uint32_t axis : part.axes) {
    axes.axes[axis] = made.exprs.axis(static_cast<uint32_t>(made.extents.size()));
    made.extents.push_back(extent_of(node, axis));
  }
  const ExprId value = copy_expr(node.exprs, part.value, made.exprs, axes);
  const TensorId result =
      graph.add_tensor(made.name, dtype_of(node.exprs.type(part.value)), made.extents);
  made.results.push_back({result, value, affine_axes(made.extents.size())});
  drop_unread_inputs(made);

  Rebuilder rebuilder(node, part, static_cast<uint32_t>(node.inputs.size()));
  node.element = rebuilder.copy(node.element);
  for (NodeResult& written : node.results) written.value = rebuilder.copy(written.value);
  node.exprs = rebuilder.take();
  node.inputs.push_back(result);
  drop_unread_inputs(node);
  return made;
}

/// The reduction alone, where what is made of it reads more: the node becomes a map of its sums.
std::optional<Node> take_reduction(Graph& graph, Node& node) {
  if (is_map(node)) return std::nullopt;
  std::vector<ExprId> values;
  for (const NodeResult& result : node.results) values.push_back(result.value);
  const bool reads_more = count_inputs(node, reached_from(node.exprs, values, kNoExpr)) > 0;
  if (!reads_more) return std::nullopt;
  Node sums;
  sums.name = node.name + "/sums";
  sums.op = node.op;
  sums.inputs = node.inputs;
  sums.extents = node.extents;
  sums.reduce = node.reduce;
  sums.reduce_op = node.reduce_op;
  sums.element = copy_expr(node.exprs, node.element, sums.exprs, {});
  const ScalarType type = node.exprs.type(node.element);
  const TensorId result = graph.add_tensor(sums.name, dtype_of(type), sums.extents);
  sums.results.push_back({result, sums.exprs.accumulator(type), affine_axes(sums.extents.size())});
  drop_unread_inputs(sums);

  ExprTree exprs;
  std::vector<ExprId> axes;
  for (uint32_t d = 0; d < node.extents.size(); ++d) axes.push_back(exprs.axis(d));
  ExprSubstitution load;
  load.accumulator = exprs.load(static_cast<uint32_t>(node.inputs.size()), type, std::move(axes));
  for (NodeResult& written : node.results) {
    written.value = copy_expr(node.exprs, written.value, exprs, load);
  }
  node.exprs = std::move(exprs);
  node.element = kNoExpr;
  node.reduce.clear();
  node.reduce_op = ReduceOp::none;
  node.inputs.push_back(result);
  drop_unread_inputs(node);
  return sums;
}

size_t buffers_of(const Node& node) {
  std::vector<TensorId> tensors = node.inputs;
  std::ranges::sort(tensors);
  const auto distinct = std::ranges::unique(tensors).begin() - tensors.begin();
  return static_cast<size_t>(distinct) + node.results.size();
}

}  // namespace

void split_wide_nodes(Graph& graph, const Target& target) {
  const size_t buffers_max = target.buffer_bindings_max;
  const auto is_wide = [&](const Node& node) {
    return !node.program && buffers_of(node) > buffers_max;
  };
  if (std::ranges::none_of(graph.nodes, is_wide)) return;
  std::vector<Node> nodes;
  for (Node& node : std::exchange(graph.nodes, {})) {
    std::optional<Node> sums = is_wide(node) ? take_reduction(graph, node) : std::nullopt;
    if (sums) nodes.push_back(std::move(*sums));
    nodes.push_back(std::move(node));
  }
  for (Node& node : nodes) {
    for (size_t number = 0; is_wide(node); ++number) {
      const std::optional<Part> part = best_part(graph, node, buffers_max);
      if (!part) break;
      graph.nodes.push_back(take_out(graph, node, *part, number));
    }
    graph.nodes.push_back(std::move(node));
  }
}

}  // namespace leat
