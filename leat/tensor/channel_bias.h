// The bias of convolutions.
#pragma once

#include "leat/tensor/node_writer.h"

namespace leat::ops {

/// value + bias[channel]; value alone when bias is kNoTensor.
Term add_channel_bias(NodeWriter& writer, Term value, TensorId bias, Term channel);

/// Checks that bias, if there is one, has shape (channels) and the dtype.
Result<void> require_bias(const Graph& graph, const Place& place, DType dtype, TensorId bias,
                          int64_t channels);

}  // namespace leat::ops
