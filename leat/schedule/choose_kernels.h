// The step that settles which kernels there are: every node is asked for once, and one whose
// choice is several kernels is replaced by them.
#pragma once

#include "leat/schedule/chooser.h"

namespace leat {

/// The most bytes that one argument of a kernel may have: the target's limit, or a smaller one that
/// the caller gives.
struct ArgumentLimit {
  uint64_t bytes_max = UINT64_MAX;
};

/// Fills schedule.steps, in order of execution, and the sizes of packed weights. Layouts must be
/// assigned; tensors that splitting adds get theirs here. A contraction with a constant beyond the
/// limit becomes slices, one with split_k parts and a sum, a reduction with split likewise.
/// Errors: invalid_argument, for an illegal choice; unsupported, naming the first tensor that is
/// beyond the limit all the same.
Result<void> choose_kernels(Schedule& schedule, Chooser& chooser, ArgumentLimit limit,
                            const KnownParams& known_params = {});

}  // namespace leat
