// Operators whose loads stand where other tensors say. Constant indices are checked and made
// non-negative here, so that the kernel needs neither a select nor a mask; computed ones get both,
// as no input may make a kernel read outside its tensor.
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/check.h"
#include "leat/tensor/index_source.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/positions.h"

namespace leat::ops {

Result<IndexSource> index_source(Graph& graph, const Place& place, TensorId indices,
                                 const std::function<int64_t(int64_t)>& extent_at) {
  if (!is_whole_number(dtype_of(graph, indices))) {
    return place.error(fmt::format("The dtype ({}) of the indices is not a whole number.",
                                   name_of(dtype_of(graph, indices))));
  }
  const std::shared_ptr<const HostTensor> constant = graph.tensors[indices].constant;
  if (!constant) return IndexSource{.tensor = indices, .checked = false};
  HostTensor table = HostTensor::zeros(DType::i32, constant->shape);
  const int64_t count = element_count(constant->shape);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t extent = extent_at(i);
    const int64_t given = constant->integer(i);
    if (given < -extent || given >= extent) {
      return place.error(fmt::format("Index ({}) is outside the extent ({}).", given, extent));
    }
    table.set_integer(i, given < 0 ? given + extent : given);
  }
  const TensorId id = graph.add_constant(place.name + "/indices", std::move(table));
  return IndexSource{.tensor = id, .checked = true};
}

GatherIndex gather_index(NodeWriter& writer, const Graph& graph, const IndexSource& source,
                         const std::vector<Term>& at, int64_t extent) {
  if (source.checked) {
    return {writer.broadcast(source.tensor, at, shape_of(graph, source.tensor)),
            writer.truth(true)};
  }
  const Position given = position_of(writer, writer.load(source.tensor, at));
  const double count = static_cast<double>(extent);
  const Term index = select(given.low < 0, given.low + count, given.low);
  return {index, both(given.fits, both(0 <= index, index < count))};
}

Result<TensorId> gather(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                        int64_t axis_given) {
  const Place place(graph, "Gather", name);
  const Shape shape = shape_of(graph, x);
  const Shape index_shape = shape_of(graph, indices);
  TRY_ASSIGN(const size_t axis, resolve_axis(place, axis_given, shape.size()));
  TRY_ASSIGN(const IndexSource source,
             index_source(graph, place, indices, [&](int64_t) { return shape[axis]; }));
  Shape target(shape.begin(), shape.begin() + static_cast<ptrdiff_t>(axis));
  target.insert(target.end(), index_shape.begin(), index_shape.end());
  target.insert(target.end(), shape.begin() + static_cast<ptrdiff_t>(axis) + 1, shape.end());
  NodeWriter writer(graph, place);
  const std::vector<Term> axes = writer.axes(target.size());
  const auto first = axes.begin() + static_cast<ptrdiff_t>(axis);
  const auto end = first + static_cast<ptrdiff_t>(index_shape.size());
  const GatherIndex where =
      gather_index(writer, graph, source, std::vector<Term>(first, end), shape[axis]);
  std::vector<Term> index(axes.begin(), first);
  index.push_back(where.index);
  index.insert(index.end(), end, axes.end());
  return writer.map(dtype_of(graph, x), std::move(target), writer.load(x, index, where.inside));
}

Result<TensorId> gather_elements(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                                 int64_t axis_given) {
  const Place place(graph, "GatherElements", name);
  const Shape shape = shape_of(graph, x);
  const Shape target = shape_of(graph, indices);
  TRY_ASSIGN(const size_t axis, resolve_axis(place, axis_given, shape.size()));
  bool fits = target.size() == shape.size();
  for (size_t d = 0; fits && d < shape.size(); ++d) fits = d == axis || target[d] <= shape[d];
  if (!fits) {
    return place.error(fmt::format("The indices' shape {} does not fit the input's shape {}.",
                                   to_string(target), to_string(shape)));
  }
  TRY_ASSIGN(const IndexSource source,
             index_source(graph, place, indices, [&](int64_t) { return shape[axis]; }));
  NodeWriter writer(graph, place);
  std::vector<Term> index = writer.axes(shape.size());
  const GatherIndex where = gather_index(writer, graph, source, index, shape[axis]);
  index[axis] = where.index;
  return writer.map(dtype_of(graph, x), target, writer.load(x, index, where.inside));
}

namespace {

Result<void> check_gather_nd(const Place& place, const Shape& shape, const Shape& index_shape,
                             int64_t batch_dims) {
  const int64_t rank = static_cast<int64_t>(shape.size());
  const int64_t index_rank = static_cast<int64_t>(index_shape.size());
  bool fits = batch_dims >= 0 && batch_dims < std::min(rank, index_rank) && index_rank >= 1 &&
              index_shape.back() >= 1 && index_shape.back() <= rank - batch_dims;
  for (size_t d = 0; fits && d < static_cast<size_t>(batch_dims); ++d) {
    fits = shape[d] == index_shape[d];
  }
  if (fits) return {};
  return place.error(
      fmt::format("The indices' shape {} does not fit the input's shape {} with {} "
                  "batch dimensions.",
                  to_string(index_shape), to_string(shape), batch_dims));
}

}  // namespace

Result<TensorId> gather_nd(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                           int64_t batch_dims) {
  const Place place(graph, "GatherND", name);
  const Shape shape = shape_of(graph, x);
  const Shape index_shape = shape_of(graph, indices);
  TRY(check_gather_nd(place, shape, index_shape, batch_dims));
  const size_t batch = static_cast<size_t>(batch_dims);
  const size_t depth = static_cast<size_t>(index_shape.back());
  TRY_ASSIGN(const IndexSource source, index_source(graph, place, indices, [&](int64_t i) {
               return shape[batch + static_cast<size_t>(i) % depth];
             }));
  const size_t outer = index_shape.size() - 1;
  Shape target(index_shape.begin(), index_shape.end() - 1);
  target.insert(target.end(), shape.begin() + static_cast<ptrdiff_t>(batch + depth), shape.end());
  NodeWriter writer(graph, place);
  std::vector<Term> index = writer.axes(batch);
  std::vector<Term> at = writer.axes(outer);
  at.push_back(Term());
  Term inside = writer.truth(true);
  for (size_t i = 0; i < depth; ++i) {
    at.back() = writer.integer(static_cast<int64_t>(i));
    const GatherIndex where = gather_index(writer, graph, source, at, shape[batch + i]);
    index.push_back(where.index);
    inside = both(inside, where.inside);
  }
  for (size_t d = outer; d < target.size(); ++d) index.push_back(writer.axis(d));
  return writer.map(dtype_of(graph, x), std::move(target), writer.load(x, index, inside));
}

Result<TensorId> one_hot(Graph& graph, std::string_view name, TensorId indices, int64_t depth,
                         TensorId values, int64_t axis_given) {
  const Place place(graph, "OneHot", name);
  Shape shape = shape_of(graph, indices);
  if (shape_of(graph, values) != Shape{2} || depth < 1 ||
      dtype_of(graph, indices) == DType::boolean) {
    return place.error(
        fmt::format("The depth ({}), the values' shape {} or the indices' dtype "
                    "({}) is out of range.",
                    depth, to_string(shape_of(graph, values)), name_of(dtype_of(graph, indices))));
  }
  TRY_ASSIGN(const size_t axis, resolve_axis(place, axis_given, shape.size() + 1));
  NodeWriter writer(graph, place);
  std::vector<Term> at;
  for (size_t d = 0; d <= shape.size(); ++d) {
    if (d != axis) at.push_back(writer.axis(d));
  }
  const Position given = position_of(writer, writer.load(indices, at));
  const double count = static_cast<double>(depth);
  const Term index = select(given.low < 0, given.low + count, given.low);
  const Term off = writer.load(values, {writer.integer(0)});
  const Term on = writer.load(values, {writer.integer(1)});
  shape.insert(shape.begin() + static_cast<ptrdiff_t>(axis), depth);
  return writer.map(dtype_of(graph, values), std::move(shape),
                    select(both(given.fits, equal(index, writer.axis(axis))), on, off));
}

}  // namespace leat::ops
