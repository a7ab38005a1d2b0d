// Checks of indices that only the device knows. ONNX calls one that is outside of its extent an
// error; gathers read nothing there and scatters write nothing, so that all that is left to do is
// to say so.
#pragma once

#include <string_view>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat::ops {

/// Asks of `indices`, with which the operator computes `guarded`, that the one at row-major
/// position p lies in [-extents[p % size], extents[p % size]): a reduction over them and a look at
/// the first that does not. Constant ones were checked when `guarded` was written. Errors: those of
/// Graph::add_node.
Result<void> check_indices(Graph& graph, std::string_view op, std::string_view name,
                           TensorId guarded, TensorId indices, const std::vector<int64_t>& extents);

}  // namespace leat::ops
