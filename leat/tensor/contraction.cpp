// See contraction.h.
#include "leat/tensor/contraction.h"

#include <algorithm>

namespace leat {

namespace {

/// Which dimensions of a load `inside` holds back: those whose index it compares with 0 or with the
/// extent. Nothing when it asks for anything else.
std::optional<std::vector<bool>> bounded_dims(const ExprTree& tree, ExprId inside,
                                              const ExprNode& load, const Shape& shape) {
  std::vector<bool> bounded(shape.size(), false);
  std::vector<ExprId> rest;
  if (inside != kNoExpr) rest.push_back(inside);
  while (!rest.empty()) {
    const ExprNode& condition = tree.node(rest.back());
    rest.pop_back();
    if (condition.kind != ExprKind::apply) return std::nullopt;
    if (condition.op == ScalarOp::logical_and) {
      rest.insert(rest.end(), {condition.arguments[0], condition.arguments[1]});
      continue;
    }
    const auto [left, right, none] = condition.arguments;
    const bool is_low = condition.op == ScalarOp::less_equal;
    if (!is_low && condition.op != ScalarOp::less) return std::nullopt;
    const auto dim = std::ranges::find(load.indices, is_low ? right : left) - load.indices.begin();
    const auto d = static_cast<size_t>(dim);
    const ExprNode& limit = tree.node(is_low ? left : right);
    if (d == shape.size() || limit.kind != ExprKind::constant) return std::nullopt;
    if (limit.number != (is_low ? 0.0 : static_cast<double>(shape[d]))) return std::nullopt;
    bounded[d] = true;
  }
  return bounded;
}

/// The loads that `id` computes with, once each; nothing where it computes with an axis. Arguments
/// stand before their users, so one pass back does, however often a part is shared.
std::optional<std::vector<ExprId>> loads_of(const ExprTree& tree, ExprId id) {
  std::vector<ExprId> loads;
  std::vector<bool> is_used(id + 1, false);
  is_used[id] = true;
  for (ExprId next = id + 1; next > 0; --next) {
    if (!is_used[next - 1]) continue;
    const ExprNode& node = tree.node(next - 1);
    switch (node.kind) {
      case ExprKind::constant: break;
      case ExprKind::axis:
      case ExprKind::accumulator: return std::nullopt;
      case ExprKind::load: loads.push_back(next - 1); break;
      case ExprKind::apply:
        for (ExprId argument : node.arguments) {
          if (argument != kNoExpr) is_used[argument] = true;
        }
        break;
    }
  }
  return loads;
}

/// Whether the load's place depends on a reduced axis.
bool moves_with_k(const Node& node, const ExprNode& load) {
  const size_t axes = node.extents.size() + node.reduce.size();
  return std::ranges::any_of(load.indices, [&](ExprId index) {
    const auto form = affine_of(node.exprs, index, axes);
    if (!form) return true;
    const auto reduced = std::span(form->coefficients).subspan(node.extents.size());
    return std::ranges::any_of(reduced, [](int64_t coefficient) { return coefficient != 0; });
  });
}

/// The load of the factor `id`, with its condition and what it is under it, as far as the
/// expression tells: select(inside, value, 0) or, of a load alone, its mask.
std::optional<ContractionOperand> split_factor(const Node& node, ExprId id) {
  const ExprTree& tree = node.exprs;
  ContractionOperand operand = {.load = id, .value = id};
  const ExprNode& top = tree.node(id);
  if (top.kind == ExprKind::load) {
    operand.inside = top.mask;
    return top.number == 0 ? std::optional(operand) : std::nullopt;
  }
  if (top.kind == ExprKind::apply && top.op == ScalarOp::select) {
    const ExprNode& outside = tree.node(top.arguments[2]);
    if (outside.kind != ExprKind::constant || outside.number != 0) return std::nullopt;
    operand.inside = top.arguments[0];
    operand.value = top.arguments[1];
  }
  const auto loads = loads_of(tree, operand.value);
  if (!loads) return std::nullopt;
  size_t moving = 0;
  for (ExprId load : *loads) {
    // What is loaded only where the factor counts may be loaded so here, or not at all.
    const ExprId mask = tree.node(load).mask;
    if (mask != kNoExpr && mask != operand.inside) return std::nullopt;
    if (!moves_with_k(node, tree.node(load))) continue;
    operand.load = load;
    ++moving;
  }
  const ScalarType type = tree.type(operand.load);
  if (moving != 1 || (type != ScalarType::f32 && type != ScalarType::i32)) return std::nullopt;
  return operand;
}

std::optional<ContractionOperand> find_operand(const Graph& graph, const Node& node, ExprId id) {
  auto operand = split_factor(node, id);
  if (!operand) return std::nullopt;
  const ExprNode& load = node.exprs.node(operand->load);
  const Tensor& tensor = graph.tensors[node.inputs[load.index]];
  const Shape& shape = tensor.shape;
  if (bits_of(tensor.dtype) < 8) return std::nullopt;
  const auto bounded = bounded_dims(node.exprs, operand->inside, load, shape);
  if (!bounded) return std::nullopt;
  operand->input = load.index;
  operand->bounded = *bounded;
  for (ExprId index : load.indices) {
    const auto form = affine_of(node.exprs, index, node.extents.size() + node.reduce.size());
    if (!form) return std::nullopt;
    operand->index.push_back(*form);
  }
  return operand;
}

bool moves_with(const ContractionOperand& operand, size_t axis) {
  return std::ranges::any_of(operand.index,
                             [&](const Affine& index) { return index.coefficients[axis] != 0; });
}

/// Numbers the axes anew.
Affine renumbered(const Affine& form, const std::vector<uint32_t>& axes) {
  Affine result = {form.constant, {}};
  result.coefficients.reserve(axes.size());
  for (uint32_t axis : axes) {
    result.coefficients.push_back(axis < form.coefficients.size() ? form.coefficients[axis] : 0);
  }
  return result;
}

/// The node's axes by what moves with them.
struct Axes {
  std::vector<uint32_t> batch, m, n, neither;
};

Axes sorted_axes(const Node& node, const ContractionOperand& a, const ContractionOperand& b) {
  Axes axes;
  for (uint32_t axis = 0; axis < node.extents.size(); ++axis) {
    const bool in_a = moves_with(a, axis);
    const bool in_b = moves_with(b, axis);
    (in_a ? in_b ? axes.batch : axes.m : in_b ? axes.n : axes.neither).push_back(axis);
  }
  // A vector has no axis of its own; where the output has one for it, it has extent 1.
  if (!axes.m.empty() || !axes.n.empty()) {
    for (const uint32_t axis : axes.neither) (axes.m.empty() ? axes.m : axes.n).push_back(axis);
  }
  return axes;
}

}  // namespace

std::optional<Contraction> find_contraction(const Graph& graph, const Node& node) {
  if (node.reduce_op != ReduceOp::sum || node.results.size() != 1) return std::nullopt;
  const ExprNode& element = node.exprs.node(node.element);
  const bool is_product = element.kind == ExprKind::apply && element.op == ScalarOp::mul;
  if (!is_product || (element.type != ScalarType::f32 && element.type != ScalarType::i32)) {
    return std::nullopt;
  }
  const auto a = find_operand(graph, node, element.arguments[0]);
  const auto b = a ? find_operand(graph, node, element.arguments[1]) : std::nullopt;
  if (!b) return std::nullopt;
  const Axes axes = sorted_axes(node, *a, *b);
  if (axes.m.empty() || axes.n.empty()) return std::nullopt;
  Contraction found;
  found.type = element.type;
  const auto take = [&](const std::vector<uint32_t>& numbers, Shape& extents) {
    for (const uint32_t axis : numbers) {
      found.axes.push_back(axis);
      extents.push_back(node.extents[axis]);
    }
  };
  take(axes.batch, found.batch);
  take(axes.m, found.m);
  take(axes.n, found.n);
  found.k = node.reduce;
  for (size_t j = 0; j < node.reduce.size(); ++j) {
    found.axes.push_back(static_cast<uint32_t>(node.extents.size() + j));
  }
  found.a = *a;
  found.b = *b;
  for (ContractionOperand* operand : {&found.a, &found.b}) {
    for (Affine& index : operand->index) index = renumbered(index, found.axes);
  }
  for (const Affine& index : node.results[0].index) {
    found.out_index.push_back(renumbered(index, found.axes));
  }
  return found;
}

std::optional<ShiftedFactor> shifted_factor(const Node& node, const ContractionOperand& operand) {
  if (node.exprs.type(operand.load) != ScalarType::i32) return std::nullopt;
  if (operand.is_plain()) return ShiftedFactor();
  const ExprNode& value = node.exprs.node(operand.value);
  const bool is_less = value.kind == ExprKind::apply && value.op == ScalarOp::sub &&
                       value.arguments[0] == operand.load;
  // All other loads stand still, or it would be no factor.
  const auto loads = is_less ? loads_of(node.exprs, value.arguments[1]) : std::nullopt;
  if (!loads || std::ranges::count(*loads, operand.load) > 0) return std::nullopt;
  return ShiftedFactor{value.arguments[1]};
}

}  // namespace leat
