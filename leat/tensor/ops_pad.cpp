// Padding. Constant padding is an affine index under a mask. The other modes bend the index back
// into the tensor: by a clamp (edge), a remainder (wrap) or reflections (reflect), and by a table
// where the pads are so wide that one reflection a side does not do.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

/// Largest reflection table; wider paddings than this are no use.
constexpr int64_t kTableMax = 1 << 22;

/// Pads of one dimension and its extents before and after.
struct PaddedDimension {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t extent = 0;
  int64_t first = 0;  // of the input's elements that count, see keep_only_rest

  int64_t padded() const { return extent + begin + end; }
};

/// Negative pads cut before anything is reflected or wrapped: what was cut does not come back at
/// the other end. (The schema is silent; so do the runtimes in use.)
void keep_only_rest(PaddedDimension& dimension) {
  dimension.first = std::max<int64_t>(0, -dimension.begin);
  dimension.extent += std::min<int64_t>(0, dimension.begin) + std::min<int64_t>(0, dimension.end);
  dimension.begin = std::max<int64_t>(0, dimension.begin);
  dimension.end = std::max<int64_t>(0, dimension.end);
}

Result<std::vector<PaddedDimension>> padded_dimensions(const Place& place, const Shape& shape,
                                                       const PadOptions& options) {
  const size_t count = options.axes.empty() ? shape.size() : options.axes.size();
  if (options.pads.size() != 2 * count) {
    return place.error(fmt::format("The number of pads ({}) is not twice the number of axes ({}).",
                                   options.pads.size(), count));
  }
  TRY_ASSIGN(const std::vector<size_t> unique, resolve_axes(place, options.axes, shape.size()));
  std::vector<PaddedDimension> dimensions(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) dimensions[d].extent = shape[d];
  for (size_t i = 0; i < count; ++i) {
    const int64_t named = options.axes.empty() ? static_cast<int64_t>(i) : options.axes[i];
    TRY_ASSIGN(const size_t axis, resolve_axis(place, named, shape.size()));
    PaddedDimension& dimension = dimensions[axis];
    dimension.begin = options.pads[i];
    dimension.end = options.pads[count + i];
    for (int64_t pad : {dimension.begin, dimension.end}) {
      if (pad < -kElementsMax || pad > kElementsMax) {
        return place.error(
            fmt::format("The pad ({}) is outside -{} to {}.", pad, kElementsMax, kElementsMax));
      }
    }
    if (options.mode == PadMode::reflect || options.mode == PadMode::wrap) {
      keep_only_rest(dimension);
    }
    if (dimension.padded() < 0 ||
        (options.mode != PadMode::constant && dimension.extent <= 0 && dimension.padded() > 0)) {
      return place.error(fmt::format("The pads ({} and {}) do not fit the extent ({}) of axis {}.",
                                     options.pads[i], options.pads[count + i], shape[axis], axis));
    }
  }
  return dimensions;
}

/// Position `at` (any whole number) reflected into [0, extent) without repeating the border.
int64_t reflect(int64_t at, int64_t extent) {
  if (extent == 1) return 0;
  const int64_t period = 2 * (extent - 1);
  const int64_t phase = (at % period + period) % period;
  return phase < extent ? phase : period - phase;
}

Result<Term> reflected_index(Graph& graph, const Place& place, NodeWriter& writer, size_t d,
                             const PaddedDimension& dimension) {
  const int64_t last = dimension.extent - 1;
  const Term at = writer.axis(d) - static_cast<double>(dimension.begin);
  if (dimension.begin <= last && dimension.end <= last) {
    const Term below = dimension.begin > 0 ? abs(at) : at;
    const double border = static_cast<double>(last);
    return dimension.end > 0 ? border - abs(border - below) : below;
  }
  if (dimension.padded() > kTableMax) {
    return place.error(
        fmt::format("The padded extent ({}) of axis {} is larger than the limit "
                    "({}).",
                    dimension.padded(), d, kTableMax));
  }
  std::vector<int64_t> table;
  for (int64_t i = 0; i < dimension.padded(); ++i) {
    table.push_back(reflect(i - dimension.begin, dimension.extent));
  }
  const TensorId id = add_table_i32(graph, fmt::format("{}/reflected{}", place.name, d),
                                    {dimension.padded()}, table);
  return writer.load(id, {writer.axis(d)});
}

/// Index into x at output axis d for the modes that stay inside.
Result<Term> bent_index(Graph& graph, const Place& place, NodeWriter& writer, size_t d,
                        const PaddedDimension& dimension, PadMode mode) {
  Term at = writer.axis(d) - static_cast<double>(dimension.begin);
  if (dimension.begin <= 0 && dimension.end <= 0) return at;
  switch (mode) {
    case PadMode::constant: return at;
    case PadMode::reflect: return reflected_index(graph, place, writer, d, dimension);
    case PadMode::edge:
      if (dimension.begin > 0) at = max(at, 0);
      return dimension.end > 0 ? min(at, static_cast<double>(dimension.extent - 1)) : at;
    case PadMode::wrap: {
      const int64_t extent = dimension.extent;
      const int64_t rounds = (std::max<int64_t>(dimension.begin, 0) + extent - 1) / extent;
      return (at + static_cast<double>(rounds * extent)) % static_cast<double>(extent);
    }
  }
  return at;
}

/// The value of constant padding: known now, or the one element of a computed tensor.
struct PadValue {
  double number = 0;
  TensorId computed = kNoTensor;
};

Result<PadValue> pad_value(const Graph& graph, const Place& place, TensorId x,
                           const PadOptions& options) {
  if (options.value_tensor == kNoTensor) return PadValue{.number = options.value};
  const Tensor& tensor = graph.tensors[options.value_tensor];
  TRY(require_same_dtype(graph, place, x, options.value_tensor));
  if (element_count(tensor.shape) != 1) {
    return place.error(
        fmt::format("The value's shape {} does not have one element.", to_string(tensor.shape)));
  }
  constexpr double kExactMax = 0x1p53;
  const double number = tensor.constant ? tensor.constant->number(0) : 0;
  const bool is_exact = is_float(tensor.dtype) || std::fabs(number) <= kExactMax;
  if (tensor.constant && is_exact) return PadValue{.number = number};
  return PadValue{.computed = options.value_tensor};
}

}  // namespace

Result<TensorId> pad(Graph& graph, std::string_view name, TensorId x, const PadOptions& options) {
  const Place place(graph, "Pad", name);
  const Shape shape = shape_of(graph, x);
  TRY_ASSIGN(const std::vector<PaddedDimension> dimensions,
             padded_dimensions(place, shape, options));
  TRY_ASSIGN(const PadValue value, pad_value(graph, place, x, options));
  NodeWriter writer(graph, place);
  Shape target;
  std::vector<Term> index;
  Term inside = writer.truth(true);
  for (size_t d = 0; d < shape.size(); ++d) {
    target.push_back(dimensions[d].padded());
    TRY_ASSIGN(const Term at, bent_index(graph, place, writer, d, dimensions[d], options.mode));
    index.push_back(at + static_cast<double>(dimensions[d].first));
    if (options.mode != PadMode::constant) continue;
    if (dimensions[d].begin > 0) inside = both(inside, 0 <= at);
    if (dimensions[d].end > 0) inside = both(inside, at < static_cast<double>(shape[d]));
  }
  Term result = writer.load(x, index, inside, value.number);
  if (value.computed != kNoTensor) {
    result = select(inside, result, writer.only_element(value.computed));
  }
  return writer.map(dtype_of(graph, x), std::move(target), result);
}

}  // namespace leat::ops
