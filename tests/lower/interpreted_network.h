// For tests: runs a schedule with the interpreter in place of a device. What it computes must equal
// the reference whatever the target and the parameters are.
#pragma once

#include <vector>

#include "leat/lower/lower.h"
#include "leat/schedule/schedule.h"

namespace leat::testing {

/// Which numbers of the kernels come with the launch (leat/schedule/number.h).
enum class Openness : uint8_t { none, all };

/// Runs the graph under `options` as lowered for `target`; one value per graph input.
/// Graph inputs and outputs are f32 or whole numbers in row-major order.
Result<std::vector<HostTensor>> run_interpreted(const Graph& graph, const Target& target,
                                                const ScheduleOptions& options,
                                                std::span<const HostTensor> inputs,
                                                Openness openness);

}  // namespace leat::testing
