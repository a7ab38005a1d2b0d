// Indices that a tensor gives: how gathers and scatters read them.
#pragma once

#include <functional>

#include "leat/tensor/node_writer.h"

namespace leat::ops {

/// An index tensor that is ready to be loaded from.
struct IndexSource {
  TensorId tensor = kNoTensor;
  bool checked = false;  // all values are known to lie in [0, extent)
};

/// extent_at(i) is the extent that row-major element i of the indices points into. Errors: a dtype
/// that is no whole number, a constant index outside [-extent, extent).
Result<IndexSource> index_source(Graph& graph, const Place& place, TensorId indices,
                                 const std::function<int64_t(int64_t)>& extent_at);

struct GatherIndex {
  Term index;
  Term inside;  // constant true where the indices were checked
};

/// The index at the coordinates `at`, counted from the front.
GatherIndex gather_index(NodeWriter& writer, const Graph& graph, const IndexSource& source,
                         const std::vector<Term>& at, int64_t extent);

}  // namespace leat::ops
