// Two neighbouring axes merge if, for every load and for the store, a step of the outer one is as
// far as a full walk of the inner one.
#include "leat/lower/merge_axes.h"

namespace leat {

namespace {

/// Collects the loads under `id` with their addresses; false when the merge is impossible. What was
/// `seen` is not walked again: y = x * x, z = y * y, ... would take 2^n steps.
bool collect(const Schedule& schedule, const Node& node, ExprId id, size_t axis_count,
             std::vector<bool>& seen, std::unordered_map<ExprId, Affine>& loads) {
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
        if (!collect(schedule, node, argument, axis_count, seen, loads)) return false;
      }
      return true;
    case ExprKind::load: break;
  }
  if (expr.mask != kNoExpr) return false;
  const std::vector<int64_t>& strides = schedule.placements[node.inputs[expr.index]].strides;
  Affine address{0, std::vector<int64_t>(axis_count, 0)};
  for (size_t d = 0; d < expr.indices.size(); ++d) {
    const std::optional<Affine> index = affine_of(node.exprs, expr.indices[d], axis_count);
    if (!index) return false;
    address.constant += strides[d] * index->constant;
    for (size_t i = 0; i < axis_count; ++i) {
      address.coefficients[i] += strides[d] * index->coefficients[i];
    }
  }
  loads.emplace(id, std::move(address));
  return true;
}

}  // namespace

std::optional<MergedAxes> merge_axes(const Schedule& schedule, const Node& node,
                                     const std::vector<size_t>& order) {
  const size_t rank = node.out_extents.size();
  const size_t axis_count = rank + node.map_reduce.reduce.size();
  std::unordered_map<ExprId, Affine> loads;
  std::vector<bool> seen(node.exprs.size(), false);
  if (!collect(schedule, node, node.result, axis_count, seen, loads)) return std::nullopt;
  if (node.map_reduce.element != kNoExpr &&
      !collect(schedule, node, node.map_reduce.element, axis_count, seen, loads)) {
    return std::nullopt;
  }
  Affine output{0, std::vector<int64_t>(axis_count, 0)};
  for (size_t d = 0; d < rank; ++d) {
    const int64_t stride = schedule.placements[node.output].strides[d];
    output.constant += stride * node.view.offset[d];
    output.coefficients[d] = stride * node.view.step[d];
  }

  auto walks_on = [&](size_t outer, size_t inner) {
    auto one = [&](const Affine& address) {
      return address.coefficients[outer] == address.coefficients[inner] * node.out_extents[inner];
    };
    if (!one(output)) return false;
    for (const auto& [id, address] : loads) {
      if (!one(address)) return false;
    }
    return true;
  };
  // From the innermost axis outwards: `kept` are the innermost axes of the merged groups.
  std::vector<size_t> kept;
  Shape extents;
  size_t outermost_of_group = 0;
  for (size_t i = order.size(); i > 0; --i) {
    const size_t axis = order[i - 1];
    if (node.out_extents[axis] == 1) continue;
    if (!kept.empty()) {
      if (walks_on(axis, outermost_of_group)) {
        extents.back() *= node.out_extents[axis];
        outermost_of_group = axis;
        continue;
      }
    }
    kept.push_back(axis);
    extents.push_back(node.out_extents[axis]);
    outermost_of_group = axis;
  }
  MergedAxes merged;
  merged.extents.assign(extents.rbegin(), extents.rend());
  auto remap = [&](const Affine& address) {
    Affine result{address.constant, {}};
    for (size_t i = kept.size(); i > 0; --i) {
      result.coefficients.push_back(address.coefficients[kept[i - 1]]);
    }
    for (size_t r = rank; r < axis_count; ++r)
      result.coefficients.push_back(address.coefficients[r]);
    return result;
  };
  merged.output = remap(output);
  for (const auto& [id, address] : loads) merged.loads.emplace(id, remap(address));
  return merged;
}

}  // namespace leat
