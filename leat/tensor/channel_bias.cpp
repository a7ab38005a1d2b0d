// See channel_bias.h.
#include "leat/tensor/channel_bias.h"

#include <fmt/format.h>

namespace leat::ops {

Term add_channel_bias(NodeWriter& writer, Term value, TensorId bias, Term channel) {
  return bias == kNoTensor ? value : value + writer.load(bias, {channel});
}

Result<void> require_bias(const Graph& graph, const Place& place, DType dtype, TensorId bias,
                          int64_t channels) {
  if (bias == kNoTensor) return {};
  if (dtype_of(graph, bias) != dtype) {
    return place.error(fmt::format("The bias' dtype ({}) is not that of the sums ({}).",
                                   name_of(dtype_of(graph, bias)), name_of(dtype)));
  }
  if (shape_of(graph, bias) == Shape{channels}) return {};
  return place.error(fmt::format("The bias' shape {} is not the number of output channels ({}).",
                                 to_string(shape_of(graph, bias)), channels));
}

}  // namespace leat::ops
