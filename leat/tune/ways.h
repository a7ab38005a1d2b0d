// The ways of computing a node around those that the model knows: what a search may try.
#pragma once

#include <vector>

#include "leat/schedule/candidates.h"

namespace leat {

/// Whether it is legal, and leaves a node whole that may not be split.
bool is_possible(const Schedule& schedule, const Node& node, const KernelParams& params,
                 const Target& target, Splitting splitting);

/// The legal ways that differ from this one in one parameter, by one step up or down.
std::vector<KernelParams> neighbours(const Schedule& schedule, const Node& node,
                                     const KernelParams& params, const Target& target,
                                     Splitting splitting);

/// Ways at the ends of what a model may have overlooked: tiles of one row, and of one column.
std::vector<KernelParams> extreme_ways(const Schedule& schedule, const Node& node,
                                       const KernelParams& params, const Target& target,
                                       Splitting splitting);

/// Every legal way whose main parameters take the values worth a trial, the others as in one of the
/// model's candidates: some tens to some thousands.
std::vector<KernelParams> all_ways(const Schedule& schedule, const Node& node, const Target& target,
                                   Splitting splitting);

}  // namespace leat
