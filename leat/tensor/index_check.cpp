// Two nodes of one element each. The second looks at the last index where none is outside, so that
// it needs no mask.
#include "leat/tensor/index_check.h"

#include <fmt/format.h>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/positions.h"

namespace leat::ops {

namespace {

/// i32: the row-major position of the first index that is outside, or their number.
Result<TensorId> first_outside(Graph& graph, const Place& place, TensorId indices,
                               const std::vector<int64_t>& extents) {
  const Shape shape = shape_of(graph, indices);
  NodeWriter writer(graph, place, "/check");
  const std::vector<Term> at = writer.axes(shape.size());
  const Position given = position_of(writer, writer.load(indices, at));
  Term extent = writer.integer(extents.back());
  for (size_t i = extents.size() - 1; i-- > 0;) {
    extent = select(equal(at.back(), static_cast<double>(i)), writer.integer(extents[i]), extent);
  }
  const Term inside = both(given.fits, both(-extent <= given.low, given.low < extent));
  Term position = writer.integer(0);
  for (size_t d = 0; d < shape.size(); ++d) {
    position = position * static_cast<double>(shape[d]) + at[d];
  }
  const Term element = select(inside, writer.integer(element_count(shape)), position);
  return writer.reduce(DType::i32, {}, {.op = ReduceOp::min, .extents = shape, .element = element},
                       writer.accumulator(ScalarType::i32));
}

/// i64: the index at a position, or the last one behind them.
Result<TensorId> index_at(Graph& graph, const Place& place, TensorId indices, TensorId position) {
  const Shape shape = shape_of(graph, indices);
  NodeWriter writer(graph, place, "/outside");
  Term rest = min(writer.only_element(position), static_cast<double>(element_count(shape) - 1));
  std::vector<Term> at(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    const double extent = static_cast<double>(shape[d]);
    at[d] = d == 0 ? rest : rest % extent;
    if (d > 0) rest = rest / extent;
  }
  return writer.map(DType::i64, {}, convert(writer.load(indices, at), ScalarType::i64));
}

}  // namespace

Result<void> check_indices(Graph& graph, std::string_view op, std::string_view name,
                           TensorId guarded, TensorId indices,
                           const std::vector<int64_t>& extents) {
  if (graph.tensors[indices].constant || graph.tensors[guarded].constant) return {};
  const Shape shape = shape_of(graph, indices);
  if (element_count(shape) == 0) return {};
  const Place place(graph, op, name);
  IndexCheck check = {.node = fmt::format("{} \"{}\"", place.op, place.name),
                      .guarded = guarded,
                      .shape = shape,
                      .extents = extents};
  TRY_ASSIGN(check.position, first_outside(graph, place, indices, extents));
  TRY_ASSIGN(check.index, index_at(graph, place, indices, check.position));
  graph.checks.push_back(std::move(check));
  return {};
}

}  // namespace leat::ops
