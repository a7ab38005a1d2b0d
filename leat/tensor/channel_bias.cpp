// See channel_bias.h.
#include "leat/tensor/channel_bias.h"

#include <fmt/format.h>

namespace leat::ops {

Term add_channel_bias(NodeWriter& writer, Term value, TensorId bias, Term channel) {
  return bias == kNoTensor ? value : value + writer.load(bias, {channel});
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
