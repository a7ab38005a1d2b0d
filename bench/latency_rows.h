// Rows of `leat bench latency`: what submitting a kernel that does nothing costs on one route, and
// what a kernel costs in a recorded list of a thousand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/progress.h"
#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat::cli {

struct LatencyRow {
  std::string name;
  std::string text;
  std::vector<double> seconds;  // of one kernel, one for each round
};

/// What was measured on one route, or why nothing was.
struct RouteLatency {
  std::string device;
  std::string failure;
  std::vector<LatencyRow> rows;
  std::optional<double> clock_before_mhz, clock_after_mhz;  // under load; where nvidia-smi tells
  std::optional<double> allocations;  // calls of operator new in a replay and its wait
  std::optional<double> syscalls;     // the same for system calls, counted by a tracer
};

/// Brings the clock up, measures every way to submit `rounds` times, and checks what the kernels
/// have counted. Leaves syscalls open. Errors: internal, when a count is wrong; device_lost.
Result<RouteLatency> measure_latency(Device& device, uint32_t rounds, Progress& progress);

/// What the traced child does: `count` replays, each waited for, between two marks.
Result<void> replay_empty(Device& device, uint32_t count);

/// The replays that a child is traced for.
inline constexpr uint32_t kReplaysTraced = 200;

}  // namespace leat::cli
