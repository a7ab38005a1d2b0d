// Split of a reduction: a map-reduce node with few outputs and a long reduction becomes one that
// reduces parts and one that reduces their results.
#pragma once

#include "leat/schedule/schedule.h"

namespace leat {

/// Replaces map-reduce `node`, whose reduction is of floats and may be done in any order, by one
/// that reduces `parts` equal parts (see parts_of_axes), of two elements at least, into f32 and one
/// that reduces those and applies the result expression. The schedule's strides must be assigned;
/// the new tensor gets its own. Invalidates node numbers after `node` (one is inserted).
void split_reduce(Schedule& schedule, size_t node, int64_t parts);

}  // namespace leat
