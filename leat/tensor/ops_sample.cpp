// See ops_sample.h. Places are f32 (f64 where the tensors are); what is not a number reads index 0.
#include "leat/tensor/ops_sample.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/tensor/fractional.h"
#include "leat/tensor/node_writer.h"

namespace leat::ops {
namespace {

struct Sampling {
  GridSampleOptions options;
  Shape spatial;

  int64_t taps() const {
    if (options.mode == SampleMode::nearest) return 1;
    return options.mode == SampleMode::linear ? 2 : 4;
  }
};

/// From [-1, 1] to pixels.
Term pixel_place(Term given, int64_t extent, bool align_corners) {
  const double count = static_cast<double>(extent);
  if (align_corners) return (given + 1) * ((count - 1) / 2);
  return ((given + 1) * count - 1) * 0.5;
}

/// Mirrored at the borders until it lies between them.
Term reflected(Term place, int64_t extent, bool align_corners) {
  const double low = align_corners ? 0 : -0.5;
  const double span = static_cast<double>(extent) - (align_corners ? 1 : 0);
  if (span <= 0) return place.constant(0);
  const Term distance = abs(place - low);
  const Term turns = apply(ScalarOp::floor, distance / span);
  const Term rest = distance - turns * span;
  const Term is_even = equal(turns, apply(ScalarOp::floor, turns * 0.5) * 2);
  return select(is_even, rest + low, (low + span) - rest);
}

Term clamped(Term place, int64_t extent) {
  return min(max(place, 0), static_cast<double>(extent - 1));
}

/// What the padding makes of a place that lies beyond the borders.
Term padded(Term place, int64_t extent, const GridSampleOptions& options) {
  switch (options.padding) {
    case SamplePadding::zeros: return place;
    case SamplePadding::border: {
      const double edge = options.align_corners ? 0 : 0.5;
      const Term beyond = either(place < -edge, static_cast<double>(extent - 1) + edge < place);
      return select(beyond, clamped(place, extent), place);
    }
    case SamplePadding::reflection: return reflected(place, extent, options.align_corners);
  }
  return place;
}

/// What a neighbour at that distance counts. Source: R. Keys, "Cubic convolution interpolation for
/// digital image processing", 1981, with a = -0.75.
Term cubic_weight(Term distance) {
  constexpr double a = -0.75;
  const Term near = ((distance * (a + 2) - (a + 3)) * distance * distance) + 1;
  const Term far = ((distance * a - 5 * a) * distance + 8 * a) * distance - 4 * a;
  return select(distance <= 1, near, far);
}

Neighbour neighbour_of(Term place, Term tap, SampleMode mode) {
  if (mode == SampleMode::nearest) return {place, place.constant(1)};
  if (mode == SampleMode::linear) return linear_neighbour(place, tap);
  const Term position = apply(ScalarOp::floor, place) + (convert(tap, place.type()) - 1);
  return {position, cubic_weight(abs(place - position))};
}

/// A neighbour beyond the borders is the one that the padding puts there.
Pixel neighbour_pixel(NodeWriter& writer, Term position, int64_t extent,
                      const GridSampleOptions& options) {
  if (options.padding == SamplePadding::zeros) return pixel_of(position, extent);
  const Term moved = options.padding == SamplePadding::border
                         ? position
                         : reflected(position, extent, options.align_corners);
  return {convert(clamped(moved, extent), ScalarType::i32), writer.truth(true)};
}

Result<void> check_grid(const Graph& graph, const Place& place, TensorId x, TensorId grid,
                        SampleMode mode) {
  const Shape& shape = shape_of(graph, x);
  const Shape& points = shape_of(graph, grid);
  TRY(require_float(graph, place, grid));
  if (mode != SampleMode::nearest) TRY(require_float(graph, place, x));
  const size_t rank = shape.size();
  const bool fits = rank >= 3 && rank <= 5 && points.size() == rank && points[0] == shape[0] &&
                    points.back() == static_cast<int64_t>(rank) - 2;
  if (fits && element_count(shape) > 0) return {};
  return place.error(
      fmt::format("The grid's shape {} does not fit the input's shape {}, which has "
                  "one to three spatial dimensions.",
                  to_string(points), to_string(shape)));
}

}  // namespace

Result<TensorId> grid_sample(Graph& graph, std::string_view name, TensorId x, TensorId grid,
                             const GridSampleOptions& options) {
  const Place place(graph, "GridSample", name);
  TRY(check_grid(graph, place, x, grid, options.mode));
  const Shape in = shape_of(graph, x);
  const Sampling sampling = {options, Shape(in.begin() + 2, in.end())};
  const size_t spatial = sampling.spatial.size();
  Shape out = {in[0], in[1]};
  const Shape points = shape_of(graph, grid);
  out.insert(out.end(), points.begin() + 1, points.end() - 1);
  NodeWriter writer(graph, place);
  std::vector<Term> at = {writer.axis(0)};
  for (size_t d = 0; d < spatial; ++d) at.push_back(writer.axis(2 + d));
  std::vector<Term> index = writer.axes(2);
  Term inside = writer.truth(true);
  Term weight = writer.number(grid, 1);
  for (size_t d = 0; d < spatial; ++d) {
    std::vector<Term> coordinate = at;
    coordinate.push_back(writer.integer(static_cast<int64_t>(spatial - 1 - d)));
    const int64_t extent = sampling.spatial[d];
    Term where = pixel_place(writer.load(grid, coordinate), extent, options.align_corners);
    if (options.mode == SampleMode::nearest) where = apply(ScalarOp::round_even, where);
    where = padded(where, extent, options);
    const Neighbour neighbour = neighbour_of(where, writer.axis(out.size() + d), options.mode);
    const Pixel pixel = neighbour_pixel(writer, neighbour.position, extent, options);
    index.push_back(pixel.index);
    inside = both(inside, pixel.inside);
    weight = weight * neighbour.weight;
  }
  const Term value = writer.load(x, index, inside);
  if (options.mode == SampleMode::nearest) return writer.map(dtype_of(graph, x), out, value);
  const Shape taps(spatial, sampling.taps());
  const Term element = value * convert(weight, value.type());
  return writer.reduce(dtype_of(graph, x), out, {ReduceOp::sum, taps, element},
                       writer.accumulator(element.type()));
}

Result<TensorId> affine_grid(Graph& graph, std::string_view name, TensorId theta, const Ints& size,
                             bool align_corners) {
  const Place place(graph, "AffineGrid", name);
  TRY(require_float(graph, place, theta));
  const Shape given = shape_of(graph, theta);
  const int64_t rank = static_cast<int64_t>(size.size()) - 2;
  if ((rank != 2 && rank != 3) || given != Shape{size[0], rank, rank + 1}) {
    return place.error(
        fmt::format("The shape {} does not fit the size {}: (N, 2, 3) belongs to "
                    "(N, C, H, W), (N, 3, 4) to (N, C, D, H, W).",
                    to_string(given), list_text(size)));
  }
  Shape out = size;
  out.erase(out.begin() + 1);
  out.push_back(rank);
  TRY(require_shape(place, out));
  NodeWriter writer(graph, place);
  const size_t last = static_cast<size_t>(rank) + 1;
  const auto factor = [&](int64_t column) {
    return writer.load(theta, {writer.axis(0), writer.axis(last), writer.integer(column)});
  };
  Term sum = factor(rank);
  for (int64_t column = 0; column < rank; ++column) {
    const size_t axis = static_cast<size_t>(rank - column);  // column 0 is the innermost dimension
    const double count = static_cast<double>(out[axis]);
    const Term pixel = convert(writer.axis(axis), sum.type());
    // A single pixel lies in the middle either way.
    const double step = align_corners ? 2 / std::max(count - 1, 1.0) : 2 / count;
    const double first = count == 1 ? 0 : align_corners ? -1 : step / 2 - 1;
    sum = sum + factor(column) * (pixel * step + first);
  }
  return writer.map(dtype_of(graph, theta), out, sum);
}

}  // namespace leat::ops
