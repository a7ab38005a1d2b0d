// What the choice of a reduction's form, its split and its lowering know of its reduction:
// which axis lanes share, how parts cut the axes, and how far apart in memory neighbours lie.
#pragma once

#include <optional>
#include <vector>

#include "leat/schedule/plan.h"

namespace leat {

/// True for a node that reduces over at least one axis.
bool is_reduction(const Node& node);
/// Sums, maxima and minima of floats may be taken in any order and in parts.
bool is_associative(const Node& node);

/// The reduce axis that lanes share: the innermost one that is longer than 1.
size_t lane_axis_of(const Shape& reduce);

/// How far apart in memory, in elements, neighbours along each axis lie (in the node's
/// order) in the tensor that is reduced: the one of the first load that moves along a reduce axis.
/// An axis of extent 1 has distance 0. None where that address depends on other loads (gather).
/// The placements of the node's tensors must have their strides.
std::optional<std::vector<int64_t>> reduced_strides(const Schedule& schedule, const Node& node);

/// For each axis the farthest that any load goes which moves along a reduce axis: what a step
/// costs. A factor that stands still between outputs, as the row of a product of one, hides
/// nothing.
std::optional<std::vector<int64_t>> widest_strides(const Schedule& schedule, const Node& node);

/// `parts` as a number of parts of each reduce axis: outer axes are taken apart whole before the
/// next one is cut into equal stretches. None when that does not give equal parts.
std::optional<Shape> parts_of_axes(const Shape& reduce, int64_t parts);

}  // namespace leat
