// See contraction.h.
#include "leat/tensor/contraction.h"

#include <algorithm>

namespace leat {

namespace {

/// Which dimensions of a load its mask holds back: those whose index the mask compares with 0 or
/// with the extent. Nothing when it asks for anything else.
std::optional<std::vector<bool>> bounded_dims(const ExprTree& tree, const ExprNode& load,
                                              const Shape& shape) {
  std::vector<bool> bounded(shape.size(), false);
  std::vector<ExprId> rest;
  if (load.mask != kNoExpr) rest.push_back(load.mask);
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

std::optional<ContractionOperand> find_operand(const Graph& graph, const Node& node, ExprId id) {
  const ExprNode& load = node.exprs.node(id);
  if (load.kind != ExprKind::load || load.number != 0) return std::nullopt;
  const Shape& shape = graph.tensors[node.inputs[load.index]].shape;
  const auto bounded = bounded_dims(node.exprs, load, shape);
  if (!bounded) return std::nullopt;
  ContractionOperand operand = {.input = load.index, .index = {}, .bounded = *bounded};
  for (ExprId index : load.indices) {
    const auto form = affine_of(node.exprs, index, node.extents.size() + node.reduce.size());
    if (!form) return std::nullopt;
    operand.index.push_back(*form);
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
  if (!is_product || element.type != ScalarType::f32) return std::nullopt;
  const auto a = find_operand(graph, node, element.arguments[0]);
  const auto b = a ? find_operand(graph, node, element.arguments[1]) : std::nullopt;
  if (!b) return std::nullopt;
  const Axes axes = sorted_axes(node, *a, *b);
  if (axes.m.empty() || axes.n.empty()) return std::nullopt;
  Contraction found;
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

}  // namespace leat
