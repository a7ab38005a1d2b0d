// Split of a large constant: a contraction whose constant operand is larger than what a kernel may
// have as one argument becomes several, each with a slice of the constant, that write their slices
// of the output in place.
#pragma once

#include "leat/schedule/schedule.h"

namespace leat {

/// Splits every contraction with such an operand along one of the axes that only this operand and
/// the output have: columns for B, rows for A. Runs after fusion, so that the epilogue goes with
/// the parts, and before split_k. A contraction stays whole when no axis of it is plainly one
/// dimension of the constant and one of the output (groups); check_argument_sizes refuses it then.
void split_large_constants(Schedule& schedule, const Target& target,
                           const ScheduleOptions& options);

/// The most bytes that one argument of a kernel may have.
uint64_t argument_bytes_max(const Target& target, const ScheduleOptions& options);

/// Errors: unsupported, naming the first tensor that is larger than that.
Result<void> check_argument_sizes(const Schedule& schedule, const Target& target,
                                  const ScheduleOptions& options);

}  // namespace leat
