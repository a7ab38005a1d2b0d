// Schedule parameters of a map-reduce kernel: who reduces what, and in how many parts.
#pragma once

#include <optional>
#include <vector>

#include "leat/schedule/schedule.h"

namespace leat {

/// The analytic first choice. Reads the strides in schedule.placements, which must be assigned.
MapReduceParams choose_map_reduce(const Schedule& schedule, const Node& node, const Target& target);

/// The reduce axis that lanes share: the innermost one that is longer than 1.
size_t lane_axis_of(const Shape& reduce);

/// How far apart in memory, in elements, neighbours along each axis lie (output axes, then reduce
/// axes) in the tensor that is reduced: the one of the first load that moves along a reduce axis.
/// An axis of extent 1 has distance 0. None where that address depends on other loads (gather).
std::optional<std::vector<int64_t>> reduced_strides(const Schedule& schedule, const Node& node);

/// `parts` as a number of parts of each reduce axis: outer axes are taken apart whole before the
/// next one is cut into equal stretches.
/// None when that does not give equal parts.
std::optional<Shape> parts_of_axes(const Shape& reduce, int64_t parts);

}  // namespace leat
