// The partial results are f32 and lie in one tensor whose first dimension is parts * extent, so
// that its layout is that of the output.
#include "leat/schedule/split_k.h"

#include "leat/schedule/layout.h"

namespace leat {

namespace {

/// Inserts a batch axis in front: every affine form gets a coefficient for it.
void insert_axis(Affine& affine, int64_t coefficient) {
  affine.coefficients.insert(affine.coefficients.begin(), coefficient);
}

Contraction partial_contraction(const Contraction& whole, int64_t parts, int64_t rows) {
  Contraction part = whole;
  const int64_t length = part.k.back() / parts;
  part.k.back() = length;
  part.batch.insert(part.batch.begin(), parts);
  for (ContractionOperand* operand : {&part.a, &part.b}) {
    for (Affine& index : operand->index) insert_axis(index, index.coefficients.back() * length);
  }
  for (size_t d = 0; d < part.out_index.size(); ++d) {
    insert_axis(part.out_index[d], d == 0 ? rows : 0);
  }
  return part;
}

/// The partial results, in the layout that a convolution's output has.
TensorId add_partial_tensor(Schedule& schedule, const Node& part) {
  const TensorId id = schedule.graph.add_tensor(part.name, DType::f32, part.out_extents);
  Placement placement;
  placement.space = Space::activations;
  placement.element_count = element_count(part.out_extents);
  placement.strides = is_convolution(part) && part.out_extents.size() >= 3
                          ? channels_last_strides(part.out_extents)
                          : row_major_strides(part.out_extents);
  schedule.placements.push_back(std::move(placement));
  return id;
}

Node partial_node(const Node& whole, int64_t parts) {
  const size_t rank = whole.out_extents.size();
  const int64_t rows = whole.out_extents[0];
  Node part;
  part.name = whole.name + ".part";
  part.op = whole.op;
  part.family = Family::contraction;
  part.inputs = {whole.inputs[whole.contraction.a.input], whole.inputs[whole.contraction.b.input]};
  part.contraction = partial_contraction(whole.contraction, parts, rows);
  part.contraction.a.input = 0;
  part.contraction.b.input = 1;
  part.out_extents = whole.out_extents;
  part.out_extents[0] = rows * parts;
  part.view = {std::vector<int64_t>(rank, 0), std::vector<int64_t>(rank, 1)};
  part.result = part.exprs.accumulator(ScalarType::f32);
  return part;
}

/// Of the whole's inputs only those that the epilogue loads stay: A and B belong to the parts.
Node sum_node(const Node& whole, int64_t parts, TensorId partial) {
  Node sum = whole;
  sum.family = Family::map_reduce;
  sum.contraction = {};
  ExprSubstitution renumbered;
  renumbered.inputs.assign(whole.inputs.size(), 0);
  sum.inputs.clear();
  for (uint32_t i = 0; i < whole.inputs.size(); ++i) {
    if (!loads_input(whole, i)) continue;
    renumbered.inputs[i] = static_cast<uint32_t>(sum.inputs.size());
    sum.inputs.push_back(whole.inputs[i]);
  }
  sum.exprs = {};
  sum.result = copy_expr(whole.exprs, whole.result, sum.exprs, renumbered);
  sum.map_reduce.op = ReduceOp::sum;
  sum.map_reduce.reduce = {parts};
  ExprTree& tree = sum.exprs;
  const uint32_t rank = static_cast<uint32_t>(whole.out_extents.size());
  std::vector<ExprId> indices;
  for (uint32_t d = 0; d < rank; ++d) indices.push_back(tree.axis(d));
  const ExprId rows = tree.constant_int(whole.out_extents[0]);
  const ExprId first_row = tree.apply(ScalarOp::mul, tree.axis(rank), rows);
  indices[0] = tree.apply(ScalarOp::add, first_row, indices[0]);
  sum.map_reduce.element =
      tree.load(static_cast<uint32_t>(sum.inputs.size()), ScalarType::f32, std::move(indices));
  sum.inputs.push_back(partial);
  return sum;
}

}  // namespace

NodePair split_k(Schedule& schedule, const Node& whole, int64_t parts) {
  CHECK(whole.family == Family::contraction && !whole.contraction.k.empty());
  CHECK(whole.contraction.k.back() % parts == 0 && !whole.out_extents.empty());
  Node part = partial_node(whole, parts);
  part.output = add_partial_tensor(schedule, part);
  Node sum = sum_node(whole, parts, part.output);
  return {std::move(part), std::move(sum)};
}

}  // namespace leat
