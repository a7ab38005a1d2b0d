// What the operators of the contraction family share: index maps and the bias.
#pragma once

#include <utility>
#include <vector>

#include "leat/tensor/node_writer.h"

namespace leat::ops {

/// constant + sum of coefficient * axis over `axis_count` loop axes.
Affine affine_of(size_t axis_count, std::vector<std::pair<size_t, int64_t>> terms,
                 int64_t constant = 0);

/// value + bias[channel], where channel is output axis 1; value alone when bias is kNoTensor.
Term add_channel_bias(NodeWriter& writer, Term value, TensorId bias);

/// Checks that bias, if there is one, has shape (channels) and x's dtype.
Result<void> require_bias(const Graph& graph, const Place& place, TensorId x, TensorId bias,
                          int64_t channels);

}  // namespace leat::ops
