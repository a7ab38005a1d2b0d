// The steps in their order; see schedule.h.
#include "leat/schedule/schedule.h"

#include <algorithm>

#include "leat/schedule/fuse.h"
#include "leat/schedule/layout.h"
#include "leat/schedule/memory_plan.h"
#include "leat/schedule/move_views.h"
#include "leat/schedule/normalise.h"
#include "leat/schedule/widen_channels.h"
#include "leat/tensor/fold.h"

namespace leat {

std::string_view name_of(PlanStep step) {
  switch (step) {
    case PlanStep::normalise: return "normalise";
    case PlanStep::fuse: return "fuse";
    case PlanStep::layout: return "layout";
    case PlanStep::choose: return "choose";
    case PlanStep::memory: return "memory";
  }
  return "";
}

std::span<const PlanStep> plan_steps() {
  using enum PlanStep;
  static constexpr PlanStep kSteps[] = {normalise, fuse, layout, choose, memory};
  return kSteps;
}

/// Those that the choice has given to units; one in slices counts for each.
static uint32_t products_of_tf32(const Schedule& schedule) {
  const auto is_one = [&](const Step& step) {
    const auto* const params = std::get_if<ContractionParams>(&step.params);
    const Node& node = schedule.graph.nodes[step.node];
    return params != nullptr && params->by_units() &&
           takes_tf32(schedule, node, *find_contraction(schedule.graph, node));
  };
  return static_cast<uint32_t>(std::ranges::count_if(schedule.steps, is_one));
}

Result<Schedule> make_schedule(const Graph& graph, const Target& target,
                               const ScheduleOptions& options) {
  Schedule schedule;
  schedule.graph = graph;
  Chooser model(target);
  Chooser& chooser = options.chooser == nullptr ? model : *options.chooser;
  CHECK(chooser.target() == target);
  const auto done = [&](PlanStep step) {
    if (options.after_step) options.after_step(step, schedule);
  };

  schedule.f64_as_f32 = needs_f64_as_f32(graph, target);
  if (schedule.f64_as_f32 && options.strict) {
    return Error(ErrorKind::unsupported,
                 "The graph computes in f64, of which Target \"" + target.name + "\" has none.");
  }
  schedule.precision = options.precision;
  TRY_ASSIGN(schedule.products, normalise(schedule.graph, target, options.precision));
  done(PlanStep::normalise);
  see_through_moves(schedule.graph);
  fuse(schedule.graph, target);
  TRY(fold_widened(schedule.graph));
  widen_channels(schedule.graph, target);
  done(PlanStep::fuse);
  assign_layouts(schedule, target, options.external_channels_last);
  done(PlanStep::layout);
  TRY(choose_kernels(schedule, chooser, {options.argument_bytes_max}, options.known_params));
  if (options.precision == Precision::tf32) {
    schedule.products.rounded = std::min(schedule.products.all, products_of_tf32(schedule));
  }
  done(PlanStep::choose);
  plan_memory(schedule);
  done(PlanStep::memory);
  return schedule;
}

}  // namespace leat
