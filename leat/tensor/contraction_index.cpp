// See contraction_index.h.
#include "leat/tensor/contraction_index.h"

#include <fmt/format.h>

#include "leat/base/check.h"

namespace leat::ops {

Affine affine_of(size_t axis_count, std::vector<std::pair<size_t, int64_t>> terms,
                 int64_t constant) {
  Affine affine = {.constant = constant, .coefficients = std::vector<int64_t>(axis_count, 0)};
  for (const auto& [axis, coefficient] : terms) {
    CHECK(axis < axis_count);
    affine.coefficients[axis] += coefficient;
  }
  return affine;
}

Term add_channel_bias(NodeWriter& writer, Term value, TensorId bias) {
  return bias == kNoTensor ? value : value + writer.load(bias, {writer.axis(1)});
}

Result<void> require_bias(const Graph& graph, const Place& place, TensorId x, TensorId bias,
                          int64_t channels) {
  if (bias == kNoTensor) return {};
  TRY(require_same_dtype(graph, place, x, bias));
  if (shape_of(graph, bias) == Shape{channels}) return {};
  return place.error(fmt::format("The bias' shape {} is not the number of output channels ({}).",
                                 to_string(shape_of(graph, bias)), channels));
}

}  // namespace leat::ops
