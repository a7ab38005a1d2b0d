// Runs of models that are compiled here. See model_run.h.
#include <algorithm>

#include "cli/device_choice.h"
#include "cli/model_run.h"
#include "leat/run/peak.h"

namespace leat::cli {

namespace {

/// What matrix units multiply in the network; f32 where none do.
DType unit_element_of(const Schedule& schedule) {
  for (const Step& step : schedule.steps) {
    const auto* tile = std::get_if<ContractionParams>(&step.params);
    if (tile == nullptr || !tile->by_units()) continue;
    const Node& node = schedule.graph.nodes[step.node];
    const auto contraction = find_contraction(schedule.graph, node);
    if (contraction) return schedule.placements[node.inputs[contraction->a.input]].storage;
  }
  return DType::f32;
}

Result<double> peak_of(LoadedModel& loaded, const ModelRun& run, const std::string& cache_folder) {
  const DType element = unit_element_of(loaded.network().schedule());
  Device& device = loaded.device();
  TRY_ASSIGN(double peak, measured_peak_gflops(device, cache_folder, element));
  if (run.gflops() <= peak) return peak;
  TRY_ASSIGN(const double again, measure_peak_gflops(device, element));  // kept on a busy machine
  peak = std::max(peak, again);
  keep_peak_gflops(device, cache_folder, peak, element);
  return peak;
}

}  // namespace

Result<ModelRun> run_model(Model model, std::span<const HostTensor> inputs,
                           const ModelRunOptions& options, const ProcessStart& start,
                           Progress& progress) {
  progress.show((options.tune ? "tuning " : "compiling ") + model.name);
  TuningOptions tuning;
  tuning.measures = options.tune;
  tuning.on_choice = [&](const TunedKernel& kernel) {
    if (options.tune) progress.show("tuning " + kernel.node);
  };
  Session session(session_options(options.cache_folder, std::move(tuning)));
  LoadOptions load;
  load.device = options.device;
  load.network.schedule.strict = options.strict;
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(std::move(model), load));
  return run_loaded(*loaded, inputs, options, start, progress,
                    [&](LoadedModel& ready, const ModelRun& run) {
                      return peak_of(ready, run, options.cache_folder);
                    });
}

}  // namespace leat::cli
