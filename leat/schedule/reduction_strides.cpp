// See reduction_strides.h. Strides are found by evaluating the expressions that make an address, at
// the origin and one step along each axis.
#include "leat/schedule/reduction_strides.h"

#include <algorithm>
#include <cstdlib>

#include "leat/tensor/scalar_math.h"

namespace leat {

namespace {

/// All expressions with these values of the axes; nothing for what loads. Arguments stand before
/// their users.
std::vector<std::optional<ScalarValue>> values_at(const ExprTree& tree,
                                                  const std::vector<int64_t>& axes) {
  std::vector<std::optional<ScalarValue>> values(tree.size());
  for (ExprId id = 0; id < tree.size(); ++id) {
    const ExprNode& expr = tree.node(id);
    if (expr.kind == ExprKind::constant) {
      values[id] = ScalarValue{expr.number, expr.integer};
    } else if (expr.kind == ExprKind::axis) {
      values[id] = ScalarValue{0, axes[expr.index]};
    } else if (expr.kind == ExprKind::apply) {
      std::array<ScalarValue, 3> arguments;
      bool known = true;
      for (size_t i = 0; i < 3; ++i) {
        if (expr.arguments[i] == kNoExpr) continue;
        known = known && values[expr.arguments[i]].has_value();
        if (known) arguments[i] = *values[expr.arguments[i]];
      }
      const size_t typed = expr.op == ScalarOp::select ? 1 : 0;
      if (known) values[id] = apply_scalar(expr.op, tree.type(expr.arguments[typed]), arguments);
    }
  }
  return values;
}

/// Where in its tensor each load reads with these values of the axes.
std::vector<std::optional<int64_t>> addresses_at(const Schedule& schedule, const Node& node,
                                                 const std::vector<int64_t>& axes) {
  const std::vector<std::optional<ScalarValue>> values = values_at(node.exprs, axes);
  std::vector<std::optional<int64_t>> addresses(values.size());
  for (ExprId id = 0; id < values.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind != ExprKind::load) continue;
    const std::vector<int64_t>& strides = schedule.placements[node.inputs[expr.index]].strides;
    addresses[id] = 0;
    for (size_t d = 0; d < expr.indices.size() && addresses[id]; ++d) {
      const std::optional<ScalarValue>& index = values[expr.indices[d]];
      addresses[id] =
          index ? std::optional(*addresses[id] + strides[d] * index->integer) : std::nullopt;
    }
  }
  return addresses;
}

}  // namespace

bool is_reduction(const Node& node) { return !node.reduce.empty(); }

bool is_associative(const Node& node) {
  return is_reduction(node) && node.reduce_op != ReduceOp::product &&
         node.exprs.type(node.element) == ScalarType::f32;
}

size_t lane_axis_of(const Shape& reduce) {
  size_t axis = reduce.size() - 1;
  while (axis > 0 && reduce[axis] == 1) --axis;
  return axis;
}

std::optional<Shape> parts_of_axes(const Shape& reduce, int64_t parts) {
  Shape counts;
  for (int64_t extent : reduce) {
    const int64_t count = parts % extent == 0 ? extent : parts;
    if (extent % count != 0) return std::nullopt;
    counts.push_back(count);
    parts /= count;
  }
  return parts == 1 ? std::optional(counts) : std::nullopt;
}

namespace {

/// The strides of each load that moves along a reduce axis, of those whose address is known.
std::vector<std::vector<int64_t>> strides_of_loads(const Schedule& schedule, const Node& node) {
  const size_t rank = node.extents.size();
  const size_t axis_count = rank + node.reduce.size();
  const auto origin = addresses_at(schedule, node, std::vector<int64_t>(axis_count, 0));
  std::vector<std::vector<std::optional<int64_t>>> steps;
  for (size_t axis = 0; axis < axis_count; ++axis) {
    const bool is_output = axis < rank;
    const int64_t extent = is_output ? node.extents[axis] : node.reduce[axis - rank];
    std::vector<int64_t> axes(axis_count, 0);
    axes[axis] = extent > 1 ? 1 : 0;
    steps.push_back(addresses_at(schedule, node, axes));
  }
  std::vector<std::vector<int64_t>> found;
  for (ExprId id = 0; id < origin.size(); ++id) {
    if (!origin[id]) continue;
    std::vector<int64_t> strides;
    for (const auto& step : steps) strides.push_back(*step[id] - *origin[id]);
    const auto reduced = strides.begin() + static_cast<std::ptrdiff_t>(rank);
    if (std::any_of(reduced, strides.end(), [](int64_t stride) { return stride != 0; })) {
      found.push_back(std::move(strides));
    }
  }
  return found;
}

}  // namespace

std::optional<std::vector<int64_t>> reduced_strides(const Schedule& schedule, const Node& node) {
  std::vector<std::vector<int64_t>> found = strides_of_loads(schedule, node);
  if (found.empty()) return std::nullopt;
  return std::move(found[0]);
}

std::optional<std::vector<int64_t>> widest_strides(const Schedule& schedule, const Node& node) {
  const std::vector<std::vector<int64_t>> found = strides_of_loads(schedule, node);
  if (found.empty()) return std::nullopt;
  std::vector<int64_t> widest(found[0].size(), 0);
  for (const std::vector<int64_t>& strides : found) {
    for (size_t axis = 0; axis < strides.size(); ++axis) {
      widest[axis] = std::max(widest[axis], std::abs(strides[axis]));
    }
  }
  return widest;
}

}  // namespace leat
