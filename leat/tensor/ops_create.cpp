// Tensors made from nothing. Small ones become constants at once; a large constant_of_shape stays a
// node, so that a few bytes of a file cannot ask for gigabytes here.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

TensorId scalar(Graph& graph, std::string_view name, DType dtype, double value) {
  HostTensor tensor = HostTensor::zeros(dtype, {});
  tensor.set_number(0, value);
  return graph.add_constant(std::string(name), std::move(tensor));
}

TensorId vector_i64(Graph& graph, std::string_view name, std::span<const int64_t> values) {
  const int64_t count = static_cast<int64_t>(values.size());
  HostTensor tensor = HostTensor::zeros(DType::i64, {count});
  for (int64_t i = 0; i < count; ++i) tensor.set_integer(i, values[static_cast<size_t>(i)]);
  return graph.add_constant(std::string(name), std::move(tensor));
}

Result<TensorId> constant_of_shape(Graph& graph, std::string_view name, const Shape& shape,
                                   const HostTensor& value) {
  const Place place(graph, "ConstantOfShape", name);
  TRY(require_shape(place, shape));
  if (element_count(value.shape) != 1) {
    return place.error(
        fmt::format("The value's shape {} does not have one element.", to_string(value.shape)));
  }
  const TensorId source = graph.add_constant(place.name + "/value", value);
  NodeWriter writer(graph, place);
  return writer.map(value.dtype, shape, writer.only_element(source));
}

Result<TensorId> eye_like(Graph& graph, std::string_view name, const Shape& shape, DType dtype,
                          int64_t k) {
  const Place place(graph, "EyeLike", name);
  TRY(require_shape(place, shape));
  if (shape.size() != 2) {
    return place.error(fmt::format("The shape {} is not that of a matrix.", to_string(shape)));
  }
  NodeWriter writer(graph, place);
  const int64_t diagonal = std::clamp(k, -shape[0], shape[1]);  // beyond is empty as well
  const Term hit = equal(writer.axis(1), writer.axis(0) + static_cast<double>(diagonal));
  return writer.map(dtype, shape, convert(hit, scalar_type_of(dtype)));
}

Result<TensorId> range(Graph& graph, std::string_view name, const HostTensor& start,
                       const HostTensor& limit, const HostTensor& delta) {
  const Place place(graph, "Range", name);
  for (const HostTensor* value : {&start, &limit, &delta}) {
    if (element_count(value->shape) != 1 || value->dtype != start.dtype) {
      return place.error(fmt::format("The bound of dtype {} and shape {} is not one {}.",
                                     name_of(value->dtype), to_string(value->shape),
                                     name_of(start.dtype)));
    }
  }
  if (start.dtype == DType::boolean) return place.error("The dtype (bool) has no range.");
  const double step = delta.number(0);
  const double rounds = std::ceil((limit.number(0) - start.number(0)) / step);
  if (step == 0 || !(std::fabs(rounds) <= static_cast<double>(kElementsMax))) {
    return place.error(fmt::format("The range from {} to {} in steps of {} is not finite.",
                                   start.number(0), limit.number(0), step));
  }
  const Shape shape = {static_cast<int64_t>(std::max(rounds, 0.0))};
  const TensorId first = graph.add_constant(place.name + "/start", start);
  const TensorId stride = graph.add_constant(place.name + "/delta", delta);
  NodeWriter writer(graph, place);
  const Term index = convert(writer.axis(0), scalar_type_of(start.dtype));
  const Term way = index * writer.only_element(stride);
  return writer.map(start.dtype, shape, writer.only_element(first) + way);
}

}  // namespace leat::ops
