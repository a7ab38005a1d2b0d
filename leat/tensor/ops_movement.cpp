// Operators that only move elements: each is a map node whose result is one load. Indices stay
// affine wherever the operator is (transpose, slice, split, expand, concat), so that the schedule
// can see through them; division and remainder appear in reshape and tile alone.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

/// One load of x at `index`.
Result<TensorId> write_move(Graph& graph, NodeWriter& writer, TensorId x, Shape shape,
                            const std::vector<Term>& index) {
  return writer.map(dtype_of(graph, x), std::move(shape), writer.load(x, index));
}

// --- Reshape
// --------------------------------------------------------------------------------------

/// Dimensions [in_first, in_end) of the input hold the same elements as [out_first, out_end) of the
/// output, in the same order.
struct DimensionGroup {
  size_t in_first, in_end, out_first, out_end;
};

/// Splits both shapes (of equal, positive element count) into the smallest groups.
std::vector<DimensionGroup> group_dimensions(const Shape& in, const Shape& out) {
  std::vector<DimensionGroup> groups;
  size_t i = 0, o = 0;
  while (i < in.size() || o < out.size()) {
    DimensionGroup group = {i, i, o, o};
    int64_t in_count = 1, out_count = 1;
    do {
      if (o == out.size() || (i < in.size() && in_count <= out_count)) {
        in_count *= in[i++];
      } else {
        out_count *= out[o++];
      }
    } while (in_count != out_count);
    group.in_end = i;
    group.out_end = o;
    groups.push_back(group);
  }
  return groups;
}

/// The input's index for one group, from the output's axes.
void add_group_index(NodeWriter& writer, const Shape& in, const Shape& out,
                     const DimensionGroup& group, std::vector<Term>& index) {
  Term flat = writer.integer(0);
  for (size_t d = group.out_first; d < group.out_end; ++d) {
    if (out[d] == 1) continue;
    flat = flat * static_cast<double>(out[d]) + writer.axis(d);
  }
  int64_t stride = 1;
  for (size_t d = group.in_first; d < group.in_end; ++d) stride *= in[d];
  bool leading = true;
  for (size_t d = group.in_first; d < group.in_end; ++d) {
    stride /= in[d];
    if (in[d] == 1) {
      index.push_back(writer.integer(0));
      continue;
    }
    const Term quotient = flat / static_cast<double>(stride);
    index.push_back(leading ? quotient : quotient % static_cast<double>(in[d]));
    leading = false;
  }
}

Result<TensorId> write_reshape(Graph& graph, const Place& place, TensorId x, Shape target) {
  const Shape shape = shape_of(graph, x);
  TRY(require_shape(place, target));
  if (element_count(shape) != element_count(target)) {
    return place.error(fmt::format("The shapes {} and {} hold different numbers of elements.",
                                   to_string(shape), to_string(target)));
  }
  NodeWriter writer(graph, place);
  writer.node().reshape = true;
  std::vector<Term> index;
  if (element_count(shape) == 0) {
    index.assign(shape.size(), writer.integer(0));
  } else {
    for (const DimensionGroup& group : group_dimensions(shape, target)) {
      add_group_index(writer, shape, target, group, index);
    }
  }
  return write_move(graph, writer, x, std::move(target), index);
}

/// Fills in 0 (the input's extent) and one -1.
Result<Shape> resolve_target(const Place& place, const Shape& shape, const Ints& target,
                             bool allow_zero) {
  Shape resolved = target;
  int64_t known = 1;
  size_t inferred = target.size();
  for (size_t d = 0; d < target.size(); ++d) {
    if (target[d] == 0 && !allow_zero && d < shape.size()) resolved[d] = shape[d];
    const bool infer = target[d] == -1 && inferred == target.size();
    if (infer) inferred = d;
    if (infer) resolved[d] = 1;
    TRY(require_shape(place, {known, resolved[d]}));
    known *= resolved[d];
  }
  if (inferred == target.size()) return resolved;
  const int64_t count = element_count(shape);
  if (known == 0 || count % known != 0) {
    return place.error(fmt::format("The target shape {} does not divide the elements of {}.",
                                   list_text(target), to_string(shape)));
  }
  resolved[inferred] = count / known;
  return resolved;
}

}  // namespace

Result<TensorId> reshape(Graph& graph, std::string_view name, TensorId x, const Ints& target,
                         bool allow_zero) {
  const Place place(graph, "Reshape", name);
  TRY_ASSIGN(Shape shape, resolve_target(place, shape_of(graph, x), target, allow_zero));
  return write_reshape(graph, place, x, std::move(shape));
}

Result<TensorId> flatten(Graph& graph, std::string_view name, TensorId x, int64_t axis) {
  const Place place(graph, "Flatten", name);
  const Shape& shape = shape_of(graph, x);
  const int64_t rank = static_cast<int64_t>(shape.size());
  if (axis < -rank || axis > rank) {
    return place.error(fmt::format("Axis ({}) is outside the rank ({}).", axis, rank));
  }
  const auto middle = shape.begin() + static_cast<ptrdiff_t>(axis < 0 ? axis + rank : axis);
  return write_reshape(
      graph, place, x,
      {element_count(Shape(shape.begin(), middle)), element_count(Shape(middle, shape.end()))});
}

Result<TensorId> squeeze(Graph& graph, std::string_view name, TensorId x, const Ints& axes) {
  const Place place(graph, "Squeeze", name);
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(const std::vector<size_t> resolved, resolve_axes(place, axes, shape.size()));
  Shape target;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool named = std::ranges::binary_search(resolved, d);
    if (named && shape[d] != 1) {
      return place.error(fmt::format("Dimension {} of shape {} is not 1.", d, to_string(shape)));
    }
    if (!named && (!axes.empty() || shape[d] != 1)) target.push_back(shape[d]);
  }
  return write_reshape(graph, place, x, std::move(target));
}

Result<TensorId> unsqueeze(Graph& graph, std::string_view name, TensorId x, const Ints& axes) {
  const Place place(graph, "Unsqueeze", name);
  Shape target = shape_of(graph, x);
  TRY_ASSIGN(const std::vector<size_t> resolved,
             resolve_axes(place, axes, target.size() + axes.size()));
  for (size_t d : resolved) target.insert(target.begin() + static_cast<ptrdiff_t>(d), 1);
  return write_reshape(graph, place, x, std::move(target));
}

// --- Affine moves
// ---------------------------------------------------------------------------------

Result<TensorId> transpose(Graph& graph, std::string_view name, TensorId x,
                           const Ints& permutation) {
  const Place place(graph, "Transpose", name);
  const Shape shape = shape_of(graph, x);
  Ints order = permutation;
  for (size_t d = shape.size(); permutation.empty() && d > 0; --d) {
    order.push_back(static_cast<int64_t>(d) - 1);
  }
  TRY_ASSIGN(const std::vector<size_t> sorted, resolve_axes(place, order, shape.size()));
  if (sorted.size() != shape.size()) {
    return place.error(fmt::format("The permutation {} does not have the rank ({}) of the input.",
                                   list_text(order), shape.size()));
  }
  NodeWriter writer(graph, place);
  std::vector<Term> index(shape.size());
  Shape target;
  for (size_t d = 0; d < order.size(); ++d) {
    TRY_ASSIGN(const size_t source, resolve_axis(place, order[d], shape.size()));
    index[source] = writer.axis(d);
    target.push_back(shape[source]);
  }
  return write_move(graph, writer, x, std::move(target), index);
}

namespace {

/// What one axis of a slice keeps: elements first, first + step, ...
struct Range {
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
};

/// The rules of ONNX' Slice for start:end:step on `extent` elements. They differ from Python's
/// where steps go backwards and the start lies before the first element: it counts as the first.
Range resolve_range(int64_t start, int64_t end, int64_t step, int64_t extent) {
  if (extent == 0) return {};
  step = std::clamp(step, -kElementsMax, kElementsMax);
  const auto place = [&](int64_t at, int64_t low, int64_t high) {
    return std::clamp(at < 0 ? at + extent : at, low, high);
  };
  const int64_t last = place(end, step > 0 ? 0 : -1, step > 0 ? extent : extent - 1);
  Range range = {.first = place(start, 0, step > 0 ? extent : extent - 1), .step = step};
  const int64_t length = step > 0 ? last - range.first : range.first - last;
  const int64_t stride = step > 0 ? step : -step;
  if (length > 0) range.count = (length + stride - 1) / stride;
  return range;
}

Result<void> check_slice(const Place& place, const SliceOptions& options, size_t rank) {
  const size_t count = options.starts.size();
  if (options.ends.size() != count || (!options.axes.empty() && options.axes.size() != count) ||
      (!options.steps.empty() && options.steps.size() != count) || count > rank) {
    return place.error(
        fmt::format("The numbers of starts ({}), ends ({}), axes ({}) and steps "
                    "({}) do not fit the rank ({}).",
                    count, options.ends.size(), options.axes.size(), options.steps.size(), rank));
  }
  if (std::ranges::find(options.steps, 0) != options.steps.end()) {
    return place.error(fmt::format("The steps {} contain 0.", list_text(options.steps)));
  }
  return {};
}

}  // namespace

Result<TensorId> slice(Graph& graph, std::string_view name, TensorId x,
                       const SliceOptions& options) {
  const Place place(graph, "Slice", name);
  Shape shape = shape_of(graph, x);
  TRY(check_slice(place, options, shape.size()));
  TRY_ASSIGN(const std::vector<size_t> unique, resolve_axes(place, options.axes, shape.size()));
  NodeWriter writer(graph, place);
  std::vector<Term> index = writer.axes(shape.size());
  for (size_t i = 0; i < options.starts.size(); ++i) {
    const int64_t named = options.axes.empty() ? static_cast<int64_t>(i) : options.axes[i];
    TRY_ASSIGN(const size_t axis, resolve_axis(place, named, shape.size()));
    const int64_t step = options.steps.empty() ? 1 : options.steps[i];
    const Range range = resolve_range(options.starts[i], options.ends[i], step, shape[axis]);
    const Term first = writer.integer(range.first);
    index[axis] = range.count <= 1 ? first : first + index[axis] * static_cast<double>(range.step);
    shape[axis] = range.count;
  }
  return write_move(graph, writer, x, std::move(shape), index);
}

// --- Concat and split
// -----------------------------------------------------------------------------

namespace {

/// Whole tensors put one after the other along `axis`, on the host.
HostTensor concat_constants(const Graph& graph, std::span<const TensorId> inputs, size_t axis,
                            DType dtype, Shape shape) {
  HostTensor result = HostTensor::zeros(dtype, std::move(shape));
  const int64_t element_bytes = size_bytes_of(dtype);
  const auto row_bytes = [&](const Shape& part) {
    const auto first = part.begin() + static_cast<ptrdiff_t>(axis);
    return static_cast<size_t>(element_count(Shape(first, part.end())) * element_bytes);
  };
  const size_t stride = row_bytes(result.shape);
  size_t offset = 0;
  for (TensorId input : inputs) {
    const HostTensor& part = *graph.tensors[input].constant;
    const size_t size = row_bytes(part.shape);
    for (size_t row = 0; size > 0 && row < part.bytes.size() / size; ++row) {
      std::memcpy(result.bytes.data() + row * stride + offset, part.bytes.data() + row * size,
                  size);
    }
    offset += size;
  }
  return result;
}

Result<Shape> concat_shape(const Graph& graph, const Place& place, std::span<const TensorId> inputs,
                           size_t axis) {
  Shape shape = shape_of(graph, inputs[0]);
  shape[axis] = 0;
  for (TensorId input : inputs) {
    TRY(require_same_dtype(graph, place, inputs[0], input));
    Shape part = shape_of(graph, input);
    const int64_t extent = axis < part.size() ? std::exchange(part[axis], shape[axis]) : 0;
    if (part != shape) {
      return place.error(fmt::format("The shapes {} and {} differ beside axis {}.",
                                     to_string(shape_of(graph, inputs[0])),
                                     to_string(shape_of(graph, input)), axis));
    }
    shape[axis] += extent;
    TRY(require_shape(place, shape));
  }
  return shape;
}

}  // namespace

Result<TensorId> concat(Graph& graph, std::string_view name, std::span<const TensorId> inputs,
                        int64_t axis_given) {
  const Place place(graph, "Concat", name);
  if (inputs.empty()) return place.error("The number of inputs (0) is not positive.");
  TRY_ASSIGN(const size_t axis, resolve_axis(place, axis_given, shape_of(graph, inputs[0]).size()));
  TRY_ASSIGN(const Shape shape, concat_shape(graph, place, inputs, axis));
  const DType dtype = dtype_of(graph, inputs[0]);
  const auto is_constant = [&](TensorId input) { return graph.tensors[input].constant != nullptr; };
  if (std::ranges::all_of(inputs, is_constant)) {
    return graph.add_constant(place.name, concat_constants(graph, inputs, axis, dtype, shape));
  }
  const TensorId output = graph.add_tensor(place.name, dtype, shape);
  int64_t offset = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    NodeWriter writer(graph, place, inputs.size() > 1 ? fmt::format("/{}", i) : "");
    const Shape part = shape_of(graph, inputs[i]);
    Loops loops = {part, writer.axes(part.size())};
    const Term value = writer.load(inputs[i], loops.index);
    loops.index[axis] = loops.index[axis] + static_cast<double>(offset);
    TRY(writer.map_into(output, loops, value));
    offset += part[axis];
  }
  return output;
}

Result<std::vector<TensorId>> split(Graph& graph, std::string_view name, TensorId x,
                                    const Ints& sizes, int64_t axis_given) {
  const Place place(graph, "Split", name);
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(const size_t axis, resolve_axis(place, axis_given, shape.size()));
  int64_t rest = shape[axis];
  for (int64_t size : sizes) rest = size < 0 || size > rest || rest < 0 ? -1 : rest - size;
  if (rest != 0) {
    return place.error(fmt::format("The sizes {} do not sum to the extent ({}) of axis {}.",
                                   list_text(sizes), shape[axis], axis));
  }
  std::vector<TensorId> parts;
  int64_t offset = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    NodeWriter writer(graph, place, fmt::format("/{}", i));
    std::vector<Term> index = writer.axes(shape.size());
    index[axis] = index[axis] + static_cast<double>(offset);
    Shape part = shape;
    part[axis] = sizes[i];
    TRY_ASSIGN(const TensorId tensor, write_move(graph, writer, x, std::move(part), index));
    parts.push_back(tensor);
    offset += sizes[i];
  }
  return parts;
}

Result<std::vector<TensorId>> split_evenly(Graph& graph, std::string_view name, TensorId x,
                                           int64_t count, int64_t axis_given) {
  const Place place(graph, "Split", name);
  TRY_ASSIGN(const size_t axis, resolve_axis(place, axis_given, shape_of(graph, x).size()));
  const int64_t extent = shape_of(graph, x)[axis];
  if (count < 1 || (extent > 0 && count > extent)) {
    return place.error(fmt::format("The number of parts ({}) is outside 1 to {}.", count,
                                   std::max<int64_t>(extent, 1)));
  }
  const int64_t size = (extent + count - 1) / count;
  Ints sizes;
  for (int64_t i = 0; i < count; ++i) {
    sizes.push_back(std::clamp<int64_t>(extent - i * size, 0, size));
  }
  return split(graph, name, x, sizes, axis_given);
}

// --- Copies of parts
// ------------------------------------------------------------------------------

Result<TensorId> expand(Graph& graph, std::string_view name, TensorId x, const Shape& shape) {
  const Place place(graph, "Expand", name);
  TRY(require_shape(place, shape));
  TRY_ASSIGN(Shape target, broadcast_shapes(place, shape_of(graph, x), shape));
  TRY(require_shape(place, target));
  NodeWriter writer(graph, place);
  const Term value = writer.broadcast(x, target);
  return writer.map(dtype_of(graph, x), std::move(target), value);
}

Result<TensorId> tile(Graph& graph, std::string_view name, TensorId x, const Ints& repeats) {
  const Place place(graph, "Tile", name);
  Shape shape = shape_of(graph, x);
  if (repeats.size() != shape.size()) {
    return place.error(fmt::format("The number of repeats ({}) is not the rank ({}).",
                                   repeats.size(), shape.size()));
  }
  NodeWriter writer(graph, place);
  std::vector<Term> index = writer.axes(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) {
    TRY(require_shape(place, {repeats[d], shape[d]}));
    if (repeats[d] != 1) index[d] = index[d] % static_cast<double>(shape[d]);
    shape[d] *= repeats[d];
  }
  return write_move(graph, writer, x, std::move(shape), index);
}

Result<TensorId> trilu(Graph& graph, std::string_view name, TensorId x, bool upper, int64_t k) {
  const Place place(graph, "Trilu", name);
  const Shape shape = shape_of(graph, x);
  if (shape.size() < 2) {
    return place.error(fmt::format("The shape {} is not that of matrices.", to_string(shape)));
  }
  NodeWriter writer(graph, place);
  const size_t rank = shape.size();
  const int64_t diagonal = std::clamp(k, -shape[rank - 2], shape[rank - 1]);
  const Term border = writer.axis(rank - 2) + static_cast<double>(diagonal);
  const Term column = writer.axis(rank - 1);
  const Term kept = upper ? border <= column : column <= border;
  return writer.map(dtype_of(graph, x), shape, writer.load(x, writer.axes(rank), kept));
}

namespace {

Result<void> check_blocks(const Place& place, const Shape& shape, int64_t block_size) {
  if (shape.size() == 4 && block_size >= 1 && block_size <= 32768) return {};
  return place.error(
      fmt::format("The block size ({}) does not fit the shape {}.", block_size, to_string(shape)));
}

}  // namespace

Result<TensorId> depth_to_space(Graph& graph, std::string_view name, TensorId x, int64_t block_size,
                                bool column_row_depth) {
  const Place place(graph, "DepthToSpace", name);
  const Shape in = shape_of(graph, x);
  TRY(check_blocks(place, in, block_size));
  const int64_t area = block_size * block_size;
  if (in[1] % area != 0) {
    return place.error(
        fmt::format("The channels ({}) are not a multiple of the block's area ({}).", in[1], area));
  }
  const int64_t channels = in[1] / area;
  NodeWriter writer(graph, place);
  const double block = static_cast<double>(block_size);
  const Term within = writer.axis(2) % block * block + writer.axis(3) % block;
  const Term channel = column_row_depth ? writer.axis(1) * static_cast<double>(area) + within
                                        : within * static_cast<double>(channels) + writer.axis(1);
  return write_move(graph, writer, x, {in[0], channels, in[2] * block_size, in[3] * block_size},
                    {writer.axis(0), channel, writer.axis(2) / block, writer.axis(3) / block});
}

Result<TensorId> space_to_depth(Graph& graph, std::string_view name, TensorId x, int64_t block_size,
                                bool column_row_depth) {
  const Place place(graph, "SpaceToDepth", name);
  const Shape in = shape_of(graph, x);
  TRY(check_blocks(place, in, block_size));
  if (in[2] % block_size != 0 || in[3] % block_size != 0) {
    return place.error(
        fmt::format("The extents ({} and {}) are not multiples of the block size "
                    "({}).",
                    in[2], in[3], block_size));
  }
  NodeWriter writer(graph, place);
  const double block = static_cast<double>(block_size);
  const double channels = static_cast<double>(in[1]);
  const Term out = writer.axis(1);
  // row * block + column of the block
  const Term within = column_row_depth ? out % (block * block) : out / channels;
  const Term channel = column_row_depth ? out / (block * block) : out % channels;
  return write_move(
      graph, writer, x,
      {in[0], in[1] * block_size * block_size, in[2] / block_size, in[3] / block_size},
      {writer.axis(0), channel, writer.axis(2) * block + within / block,
       writer.axis(3) * block + within % block});
}

}  // namespace leat::ops
