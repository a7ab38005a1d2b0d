// Between two kernels the partial results are f32 and lie in one tensor of the loop axes, the parts
// outermost: its innermost axis is the columns', as in what a convolution writes.
#include "leat/schedule/split_k.h"

#include "leat/schedule/idle_inputs.h"

namespace leat {

namespace {

TensorId add_scratch(Schedule& schedule, std::string name, Space space, DType storage,
                     Shape shape) {
  Placement placement;
  placement.space = space;
  placement.storage = storage;
  placement.strides = row_major_strides(shape);
  placement.element_count = element_count(shape);
  schedule.placements.push_back(std::move(placement));
  return schedule.graph.add_tensor(std::move(name), storage, std::move(shape));
}

/// The sum of the parts, stored as the whole would be.
Node sum_node(const Node& whole, int64_t parts, TensorId partial) {
  Node sum = whole;
  sum.reduce = {parts};
  ExprTree& tree = sum.exprs;
  const auto rank = static_cast<uint32_t>(whole.extents.size());
  std::vector<ExprId> indices = {tree.axis(rank)};
  for (uint32_t axis = 0; axis < rank; ++axis) indices.push_back(tree.axis(axis));
  const auto input = static_cast<uint32_t>(sum.inputs.size());
  sum.inputs.push_back(partial);
  sum.element = tree.load(input, ScalarType::f32, std::move(indices));
  drop_idle_inputs(sum);
  return sum;
}

}  // namespace

Node part_of_k(const Node& whole, int64_t parts) {
  CHECK(!whole.reduce.empty() && whole.reduce.back() % parts == 0);
  const auto rank = static_cast<uint32_t>(whole.extents.size());
  const auto last = rank + static_cast<uint32_t>(whole.reduce.size()) - 1;
  Node part;
  part.name = whole.name + ".part";
  part.op = whole.op;
  part.inputs = whole.inputs;
  part.extents = whole.extents;
  part.extents.insert(part.extents.begin(), parts);
  part.reduce = whole.reduce;
  part.reduce_op = whole.reduce_op;
  part.reduce.back() /= parts;
  ExprTree& tree = part.exprs;
  ExprSubstitution moved;
  for (uint32_t axis = 0; axis <= last; ++axis) moved.axes.push_back(tree.axis(axis + 1));
  const ExprId length = tree.constant_int(part.reduce.back());
  const ExprId first = tree.apply(ScalarOp::mul, tree.axis(0), length);
  moved.axes[last] = tree.apply(ScalarOp::add, first, moved.axes[last]);
  part.element = copy_expr(whole.exprs, whole.element, tree, moved);
  part.results = {{kNoTensor, tree.accumulator(ScalarType::f32), affine_axes(rank + 1)}};
  return part;
}

int64_t tile_count(const Contraction& contraction, const ContractionParams& params) {
  const auto tiles = [](int64_t count, int64_t tile) { return (count + tile - 1) / tile; };
  return element_count(contraction.batch) * tiles(element_count(contraction.m), params.tile_m()) *
         tiles(element_count(contraction.n), params.tile_n());
}

int64_t parts_element_count(const Contraction& contraction, const ContractionParams& params) {
  return tile_count(contraction, params) * params.split_k * params.tile_m() * params.tile_n();
}

std::vector<TensorId> add_parts_scratch(Schedule& schedule, const Node& whole,
                                        const ContractionParams& params) {
  const auto contraction = find_contraction(schedule.graph, whole);
  CHECK(contraction.has_value());
  return {add_scratch(schedule, whole.name + ".parts", Space::activations, DType::f32,
                      {parts_element_count(*contraction, params)}),
          add_scratch(schedule, whole.name + ".arrivals", Space::state, DType::i32,
                      {tile_count(*contraction, params)})};
}

NodePair split_k(Schedule& schedule, const Node& whole, int64_t parts) {
  Node part = part_of_k(whole, parts);
  const TensorId partial =
      add_scratch(schedule, part.name, Space::activations, DType::f32, part.extents);
  part.results[0].output = partial;
  drop_idle_inputs(part);
  return {std::move(part), sum_node(whole, parts, partial)};
}

}  // namespace leat
