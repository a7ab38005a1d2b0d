// The numbers of the self-test: known_answer.h.
#pragma once

#include "leat/tensor/graph.h"

namespace leat {

inline constexpr int64_t kKnownRows = 37;
inline constexpr int64_t kKnownTerms = 21;
inline constexpr int64_t kKnownColumns = 43;
inline constexpr int64_t kKnownInputStep = 11;
inline constexpr int64_t kKnownWeightStep = 7;

/// Sixteenths between -1 and 1, in no order that a mistake would keep.
HostTensor known_pattern(Shape shape, int64_t step);

}  // namespace leat
