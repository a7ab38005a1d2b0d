// Regions of a picture as small pictures of one size; see ops_sample.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "leat/tensor/fractional.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops_sample.h"
#include "leat/tensor/positions.h"

namespace leat::ops {
namespace {

/// Of an axis of samples that the model asks for: above any that is useful.
constexpr int64_t kSamplesMax = 1024;

Result<void> check_regions(const Graph& graph, const Place& place, TensorId x, TensorId regions,
                           int64_t columns, const Ints& output) {
  TRY(require_float(graph, place, x));
  TRY(require_same_dtype(graph, place, x, regions));
  const Shape& shape = shape_of(graph, x);
  const Shape& given = shape_of(graph, regions);
  if (shape.size() != 4 || given.size() != 2 || given[1] != columns) {
    return place.error(
        fmt::format("The input's shape {} is not (N, C, H, W), or that of the "
                    "regions {} not (regions, {}).",
                    to_string(shape), to_string(given), columns));
  }
  if (output.size() != 2 || output[0] < 1 || output[1] < 1) {
    return place.error(fmt::format("The output's extents {} are not a positive height and width.",
                                   list_text(output)));
  }
  return require_shape(place, {given[0], shape[1], output[0], output[1]});
}

/// The picture of a region, and whether there is one.
Pixel image_of(NodeWriter& writer, Term given, int64_t images) {
  const Position position = position_of(writer, given);
  const Term in_range = both(0 <= position.low, position.low < static_cast<double>(images));
  return {position.low, both(position.fits, in_range)};
}

// --- RoiAlign
// -------------------------------------------------------------------------------------

/// A region in dimension 0 (rows) or 1 (columns), at the output's axes.
struct Cell {
  Term start;  // of the cell, in pixels
  Term step;   // from sample to sample
  Term count;  // of samples, as a float
};

struct Align {
  TensorId regions;
  RoiAlignOptions options;
  Shape in;
};

Cell cell_of(NodeWriter& writer, const Align& align, size_t d) {
  const RoiAlignOptions& options = align.options;
  const int64_t column = d == 0 ? 1 : 0;
  const auto side = [&](int64_t at) {
    const Term given = writer.load(align.regions, {writer.axis(0), writer.integer(at)});
    return given * options.spatial_scale - (options.half_pixel ? 0.5 : 0.0);
  };
  const Term start = side(column);
  Term size = side(column + 2) - start;
  if (!options.half_pixel) size = max(size, 1);
  const Term width = size / static_cast<double>(options.output[d]);
  const Term count = options.sampling_ratio > 0
                         ? width.constant(static_cast<double>(options.sampling_ratio))
                         : apply(ScalarOp::ceil, width);
  const Term cell = convert(writer.axis(2 + d), width.type());
  return {start + cell * width, width / max(count, 1), count};
}

/// How many samples a cell can have inside an image. Their distance is more than half a pixel, and
/// nearly a whole one where there are many.
int64_t samples_in(int64_t extent) { return extent + 4; }

/// The samples that a node walks in dimension d.
int64_t walked_samples(const Graph& graph, const Align& align, size_t d) {
  const RoiAlignOptions& options = align.options;
  if (options.sampling_ratio > 0) return options.sampling_ratio;
  int64_t most = samples_in(align.in[2 + d]);
  const auto& constant = graph.tensors[align.regions].constant;
  if (!constant) return most;
  double widest = 1;
  for (int64_t r = 0; r < constant->shape[0]; ++r) {
    const int64_t at = r * 4 + (d == 0 ? 1 : 0);
    const double size = (constant->number(at + 2) - constant->number(at)) * options.spatial_scale;
    // One more, as a device may round up what is a whole number.
    widest = std::max(widest, std::ceil(size / static_cast<double>(options.output[d])) + 1);
  }
  return static_cast<int64_t>(std::min(widest, static_cast<double>(most)));
}

struct Sample {
  Neighbour neighbour;
  Term counts;  // whether there is such a sample
};

/// Sample and neighbour of the node's reduce axes. Samples before the image are passed over.
Sample sample_at(NodeWriter& writer, const Align& align, const Cell& cell, size_t d) {
  const double extent = static_cast<double>(align.in[2 + d]);
  Term number = convert(writer.axis(4 + d), cell.start.type());
  if (align.options.sampling_ratio == 0) {
    const Term before = apply(ScalarOp::ceil, (-1.0 - cell.start) / cell.step - 0.5);
    number = number + select(0 < before, before, 0);
  }
  const Term place = cell.start + (number + 0.5) * cell.step;
  const Term is_near = both(-1.0 <= place, place <= extent);
  Neighbour neighbour = linear_neighbour(min(max(place, 0), extent - 1), writer.axis(6 + d));
  neighbour.weight = select(is_near, neighbour.weight, 0);
  return {neighbour, number < cell.count};
}

}  // namespace

Result<TensorId> roi_align(Graph& graph, std::string_view name, TensorId x, TensorId regions,
                           TensorId images, const RoiAlignOptions& options) {
  const Place place(graph, "RoiAlign", name);
  TRY(check_regions(graph, place, x, regions, 4, options.output));
  const Align align = {regions, options, shape_of(graph, x)};
  const int64_t count = shape_of(graph, regions)[0];
  if (shape_of(graph, images) != Shape{count} || !is_whole_number(dtype_of(graph, images))) {
    return place.error(
        fmt::format("The images of shape {} and dtype {} are not one whole number "
                    "for each of {} regions.",
                    to_string(shape_of(graph, images)), name_of(dtype_of(graph, images)), count));
  }
  if (options.sampling_ratio < 0 || options.sampling_ratio > kSamplesMax) {
    return place.error(fmt::format("The sampling ratio ({}) is outside 0 to {}.",
                                   options.sampling_ratio, kSamplesMax));
  }
  if (align.in[2] < 1 || align.in[3] < 1) return place.error("The input has no pixels.");
  for (size_t d = 2; d < 4; ++d) TRY(require_shape(place, {samples_in(align.in[d])}));
  NodeWriter writer(graph, place);
  const Pixel image = image_of(writer, writer.load(images, {writer.axis(0)}), align.in[0]);
  std::vector<Term> index = {image.index, writer.axis(1)};
  Term inside = image.inside;
  Term weight = writer.number(x, 1), counts = writer.truth(true), samples = writer.number(x, 1);
  for (size_t d = 0; d < 2; ++d) {
    const Cell cell = cell_of(writer, align, d);
    const Sample sample = sample_at(writer, align, cell, d);
    const Pixel pixel = pixel_of(sample.neighbour.position, align.in[2 + d]);
    index.push_back(pixel.index);
    inside = both(inside, pixel.inside);
    weight = weight * sample.neighbour.weight;
    counts = both(counts, sample.counts);
    samples = samples * max(cell.count, 0);
  }
  const Term value = writer.load(x, index, both(inside, counts)) * weight;
  const Shape out = {count, align.in[1], options.output[0], options.output[1]};
  const Shape walked = {walked_samples(graph, align, 0), walked_samples(graph, align, 1), 2, 2};
  const Term sum = writer.accumulator(value.type());
  if (!options.maximum) {
    return writer.reduce(dtype_of(graph, x), out, {ReduceOp::sum, walked, select(counts, value, 0)},
                         sum / max(samples, 1));
  }
  const double none = -std::numeric_limits<double>::infinity();
  return writer.reduce(dtype_of(graph, x), out,
                       {ReduceOp::max, walked, select(counts, value, none)},
                       select(samples < 1, 0, sum));
}

// --- MaxRoiPool
// -----------------------------------------------------------------------------------

namespace {

struct Range {
  Term begin, end;  // whole numbers as floats
  Term is_empty;
};

/// The pixels of cell `at` of the output in dimension d.
Range range_of(NodeWriter& writer, const Align& align, size_t d, Term at) {
  const double extent = static_cast<double>(align.in[2 + d]);
  const auto side = [&](int64_t column) {
    const Term given = writer.load(align.regions, {writer.axis(0), writer.integer(column)}) *
                       align.options.spatial_scale;
    return select(given < 0, apply(ScalarOp::ceil, given - 0.5),
                  apply(ScalarOp::floor, given + 0.5));
  };
  const Term start = side(d == 0 ? 2 : 1);
  const Term size = max(side(d == 0 ? 4 : 3) - start + 1, 1);
  const Term width = size / static_cast<double>(align.options.output[d]);
  const Term cell = convert(at, width.type());
  const auto inside = [&](Term place) { return min(max(place + start, 0), extent); };
  const Term begin = inside(apply(ScalarOp::floor, cell * width));
  const Term end = inside(apply(ScalarOp::ceil, (cell + 1) * width));
  return {begin, end, end <= begin};
}

Term is_in(const Range& range, Term position) {
  const Term place = convert(position, range.begin.type());
  return both(range.begin <= place, place < range.end);
}

Pixel pool_image(NodeWriter& writer, const Align& align) {
  const Term given = writer.load(align.regions, {writer.axis(0), writer.integer(0)});
  return pixel_of(given, align.in[0]);
}

}  // namespace

Result<TensorId> max_roi_pool(Graph& graph, std::string_view name, TensorId x, TensorId regions,
                              const Ints& output, double spatial_scale) {
  const Place place(graph, "MaxRoiPool", name);
  TRY(check_regions(graph, place, x, regions, 5, output));
  const Align align = {
      regions, {.output = output, .spatial_scale = spatial_scale}, shape_of(graph, x)};
  const DType dtype = dtype_of(graph, x);
  const double none = -std::numeric_limits<double>::infinity();
  const Shape out = {shape_of(graph, regions)[0], align.in[1], output[0], output[1]};
  // A maximum of maxima: first over the rows of a cell, for each column.
  NodeWriter rows(graph, place, "/rows");
  const Pixel image = pool_image(rows, align);
  const Term row = rows.axis(4);
  const Term in_rows = both(image.inside, is_in(range_of(rows, align, 0, rows.axis(2)), row));
  const Term pixel = rows.load(x, {image.index, rows.axis(1), row, rows.axis(3)}, in_rows, none);
  TRY_ASSIGN(const TensorId columns,
             rows.reduce(dtype, {out[0], out[1], out[2], align.in[3]},
                         {ReduceOp::max, {align.in[2]}, pixel}, rows.accumulator(x)));
  NodeWriter writer(graph, place);
  const Range range = range_of(writer, align, 1, writer.axis(3));
  const Term column = writer.axis(4);
  const Term value = writer.load(columns, {writer.axis(0), writer.axis(1), writer.axis(2), column},
                                 is_in(range, column), none);
  const Term is_empty = either(range_of(writer, align, 0, writer.axis(2)).is_empty, range.is_empty);
  const Term is_nothing = either(is_empty, negate(pool_image(writer, align).inside));
  return writer.reduce(dtype, out, {ReduceOp::max, {align.in[3]}, value},
                       select(is_nothing, 0, writer.accumulator(x)));
}

}  // namespace leat::ops
