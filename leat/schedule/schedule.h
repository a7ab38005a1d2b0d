// The schedule: an op graph becomes a plan for one Target (plan.h), in one direction, a file for
// each step; `leat dump --after STEP` prints what stands after any of them.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "leat/schedule/choose_kernels.h"

namespace leat {

/// The steps, in the order in which they are taken.
enum class PlanStep : uint8_t {
  normalise,  // normalise.h: what later steps may take for granted
  fuse,       // fuse.h: fewer nodes that compute the same
  layout,     // layout.h: strides, storage types, shared bytes, packed weights
  choose,     // choose_kernels.h: parameters; nodes become slices and parts
  memory,     // memory_plan.h: offsets
};
std::string_view name_of(PlanStep step);
std::span<const PlanStep> plan_steps();

struct ScheduleOptions {
  /// Who chooses, for this target; null: the analytic model. Lives until make_schedule returns.
  Chooser* chooser = nullptr;
  /// May be empty. Lives until make_schedule returns.
  KnownParams known_params;
  /// Graph inputs and outputs may be laid out like activations (channels innermost) instead of
  /// row-major; for one kernel measured as it runs inside a network.
  bool external_channels_last = false;
  /// Contractions are sliced at this size of a constant even where the Target takes a larger one.
  uint64_t argument_bytes_max = UINT64_MAX;
  /// A graph with f64 is refused where the target has none, instead of computed as f32.
  bool strict = false;
  /// What factors of products in f32 may be rounded to; where the target has nothing of it, or it
  /// would not be faster, they are not.
  Precision precision = Precision::f32;
  /// Sees the plan after each step.
  std::function<void(PlanStep, const Schedule&)> after_step;
};

/// Errors: unsupported, when a tensor is too large for 32-bit indices or for an argument of a
/// kernel, or with f64 under `strict`; invalid_argument, when the chooser picks
/// what is not legal.
Result<Schedule> make_schedule(const Graph& graph, const Target& target,
                               const ScheduleOptions& options);

}  // namespace leat
