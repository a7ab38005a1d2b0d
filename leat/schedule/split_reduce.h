// Split of a reduction: a node with few outputs and a long reduction becomes one that
// reduces parts and one that reduces their results.
#pragma once

#include "leat/schedule/split_k.h"

namespace leat {

/// Node `whole`, whose reduction is of floats and may be done in any order, as one that
/// reduces `parts` equal parts (see parts_of_axes), of two elements at least, into f32 and one that
/// reduces those and applies the result expression. Adds the tensor of the partial results with its
/// placement; those of the whole's tensors must have their strides.
NodePair split_reduce(Schedule& schedule, const Node& whole, int64_t parts);

}  // namespace leat
