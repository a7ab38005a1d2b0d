// Old experimental operators that picture networks of 2017-2018 still carry.
// Source: ONNX operator schemas, opset 1, experimental: ImageScaler, Crop, Affine.
#include <fmt/format.h>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

Result<TensorId> image_scaler(Graph& graph, std::string_view name, TensorId x, double scale,
                              std::span<const float> bias) {
  const Place place(graph, "ImageScaler", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  if (shape.size() < 2 || (!bias.empty() && static_cast<int64_t>(bias.size()) != shape[1])) {
    return place.error(fmt::format("The number of biases ({}) does not fit the input's shape {}.",
                                   bias.size(), to_string(shape)));
  }
  NodeWriter writer(graph, place);
  Term result = writer.load(x, writer.axes(shape.size())) * scale;
  if (!bias.empty()) {
    const TensorId table = add_table_f32(graph, place.name + "/bias", {shape[1]},
                                         std::vector<double>(bias.begin(), bias.end()));
    result = result + convert(writer.load(table, {writer.axis(1)}), result.type());
  }
  return writer.map(dtype_of(graph, x), shape, result);
}

Result<TensorId> crop(Graph& graph, std::string_view name, TensorId x, const Ints& border,
                      const Ints& scale) {
  const Place place(graph, "Crop", name);
  const Shape shape = shape_of(graph, x);
  if (shape.size() != 4 || border.size() != 4 || (!scale.empty() && scale.size() != 2)) {
    return place.error(fmt::format("The border {} and scale {} do not fit the input's shape {}.",
                                   list_text(border), list_text(scale), to_string(shape)));
  }
  SliceOptions options = {
      .starts = {border[1], border[0]}, .ends = {}, .axes = {2, 3}, .steps = {}};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t extent = shape[2 + i];
    const int64_t begin = options.starts[i];
    const int64_t end_border = border[3 - i];
    if (begin < 0 || begin > extent || end_border < 0 || end_border > extent) {
      return place.error(fmt::format("The border {} is outside the input's shape {}.",
                                     list_text(border), to_string(shape)));
    }
    const int64_t size = scale.empty() ? extent - end_border - begin : scale[i];
    if (size < 0 || size > extent - begin) {
      return place.error(
          fmt::format("The cropped extent ({}) in dimension {} of shape {} is out "
                      "of range.",
                      size, 2 + i, to_string(shape)));
    }
    options.ends.push_back(begin + size);
  }
  return slice(graph, name, x, options);
}

Result<TensorId> affine(Graph& graph, std::string_view name, TensorId x, double alpha,
                        double beta) {
  const Place place(graph, "Affine", name);
  TRY(require_float(graph, place, x));
  const Shape shape = shape_of(graph, x);
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  return writer.map(dtype_of(graph, x), shape, value * alpha + beta);
}

}  // namespace leat::ops
