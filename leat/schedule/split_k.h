// Split of k: where a product has few output tiles and a long k, several workgroups sum a part of k
// each. Then another kernel adds the parts and stores; or, where workgroups can tell who comes
// last, the last one of a tile does, in the same kernel (ContractionParams::last_adds).
#pragma once

#include "leat/schedule/plan.h"

namespace leat {

/// What a node was split into; the second reads what the first writes.
struct NodePair {
  Node first;
  Node second;
};

/// The sum over each of `parts` equal parts of the innermost reduce axis, as a node: the parts are
/// axis 0, before the whole's axes, and the inputs are the whole's. `parts` must divide that axis.
Node part_of_k(const Node& whole, int64_t parts);

/// Elements of what the parts of one kernel leave for the last: tiles * parts * tile elements,
/// where a tile's lanes store what they hold side by side; and its counters, one a tile.
int64_t parts_element_count(const Contraction& contraction, const ContractionParams& params);
int64_t tile_count(const Contraction& contraction, const ContractionParams& params);

/// Adds the two tensors with their placements: Step::scratch of the whole, computed in parts.
std::vector<TensorId> add_parts_scratch(Schedule& schedule, const Node& whole,
                                        const ContractionParams& params);

/// The partial node, and the one that adds its results in order and stores them as the whole would.
/// Adds the tensor between them with its placement.
NodePair split_k(Schedule& schedule, const Node& whole, int64_t parts);

}  // namespace leat
