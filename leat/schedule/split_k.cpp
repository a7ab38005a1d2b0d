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

}  // namespace

void split_k(Graph& graph, size_t node_index, int64_t parts) {
  Node whole = graph.nodes[node_index];
  CHECK(whole.family == Family::contraction && !whole.contraction.k.empty());
  CHECK(whole.contraction.k.back() % parts == 0 && !whole.out_extents.empty());
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
  part.output = graph.add_tensor(part.name, DType::f32, part.out_extents);

  Node sum = whole;
  sum.family = Family::map_reduce;
  sum.contraction = {};
  // Of the inputs only those that the epilogue loads stay: A and B belong to the parts.
  std::vector<uint32_t> numbers(whole.inputs.size(), 0);
  sum.inputs.clear();
  for (uint32_t i = 0; i < whole.inputs.size(); ++i) {
    if (!loads_input(whole, i)) continue;
    numbers[i] = static_cast<uint32_t>(sum.inputs.size());
    sum.inputs.push_back(whole.inputs[i]);
  }
  sum.exprs = {};
  ExprSubstitution renumbered;
  renumbered.inputs = numbers;
  sum.result = copy_expr(whole.exprs, whole.result, sum.exprs, renumbered);
  sum.map_reduce.op = ReduceOp::sum;
  sum.map_reduce.reduce = {parts};
  const uint32_t input = static_cast<uint32_t>(sum.inputs.size());
  sum.inputs.push_back(part.output);
  ExprTree& tree = sum.exprs;
  std::vector<ExprId> indices;
  for (uint32_t d = 0; d < rank; ++d) indices.push_back(tree.axis(d));
  const ExprId part_axis = tree.axis(static_cast<uint32_t>(rank));
  indices[0] = tree.apply(
      ScalarOp::add, tree.apply(ScalarOp::mul, part_axis, tree.constant_int(rows)), indices[0]);
  sum.map_reduce.element = tree.load(input, ScalarType::f32, std::move(indices));

  graph.nodes[node_index] = std::move(part);
  graph.nodes.insert(graph.nodes.begin() + static_cast<std::ptrdiff_t>(node_index) + 1,
                     std::move(sum));
}

}  // namespace leat
