// Scatters are a program (ProgramOp::scatter) over places that a node before it has made: i32 along
// one axis, -1 for what is skipped. What can be said as where each element comes from is loops and
// expressions instead.
#include "leat/tensor/ops_scatter.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/small_floats.h"
#include "leat/tensor/index_source.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/window.h"

namespace leat::ops {
namespace {

Result<TensorId> scatter(Graph& graph, const Place& place, std::string_view suffix,
                         std::array<TensorId, 3> inputs, size_t axis, ReduceOp updates) {
  const Shape shape = shape_of(graph, inputs[0]);
  Node node;
  node.name = place.name + std::string(suffix);
  node.op = place.op;
  node.inputs.assign(inputs.begin(), inputs.end());
  node.extents = shape;
  node.extents[axis] = 1;
  const TensorId output = graph.add_tensor(node.name, dtype_of(graph, inputs[0]), shape);
  node.results.resize(1);
  node.results[0].output = output;
  node.program = Program{.op = ProgramOp::scatter, .axis = axis, .updates = updates};
  TRY(graph.add_node(std::move(node)));
  return output;
}

Result<void> check_updates(const Graph& graph, const Place& place, TensorId data, TensorId updates,
                           const Shape& wanted, ReduceOp reduction) {
  TRY(require_same_dtype(graph, place, data, updates));
  if (shape_of(graph, updates) != wanted) {
    return place.error(fmt::format("The updates' shape {} is not {}, which the indices ask for.",
                                   to_string(shape_of(graph, updates)), to_string(wanted)));
  }
  const DType dtype = dtype_of(graph, data);
  if (reduction == ReduceOp::none || is_float(dtype) ||
      (is_whole_number(dtype) && bits_of(dtype) >= 8)) {
    return {};
  }
  return place.error(fmt::format("The dtype ({}) has no reduction.", name_of(dtype)));
}

}  // namespace

Result<TensorId> scatter_elements(Graph& graph, std::string_view name, TensorId data,
                                  TensorId indices, TensorId updates, int64_t axis_given,
                                  ReduceOp reduction) {
  const Place place(graph, "ScatterElements", name);
  const Shape shape = shape_of(graph, data);
  const Shape given = shape_of(graph, indices);
  TRY_ASSIGN(const size_t axis, resolve_axis(place, axis_given, shape.size()));
  bool fits = given.size() == shape.size();
  for (size_t d = 0; fits && d < shape.size(); ++d) fits = d == axis || given[d] <= shape[d];
  if (!fits) {
    return place.error(fmt::format("The indices' shape {} does not fit the input's shape {}.",
                                   to_string(given), to_string(shape)));
  }
  TRY(check_updates(graph, place, data, updates, given, reduction));
  if (element_count(given) == 0) return identity(graph, place.name, data);
  TRY_ASSIGN(const IndexSource source,
             index_source(graph, place, indices, [&](int64_t) { return shape[axis]; }));
  TensorId places = source.tensor;
  if (!source.checked) {
    NodeWriter writer(graph, place, "/places");
    const GatherIndex at =
        gather_index(writer, graph, source, writer.axes(given.size()), shape[axis]);
    TRY_ASSIGN(places, writer.map(DType::i32, given, select(at.inside, at.index, -1)));
  }
  return scatter(graph, place, "", {data, places, updates}, axis, reduction);
}

namespace {

/// The row-major number of the slice that each tuple of indices names, -1 where one is outside:
/// i32 (tuples, 1).
Result<TensorId> slice_numbers(Graph& graph, const Place& place, TensorId indices,
                               const Shape& sliced) {
  const Shape given = shape_of(graph, indices);
  const size_t depth = sliced.size();
  TRY_ASSIGN(const IndexSource source, index_source(graph, place, indices, [&](int64_t i) {
               return sliced[static_cast<size_t>(i) % depth];
             }));
  const std::vector<int64_t> strides = row_major_strides(sliced);
  NodeWriter writer(graph, place, "/places");
  std::vector<Term> at = writer.axes(given.size() - 1);
  at.push_back(Term());
  Term number = writer.integer(0);
  Term inside = writer.truth(true);
  for (size_t i = 0; i < depth; ++i) {
    at.back() = writer.integer(static_cast<int64_t>(i));
    const GatherIndex one = gather_index(writer, graph, source, at, sliced[i]);
    number = number + one.index * static_cast<double>(strides[i]);
    inside = both(inside, one.inside);
  }
  const Shape tuples(given.begin(), given.end() - 1);
  TRY_ASSIGN(const TensorId numbers,
             writer.map(DType::i32, tuples, select(inside, number, writer.integer(-1))));
  return reshape(graph, place.name + "/column", numbers, {element_count(tuples), 1});
}

}  // namespace

Result<TensorId> scatter_nd(Graph& graph, std::string_view name, TensorId data, TensorId indices,
                            TensorId updates, ReduceOp reduction) {
  const Place place(graph, "ScatterND", name);
  const Shape shape = shape_of(graph, data);
  const Shape given = shape_of(graph, indices);
  if (given.empty() || given.back() < 1 || given.back() > static_cast<int64_t>(shape.size())) {
    return place.error(fmt::format("The indices' shape {} does not fit the input's shape {}.",
                                   to_string(given), to_string(shape)));
  }
  const ptrdiff_t depth = given.back();
  Shape wanted(given.begin(), given.end() - 1);
  wanted.insert(wanted.end(), shape.begin() + depth, shape.end());
  TRY(require_shape(place, wanted));
  TRY(check_updates(graph, place, data, updates, wanted, reduction));
  if (element_count(wanted) == 0 || element_count(shape) == 0) {
    return identity(graph, place.name, data);
  }
  const Shape sliced(shape.begin(), shape.begin() + depth);
  const int64_t slices = element_count(sliced);
  const int64_t of_slice = element_count(shape) / slices;
  TRY_ASSIGN(const TensorId places, slice_numbers(graph, place, indices, sliced));
  const int64_t tuples = shape_of(graph, places)[0];
  TRY_ASSIGN(const TensorId flat_data,
             reshape(graph, place.name + "/data", data, {slices, of_slice}));
  TRY_ASSIGN(const TensorId flat_updates,
             reshape(graph, place.name + "/updates", updates, {tuples, of_slice}));
  TRY_ASSIGN(const TensorId flat,
             scatter(graph, place, "/flat", {flat_data, places, flat_updates}, 0, reduction));
  return reshape(graph, place.name, flat, shape, true);
}

// --- Where each element comes from
// -----------------------------------------------------------------

namespace {

/// A whole number of the tensor as an i32, the nearest that there is: past either end of a
/// dimension all positions are the same.
Term near_position(NodeWriter& writer, TensorId tensor, Term at, int64_t limit) {
  const Term given = writer.load(tensor, {at});
  const double end = static_cast<double>(limit);
  return convert(max(min(given, end), -end), ScalarType::i32);
}

Result<void> check_per_batch(const Graph& graph, const Place& place, TensorId tensor,
                             int64_t batch) {
  if (is_whole_number(dtype_of(graph, tensor)) && shape_of(graph, tensor) == Shape{batch})
    return {};
  return place.error(
      fmt::format("Tensor \"{}\" ({}, {}) is no list of whole numbers of the batch's size ({}).",
                  graph.tensors[tensor].name, name_of(dtype_of(graph, tensor)),
                  to_string(shape_of(graph, tensor)), batch));
}

}  // namespace

Result<TensorId> tensor_scatter(Graph& graph, std::string_view name, TensorId past, TensorId update,
                                TensorId starts, const TensorScatterOptions& options) {
  const Place place(graph, "TensorScatter", name);
  TRY(require_same_dtype(graph, place, past, update));
  const Shape shape = shape_of(graph, past);
  const Shape given = shape_of(graph, update);
  TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, shape.size()));
  bool fits = given.size() == shape.size() && axis > 0;
  for (size_t d = 0; fits && d < shape.size(); ++d) {
    fits = d == axis ? given[d] <= shape[d] : given[d] == shape[d];
  }
  if (!fits) {
    return place.error(fmt::format("The update's shape {} does not fit the shape {} at axis ({}).",
                                   to_string(given), to_string(shape), axis));
  }
  const int64_t length = shape[axis];
  if (length > kElementsMax / 4) {
    return place.error(fmt::format("The axis' extent ({}) is too large.", length));
  }
  if (starts != kNoTensor) TRY(check_per_batch(graph, place, starts, shape[0]));
  NodeWriter writer(graph, place);
  std::vector<Term> index = writer.axes(shape.size());
  const Term before = writer.load(past, index);
  Term at = index[axis];
  if (starts != kNoTensor && options.circular) {
    const Term start = convert(writer.load(starts, {index[0]}), ScalarType::i64);
    const Term rest =
        convert(apply(ScalarOp::rem, start, static_cast<double>(length)), ScalarType::i32);
    at = at - select(rest < 0, rest + static_cast<double>(length), rest);
    at = select(at < 0, at + static_cast<double>(length), at);
  } else if (starts != kNoTensor) {
    at = at - near_position(writer, starts, index[0], 2 * length);
  }
  const Term inside = both(0 <= at, at < static_cast<double>(given[axis]));
  index[axis] = at;
  const Term value = select(inside, writer.load(update, index, inside), before);
  return writer.map(dtype_of(graph, past), shape, value);
}

Result<TensorId> reverse_sequence(Graph& graph, std::string_view name, TensorId x, TensorId lengths,
                                  const ReverseOptions& options) {
  const Place place(graph, "ReverseSequence", name);
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(const size_t batch, resolve_axis(place, options.batch_axis, shape.size()));
  TRY_ASSIGN(const size_t time, resolve_axis(place, options.time_axis, shape.size()));
  if (batch == time) return place.error(fmt::format("Both axes are ({}).", batch));
  TRY(check_per_batch(graph, place, lengths, shape[batch]));
  NodeWriter writer(graph, place);
  std::vector<Term> index = writer.axes(shape.size());
  const Term at = index[time];
  const Term length = near_position(writer, lengths, index[batch], shape[time]);
  index[time] = select(at < length, length - 1 - at, at);
  // The mask is always true; it says so of an index that is no sum of axes.
  const Term inside = both(0 <= index[time], index[time] < static_cast<double>(shape[time]));
  return writer.map(dtype_of(graph, x), shape, writer.load(x, index, inside));
}

Result<TensorId> max_unpool(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                            const Window& window, const Ints& output_shape) {
  const Place place(graph, "MaxUnpool", name);
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(const Ints spatial, spatial_extents(place, shape));
  if (shape_of(graph, indices) != shape || !is_whole_number(dtype_of(graph, indices))) {
    return place.error(fmt::format("The indices ({}, {}) are no whole numbers of the shape {}.",
                                   name_of(dtype_of(graph, indices)),
                                   to_string(shape_of(graph, indices)), to_string(shape)));
  }
  TRY_ASSIGN(const ResolvedWindow w, fill_window(place, window, {}, spatial.size()));
  Shape pooled = {shape[0], shape[1]};
  for (size_t d = 0; d < spatial.size(); ++d) {
    pooled.push_back((spatial[d] - 1) * w.strides[d] + w.kernel[d] - w.pads_begin[d] -
                     w.pads_end[d]);
  }
  TRY(require_shape(place, pooled));
  const int64_t planes = shape[0] * shape[1];
  const int64_t of_plane = planes == 0 ? 0 : element_count(pooled) / planes;
  PadOptions padding;
  if (!output_shape.empty()) {
    bool fits = output_shape.size() == pooled.size();
    for (size_t d = 0; fits && d < pooled.size(); ++d) fits = output_shape[d] >= pooled[d];
    if (!fits || !check_shape(output_shape)) {
      return place.error(fmt::format("The output's shape {} is smaller than {}, the window's.",
                                     to_string(Shape(output_shape)), to_string(pooled)));
    }
    padding.pads.assign(2 * pooled.size(), 0);
    for (size_t d = 0; d < pooled.size(); ++d) {
      padding.pads[pooled.size() + d] = output_shape[d] - pooled[d];
    }
  }
  const bool pads = std::ranges::any_of(padding.pads, [](int64_t pad) { return pad > 0; });
  const int64_t of_x = planes == 0 ? 0 : element_count(shape) / planes;
  if (planes == 0 || of_plane == 0 || of_x == 0) {
    return place.error(fmt::format("The shape {} or its output {} has no elements.",
                                   to_string(shape), to_string(pooled)));
  }
  const auto flat = [&](std::string_view suffix, TensorId tensor) {
    return reshape(graph, place.name + std::string(suffix), tensor, {planes, of_x});
  };
  TRY_ASSIGN(const TensorId flat_x, flat("/x", x));
  TRY_ASSIGN(const TensorId flat_indices, flat("/indices", indices));
  NodeWriter writer(graph, place, "/places");
  const Term given = convert(writer.load(flat_indices, writer.axes(2)), ScalarType::i64);
  const Term first = convert(writer.axis(0), ScalarType::i64) * static_cast<double>(of_plane);
  const Term at = given - first;
  const Term inside = both(0 <= at, at < static_cast<double>(of_plane));
  TRY_ASSIGN(const TensorId places, writer.map(DType::i32, {planes, of_x},
                                               select(inside, convert(at, ScalarType::i32), -1)));
  NodeWriter zeros(graph, place, "/zeros");
  TRY_ASSIGN(const TensorId empty,
             zeros.map(dtype_of(graph, x), {planes, of_plane}, zeros.number(x, 0)));
  TRY_ASSIGN(const TensorId filled,
             scatter(graph, place, "/flat", {empty, places, flat_x}, 1, ReduceOp::none));
  TRY_ASSIGN(const TensorId unpooled,
             reshape(graph, pads ? place.name + "/unpooled" : place.name, filled, pooled));
  return pads ? pad(graph, place.name, unpooled, padding) : Result<TensorId>(unpooled);
}

Result<TensorId> col2im(Graph& graph, std::string_view name, TensorId x, const Ints& image,
                        const Window& window) {
  const Place place(graph, "Col2Im", name);
  const Shape shape = shape_of(graph, x);
  const size_t rank = image.size();
  if (dtype_of(graph, x) == DType::boolean || is_small_float(dtype_of(graph, x))) {
    return place.error(fmt::format("The dtype ({}) has no sum.", name_of(dtype_of(graph, x))));
  }
  if (rank == 0 || shape.size() != 3 || window.auto_pad != AutoPad::none) {
    return place.error(
        fmt::format("The shape {} is not of three dimensions, or the image {} of none.",
                    to_string(shape), to_string(Shape(image))));
  }
  TRY(require_shape(place, image));
  // Its output are the blocks along each dimension.
  TRY_ASSIGN(const ResolvedWindow w, resolve_window(place, window, {}, image));
  const int64_t of_block = element_count(w.kernel);
  if (shape[1] % of_block != 0 || shape[2] != element_count(w.output)) {
    return place.error(fmt::format(
        "The shape {} has not whole blocks of {}, and {} of them, as the image {} asks for.",
        to_string(shape), to_string(w.kernel), to_string(w.output), to_string(Shape(image))));
  }
  Shape result = {shape[0], shape[1] / of_block};
  result.insert(result.end(), image.begin(), image.end());
  TRY(require_shape(place, result));
  NodeWriter writer(graph, place);
  Term row = writer.axis(1) * static_cast<double>(of_block);
  Term column = writer.integer(0);
  Term inside = writer.truth(true);
  const std::vector<int64_t> taps = row_major_strides(w.kernel);
  const std::vector<int64_t> blocks = row_major_strides(w.output);
  for (size_t d = 0; d < rank; ++d) {
    const Term tap = writer.axis(2 + rank + d);
    row = row + tap * static_cast<double>(taps[d]);
    const Term from = writer.axis(2 + d) + static_cast<double>(w.pads_begin[d]) -
                      tap * static_cast<double>(w.dilations[d]);
    const Term start = max(from, 0);
    const double stride = static_cast<double>(w.strides[d]);
    const Term block = start / stride;
    inside = both(inside, both(both(0 <= from, equal(start % stride, 0)),
                               block < static_cast<double>(w.output[d])));
    column = column + block * static_cast<double>(blocks[d]);
  }
  const DType dtype = dtype_of(graph, x);
  const Term element = writer.load(x, {writer.axis(0), row, column}, inside);
  return writer.reduce(dtype, result, {ReduceOp::sum, w.kernel, element},
                       wrap_to(writer.accumulator(element.type()), dtype));
}

Result<TensorId> bit_cast(Graph& graph, std::string_view name, TensorId x, DType dtype) {
  const Place place(graph, "BitCast", name);
  const DType from = dtype_of(graph, x);
  const auto bits = [](DType type) { return bits_of(type); };
  if (bits(from) != bits(dtype)) {
    return place.error(
        fmt::format("The dtypes ({} and {}) differ in width.", name_of(from), name_of(dtype)));
  }
  if (from == dtype) return identity(graph, place.name, x);
  const auto has_code = [](DType type) { return type == DType::f16 || type == DType::bf16; };
  const auto is_plain = [&](DType type) { return has_code(type) || !is_float(type); };
  if (!is_plain(from) || !is_plain(dtype)) {
    return Error(ErrorKind::unsupported, fmt::format("BitCast between {} and {} is not supported.",
                                                     name_of(from), name_of(dtype)))
        .during(fmt::format("adding BitCast \"{}\"", place.name));
  }
  NodeWriter writer(graph, place);
  const auto code_type = [&](DType type) { return writer.integer(static_cast<int64_t>(type)); };
  const Shape shape = shape_of(graph, x);
  Term value = writer.load(x, writer.axes(shape.size()));
  if (has_code(from)) value = apply(ScalarOp::code_from_float, value, code_type(from));
  if (has_code(dtype)) {
    value = apply(ScalarOp::float_from_code, wrap_to(value, DType::u16), code_type(dtype));
  } else {
    value = wrap_to(convert(value, scalar_type_of(dtype)), dtype);
  }
  return writer.map(dtype, shape, value);
}

}  // namespace leat::ops
