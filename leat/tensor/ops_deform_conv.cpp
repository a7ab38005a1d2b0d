// Deformable convolution: what the moved taps read as one matrix for each image, then its product
// with the weights.
#include <fmt/format.h>

#include "leat/tensor/channel_bias.h"
#include "leat/tensor/fractional.h"
#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops_sample.h"
#include "leat/tensor/window.h"

namespace leat::ops {
namespace {

constexpr size_t kSpatialMax = 3;  // 2^3 neighbours

struct Deform {
  DeformConvInputs inputs;
  DeformConvOptions options;
  Shape x, w;
  ResolvedWindow window;

  size_t spatial() const { return x.size() - 2; }
  int64_t taps() const { return element_count(window.kernel); }
  Shape with_output(Shape shape) const {
    shape.insert(shape.end(), window.output.begin(), window.output.end());
    return shape;
  }
};

Result<void> check_channels(const Place& place, const Deform& deform) {
  const auto& [window, groups, offset_groups] = deform.options;
  const Shape& x = deform.x;
  const Shape& w = deform.w;
  const bool fits = x.size() >= 3 && x.size() <= 2 + kSpatialMax && w.size() == x.size() &&
                    groups >= 1 && offset_groups >= 1 && x[1] >= 1 && x[1] % groups == 0 &&
                    w[0] % groups == 0 && w[1] == x[1] / groups && x[1] % offset_groups == 0;
  if (fits) return {};
  return place.error(
      fmt::format("The weight's shape {} does not fit the input's shape {} in {} "
                  "groups and {} offset groups (one to {} spatial dimensions).",
                  to_string(w), to_string(x), groups, offset_groups, kSpatialMax));
}

Result<void> check_places(const Graph& graph, const Place& place, const Deform& deform) {
  const int64_t rank = static_cast<int64_t>(deform.spatial());
  TRY(require_shape(place, {deform.options.offset_groups, deform.taps(), rank}));
  const int64_t taps = deform.options.offset_groups * deform.taps();
  const Shape offsets = deform.with_output({deform.x[0], taps * rank});
  const Shape mask = deform.with_output({deform.x[0], taps});
  const auto check = [&](TensorId tensor, const Shape& wanted) -> Result<void> {
    TRY(require_same_dtype(graph, place, deform.inputs.x, tensor));
    if (shape_of(graph, tensor) == wanted) return {};
    return place.error(fmt::format("The shape {} of tensor \"{}\" is not {}.",
                                   to_string(shape_of(graph, tensor)), graph.tensors[tensor].name,
                                   to_string(wanted)));
  };
  TRY(check(deform.inputs.offsets, offsets));
  return deform.inputs.mask == kNoTensor ? Result<void>() : check(deform.inputs.mask, mask);
}

/// What each tap reads: (N, C, taps, output...).
Result<TensorId> write_columns(Graph& graph, const Place& place, const Deform& deform) {
  NodeWriter writer(graph, place, "/columns");
  const Shape out = deform.with_output({deform.x[0], deform.x[1], deform.taps()});
  const size_t spatial = deform.spatial();
  const Term channel = writer.axis(1), tap = writer.axis(2);
  const Term group = channel / static_cast<double>(deform.x[1] / deform.options.offset_groups);
  const Term moved = group * static_cast<double>(deform.taps()) + tap;
  const auto at_output = [&](Term number) {
    std::vector<Term> index = {writer.axis(0), number};
    for (size_t d = 0; d < spatial; ++d) index.push_back(writer.axis(3 + d));
    return index;
  };
  std::vector<Term> index = {writer.axis(0), channel};
  Term inside = writer.truth(true);
  Term weight = writer.number(deform.inputs.x, 1);
  int64_t inner = deform.taps();
  for (size_t d = 0; d < spatial; ++d) {
    inner /= deform.window.kernel[d];
    const Term within =
        tap / static_cast<double>(inner) % static_cast<double>(deform.window.kernel[d]);
    const Term fixed = writer.axis(3 + d) * static_cast<double>(deform.window.strides[d]) +
                       within * static_cast<double>(deform.window.dilations[d]) -
                       static_cast<double>(deform.window.pads_begin[d]);
    const Term number = moved * static_cast<double>(spatial) + static_cast<double>(d);
    const Term offset = writer.load(deform.inputs.offsets, at_output(number));
    const Neighbour neighbour =
        linear_neighbour(convert(fixed, offset.type()) + offset, writer.axis(out.size() + d));
    const Pixel pixel = pixel_of(neighbour.position, deform.x[2 + d]);
    index.push_back(pixel.index);
    inside = both(inside, pixel.inside);
    weight = weight * neighbour.weight;
  }
  const Term element = writer.load(deform.inputs.x, index, inside) * weight;
  Term value = writer.accumulator(element.type());
  if (deform.inputs.mask != kNoTensor) {
    value = value * writer.load(deform.inputs.mask, at_output(moved));
  }
  return writer.reduce(dtype_of(graph, deform.inputs.x), out,
                       {ReduceOp::sum, Shape(spatial, 2), element}, value);
}

}  // namespace

Result<TensorId> deform_conv(Graph& graph, std::string_view name, const DeformConvInputs& inputs,
                             const DeformConvOptions& options) {
  const Place place(graph, "DeformConv", name);
  TRY(require_float(graph, place, inputs.x));
  TRY(require_same_dtype(graph, place, inputs.x, inputs.w));
  Deform deform = {inputs, options, shape_of(graph, inputs.x), shape_of(graph, inputs.w), {}};
  TRY(check_channels(place, deform));
  const Ints kernel(deform.w.begin() + 2, deform.w.end());
  const Ints input(deform.x.begin() + 2, deform.x.end());
  TRY_ASSIGN(deform.window, resolve_window(place, options.window, kernel, input));
  TRY(check_places(graph, place, deform));
  TRY(require_bias(graph, place, dtype_of(graph, inputs.x), inputs.bias, deform.w[0]));
  const Shape out = deform.with_output({deform.x[0], deform.w[0]});
  TRY(require_shape(place, out));
  TRY_ASSIGN(const TensorId columns, write_columns(graph, place, deform));
  const int64_t groups = options.groups, depth = deform.w[1] * deform.taps();
  const int64_t points = element_count(deform.window.output);
  TRY_ASSIGN(const TensorId read, reshape(graph, place.name + "/matrices", columns,
                                          {deform.x[0], groups, depth, points}, true));
  TRY_ASSIGN(const TensorId w, reshape(graph, place.name + "/weights", inputs.w,
                                       {groups, deform.w[0] / groups, depth}, true));
  TRY_ASSIGN(const TensorId product, matmul(graph, place.name + "/product", w, read));
  if (inputs.bias == kNoTensor) return reshape(graph, place.name, product, out, true);
  TRY_ASSIGN(const TensorId shaped, reshape(graph, place.name + "/shaped", product, out, true));
  NodeWriter writer(graph, place);
  const Term value = writer.load(shaped, writer.axes(out.size()));
  return writer.map(dtype_of(graph, inputs.x), out,
                    add_channel_bias(writer, value, inputs.bias, writer.axis(1)));
}

}  // namespace leat::ops
