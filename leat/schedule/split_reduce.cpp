// The partial results are a matrix (part, output) whose columns lie in the order in which memory
// holds what the outputs read, so that neighbouring lanes read neighbours. Its rank of 2 keeps the
// channels-last order of activations away from it.
#include "leat/schedule/split_reduce.h"

#include <algorithm>
#include <numeric>

#include "leat/schedule/idle_inputs.h"
#include "leat/schedule/layout.h"
#include "leat/schedule/reduction_strides.h"

namespace leat {

namespace {

/// Column of an output coordinate: the sum of stride[d] * coordinate d.
std::vector<int64_t> column_strides(const Schedule& schedule, const Node& node) {
  const size_t rank = node.extents.size();
  std::vector<size_t> order(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  if (const auto read = reduced_strides(schedule, node)) {
    std::ranges::stable_sort(
        order, [&](size_t a, size_t b) { return std::abs((*read)[a]) > std::abs((*read)[b]); });
  }
  std::vector<int64_t> strides(rank);
  int64_t stride = 1;
  for (size_t i = rank; i > 0; --i) {
    strides[order[i - 1]] = stride;
    stride *= node.extents[order[i - 1]];
  }
  return strides;
}

ExprId plus(ExprTree& tree, ExprId a, ExprId b) { return tree.apply(ScalarOp::add, a, b); }

ExprId times(ExprTree& tree, ExprId a, int64_t factor) {
  return tree.apply(ScalarOp::mul, a, tree.constant_int(factor));
}

/// (flat / stride) % extent, where `flat` counts to `count`.
ExprId digit(ExprTree& tree, ExprId flat, int64_t stride, int64_t extent, int64_t count) {
  if (extent == 1) return tree.constant_int(0);
  const ExprId high = tree.apply(ScalarOp::div, flat, tree.constant_int(stride));
  if (stride * extent == count) return high;
  return tree.apply(ScalarOp::rem, high, tree.constant_int(extent));
}

/// The node that reduces the parts; its axes are (part, column) and what is left of the reduce
/// axes.
Node partial_node(const Node& whole, int64_t parts, const std::vector<int64_t>& columns) {
  const Shape& reduce = whole.reduce;
  const int64_t outputs = element_count(whole.extents);
  const std::optional<Shape> counts = parts_of_axes(reduce, parts);
  CHECK(counts.has_value() && parts < element_count(reduce));
  Node part;
  part.name = whole.name + ".part";
  part.op = whole.op;
  part.inputs = whole.inputs;
  part.extents = {parts, outputs};
  part.reduce_op = whole.reduce_op;
  ExprTree& tree = part.exprs;
  ExprSubstitution moved;
  for (size_t d = 0; d < columns.size(); ++d) {
    moved.axes.push_back(digit(tree, tree.axis(1), columns[d], whole.extents[d], outputs));
  }
  int64_t stride = parts;
  for (size_t r = 0; r < reduce.size(); ++r) {
    stride /= (*counts)[r];
    const int64_t length = reduce[r] / (*counts)[r];
    ExprId axis = times(tree, digit(tree, tree.axis(0), stride, (*counts)[r], parts), length);
    if (length > 1) {
      axis = plus(tree, axis, tree.axis(static_cast<uint32_t>(2 + part.reduce.size())));
      part.reduce.push_back(length);
    }
    moved.axes.push_back(axis);
  }
  part.element = copy_expr(whole.exprs, whole.element, tree, moved);
  part.results = {{kNoTensor, tree.accumulator(ScalarType::f32), affine_axes(2)}};
  drop_idle_inputs(part);
  return part;
}

/// The node that reduces the partial results, in the place of the whole.
Node final_node(const Node& whole, int64_t parts, const std::vector<int64_t>& columns,
                TensorId partial) {
  const size_t rank = whole.extents.size();
  Node last = whole;
  last.exprs = {};
  last.results[0].value = copy_expr(whole.exprs, whole.results[0].value, last.exprs, {});
  last.reduce = {parts};
  ExprTree& tree = last.exprs;
  ExprId column = tree.constant_int(0);
  for (uint32_t d = 0; d < rank; ++d) {
    if (whole.extents[d] > 1) column = plus(tree, column, times(tree, tree.axis(d), columns[d]));
  }
  const uint32_t input = static_cast<uint32_t>(last.inputs.size());
  last.inputs.push_back(partial);
  last.element =
      tree.load(input, ScalarType::f32, {tree.axis(static_cast<uint32_t>(rank)), column});
  drop_idle_inputs(last);
  return last;
}

}  // namespace

NodePair split_reduce(Schedule& schedule, const Node& whole, int64_t parts) {
  CHECK(is_associative(whole) && parts > 1);
  const std::vector<int64_t> columns = column_strides(schedule, whole);
  Node part = partial_node(whole, parts, columns);
  const TensorId partial = schedule.graph.add_tensor(part.name, DType::f32, part.extents);
  part.results[0].output = partial;
  Placement placement;
  placement.space = Space::activations;
  placement.strides = row_major_strides(part.extents);
  placement.element_count = element_count(part.extents);
  schedule.placements.push_back(std::move(placement));
  Node last = final_node(whole, parts, columns, partial);
  return {std::move(part), std::move(last)};
}

}  // namespace leat
