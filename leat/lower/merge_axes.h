// Merging of loop axes: neighbours that every tensor of a node walks as one are made one, so
// that an element-wise kernel is a single long row whatever its rank.
#pragma once

#include <unordered_map>
#include <vector>

#include "leat/lower/address.h"
#include "leat/schedule/kernel_key.h"

namespace leat {

/// The iteration space of a node after merging. Axes 0 .. extents.size()-1 are output axes,
/// largest output stride first; the reduce axes follow unchanged.
struct MergedAxes {
  Numbers extents;
  std::vector<NumberForm> outputs;               // element address of each store
  std::unordered_map<ExprId, NumberForm> loads;  // element address of every load
};

/// The merged space, or nothing when an expression uses coordinates for more than affine, unmasked
/// loads. `order` sorts the output axes.
std::optional<MergedAxes> merge_axes(const Node& node, const NodeNumbers& numbers,
                                     const std::vector<size_t>& order);

}  // namespace leat
