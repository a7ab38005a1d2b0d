// Runs of models that are compiled here. See model_run.h.
#include "cli/device_choice.h"
#include "cli/model_run.h"

namespace leat::cli {

Result<MeasuredRun> run_model(Model model, const RunSteps& steps, const ModelRunOptions& options,
                              const ProcessStart& start, Progress& progress) {
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
  load.states = options.states;
  load.specialise = options.specialise;
  load.network.schedule.precision = options.precision;
  const MeasureOptions measure = {.repeat = options.repeat,
                                  .peak = measured_peaks(options.cache_folder),
                                  .profile = options.profile,
                                  .trace = options.trace,
                                  .on_step = [&](const std::string& step) { progress.show(step); }};
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(std::move(model), load));
  return run_loaded(*loaded, steps, measure, start);
}

}  // namespace leat::cli
