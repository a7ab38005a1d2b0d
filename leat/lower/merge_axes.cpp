// Two neighbouring axes merge if, for every load and for the store, a step of the outer one is as
// far as a full walk of the inner one.
#include "leat/lower/merge_axes.h"

#include <algorithm>

namespace leat {

namespace {

/// Collects the loads under `id` with their addresses; false when the merge is impossible. What was
/// `seen` is not walked again: y = x * x, z = y * y, ... would take 2^n steps.
bool collect(const Node& node, const NodeNumbers& numbers, ExprId id, size_t axis_count,
             std::vector<bool>& seen, std::unordered_map<ExprId, NumberForm>& loads) {
  if (seen[id]) return true;
  seen[id] = true;
  const ExprNode& expr = node.exprs.node(id);
  switch (expr.kind) {
    case ExprKind::constant:
    case ExprKind::accumulator: return true;
    case ExprKind::axis: return false;
    case ExprKind::apply:
      for (ExprId argument : expr.arguments) {
        if (argument == kNoExpr) continue;
        if (!collect(node, numbers, argument, axis_count, seen, loads)) return false;
      }
      return true;
    case ExprKind::load: break;
  }
  if (expr.mask != kNoExpr) return false;
  std::vector<NumberForm> index;
  const auto constant_of = [&](ExprId constant) { return numbers.constants[constant]; };
  for (ExprId part : expr.indices) {
    const auto form = form_of<Number>(node.exprs, part, axis_count, constant_of);
    if (!form) return false;
    index.push_back(*form);
  }
  NumberForm address = address_of(numbers.inputs[expr.index].strides, index, axis_count);
  loads.emplace(id, std::move(address));
  return true;
}

}  // namespace

std::optional<MergedAxes> merge_axes(const Node& node, const NodeNumbers& numbers,
                                     const std::vector<size_t>& order) {
  const size_t rank = node.extents.size();
  const size_t axis_count = rank + node.reduce.size();
  std::unordered_map<ExprId, NumberForm> loads;
  std::vector<bool> seen(node.exprs.size(), false);
  for (const NodeResult& result : node.results) {
    if (!collect(node, numbers, result.value, axis_count, seen, loads)) return std::nullopt;
  }
  if (node.element != kNoExpr && !collect(node, numbers, node.element, axis_count, seen, loads)) {
    return std::nullopt;
  }
  std::vector<NumberForm> outputs;
  for (size_t r = 0; r < node.results.size(); ++r) {
    outputs.push_back(address_of(numbers.outputs[r].strides, numbers.result_index[r], axis_count));
  }

  auto walks_on = [&](size_t outer, size_t inner) {
    auto one = [&](const NumberForm& address) {
      return address.coefficients[outer] == address.coefficients[inner] * numbers.extents[inner];
    };
    if (!std::ranges::all_of(outputs, one)) return false;
    for (const auto& [id, address] : loads) {
      if (!one(address)) return false;
    }
    return true;
  };
  // From the innermost axis outwards: `kept` are the innermost axes of the merged groups.
  std::vector<size_t> kept;
  Numbers extents;
  size_t outermost_of_group = 0;
  for (size_t i = order.size(); i > 0; --i) {
    const size_t axis = order[i - 1];
    if (numbers.extents[axis] == 1) continue;
    if (!kept.empty()) {
      if (walks_on(axis, outermost_of_group)) {
        extents.back() *= numbers.extents[axis];
        outermost_of_group = axis;
        continue;
      }
    }
    kept.push_back(axis);
    extents.push_back(numbers.extents[axis]);
    outermost_of_group = axis;
  }
  MergedAxes merged;
  merged.extents.assign(extents.rbegin(), extents.rend());
  auto remap = [&](const NumberForm& address) {
    NumberForm result{address.constant, {}};
    for (size_t i = kept.size(); i > 0; --i) {
      result.coefficients.push_back(address.coefficients[kept[i - 1]]);
    }
    for (size_t r = rank; r < axis_count; ++r)
      result.coefficients.push_back(address.coefficients[r]);
    return result;
  };
  for (const NumberForm& output : outputs) merged.outputs.push_back(remap(output));
  for (const auto& [id, address] : loads) merged.loads.emplace(id, remap(address));
  return merged;
}

}  // namespace leat
