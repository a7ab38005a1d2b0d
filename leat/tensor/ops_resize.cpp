// Resize: nearest is one load per element, linear and cubic are a sum over the taps of every
// resized axis with weights from tables. Nearest by a whole factor, the usual case, needs no table:
// its index is a division or a multiple of the output's axis.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/resize_tables.h"

namespace leat::ops {
namespace {

/// Entries of one axis' table.
constexpr int64_t kTableMax = 1 << 22;

Result<void> check_options(const Place& place, const Shape& shape, const ResizeOptions& options) {
  const size_t rank = shape.size();
  const bool crops = options.coordinate_mode == CoordinateMode::tf_crop_and_resize;
  const bool fits = (!options.scales.empty() || !options.sizes.empty()) &&
                    (options.scales.empty() || options.scales.size() == rank) &&
                    (options.sizes.empty() || options.sizes.size() == rank) &&
                    (!crops || options.roi.size() == 2 * rank);
  if (!fits) {
    return place.error(
        fmt::format("The numbers of scales ({}), sizes ({}) and roi bounds ({}) do "
                    "not fit the rank ({}).",
                    options.scales.size(), options.sizes.size(), options.roi.size(), rank));
  }
  for (double scale : options.scales) {
    if (!(scale > 0) || !std::isfinite(scale)) {
      return place.error(fmt::format("The scale ({}) is not positive and finite.", scale));
    }
  }
  for (double bound : options.roi) {
    if (!std::isfinite(bound)) {
      return place.error(fmt::format("The roi bound ({}) is not finite.", bound));
    }
  }
  return {};
}

Result<ResizeAxis> resolve_axis_size(const Place& place, const Shape& shape,
                                     const ResizeOptions& options, size_t d) {
  ResizeAxis axis = {.in = shape[d]};
  if (options.coordinate_mode == CoordinateMode::tf_crop_and_resize) {
    axis.roi_start = options.roi[d];
    axis.roi_end = options.roi[shape.size() + d];
  }
  const double in = static_cast<double>(axis.in);
  double out = 0;
  if (options.sizes.empty()) {
    out = std::floor(in * (axis.roi_end - axis.roi_start) * options.scales[d]);
  } else {
    out = static_cast<double>(options.sizes[d]);
  }
  if (!(out >= 0 && out <= static_cast<double>(kElementsMax)) || (axis.in == 0 && out > 0)) {
    return place.error(
        fmt::format("The resized extent ({}) of dimension {} with extent {} is out "
                    "of range.",
                    out, d, axis.in));
  }
  axis.out = static_cast<int64_t>(out);
  axis.scale = !options.scales.empty() ? options.scales[d] : axis.in == 0 ? 1 : out / in;
  if (axis.out > 0 && !is_identity(axis, options) &&
      axis.out > kTableMax / tap_count(axis, options)) {
    return place.error(
        fmt::format("The resized extent ({}) of dimension {} is larger than the "
                    "limit ({}).",
                    axis.out, d, kTableMax / tap_count(axis, options)));
  }
  return axis;
}

/// The index of nearest: from the output's axis alone where it follows a simple rule, else a table.
Term nearest_index(Graph& graph, NodeWriter& writer, size_t d, const ResizeAxis& axis,
                   const AxisTaps& taps) {
  const auto follows = [&](auto&& rule) {
    for (size_t o = 0; o < taps.index.size(); ++o) {
      if (taps.index[o] != rule(static_cast<int64_t>(o))) return false;
    }
    return true;
  };
  const Term at = writer.axis(d);
  const int64_t up = std::max<int64_t>(axis.out / axis.in, 1);
  if (follows([&](int64_t o) { return o / up; })) return at / static_cast<double>(up);
  const int64_t first = taps.index[0];
  const int64_t down = taps.index.size() > 1 ? taps.index[1] - first : 0;
  if (follows([&](int64_t o) { return first + o * down; })) {
    return at * static_cast<double>(down) + static_cast<double>(first);
  }
  const TensorId table = add_table_i32(graph, fmt::format("{}/index{}", writer.node().name, d),
                                       {axis.out}, taps.index);
  return writer.load(table, {at});
}

/// Builds the node's expressions dimension by dimension.
struct ResizeNode {
  Graph& graph;
  NodeWriter& writer;
  std::vector<Term> index = {};
  ScalarType type;  // of sums
  Term weight = writer.number(type, 1);
  Term inside = writer.truth(true);
  Shape reduce = {};

  void add_identity(size_t d) { index.push_back(writer.axis(d)); }

  void add_axis(size_t d, size_t rank, const ResizeAxis& axis, const ResizeOptions& options) {
    const AxisTaps taps = axis_taps(axis, options);
    if (options.mode == ResizeMode::nearest) {
      index.push_back(nearest_index(graph, writer, d, axis, taps));
    } else {
      const std::string& name = writer.node().name;
      const Shape shape = {axis.out, taps.taps};
      const std::vector<Term> at = {writer.axis(d), writer.axis(rank + reduce.size())};
      const TensorId indices =
          add_table_i32(graph, fmt::format("{}/index{}", name, d), shape, taps.index);
      const TensorId weights =
          add_table_f32(graph, fmt::format("{}/weight{}", name, d), shape, taps.weight);
      index.push_back(writer.load(indices, at));
      weight = weight * convert(writer.load(weights, at), type);
      reduce.push_back(taps.taps);
    }
    if (options.coordinate_mode == CoordinateMode::tf_crop_and_resize &&
        std::ranges::find(taps.outside, true) != taps.outside.end()) {
      std::vector<int64_t> flags;
      for (bool outside : taps.outside) flags.push_back(outside ? 0 : 1);
      const TensorId table = add_table_i32(graph, fmt::format("{}/inside{}", writer.node().name, d),
                                           {axis.out}, flags);
      inside = both(inside, equal(writer.load(table, {writer.axis(d)}), 1));
    }
  }
};

}  // namespace

Result<TensorId> resize(Graph& graph, std::string_view name, TensorId x,
                        const ResizeOptions& options) {
  const Place place(graph, "Resize", name);
  const Shape shape = shape_of(graph, x);
  const DType dtype = dtype_of(graph, x);
  TRY(check_options(place, shape, options));
  std::vector<ResizeAxis> axes;
  Shape target;
  for (size_t d = 0; d < shape.size(); ++d) {
    TRY_ASSIGN(const ResizeAxis axis, resolve_axis_size(place, shape, options, d));
    axes.push_back(axis);
    target.push_back(axis.out);
  }
  TRY(require_shape(place, target));
  NodeWriter writer(graph, place);
  ResizeNode node = {.graph = graph,
                     .writer = writer,
                     .type = dtype == DType::f64 ? ScalarType::f64 : ScalarType::f32};
  for (size_t d = 0; d < shape.size(); ++d) {
    if (axes[d].out == 0 || is_identity(axes[d], options)) {
      node.add_identity(d);
    } else {
      node.add_axis(d, shape.size(), axes[d], options);
    }
  }
  const Term value = writer.load(x, node.index);
  if (node.reduce.empty()) {
    return writer.map(dtype, target,
                      select(node.inside, value, value.constant(options.extrapolation_value)));
  }
  const Term element = node.weight * convert(value, node.type);
  const Term sum = select(node.inside, writer.accumulator(node.type), options.extrapolation_value);
  const Term result = wrap_to(convert(sum, scalar_type_of(dtype)), dtype);
  return writer.reduce(dtype, target, {ReduceOp::sum, node.reduce, element}, result);
}

}  // namespace leat::ops
