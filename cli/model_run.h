// One model on one device: its results, how long they take, and the table that `leat run` ends
// with.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/progress.h"
#include "leat/report/measured_run.h"

namespace leat::cli {

struct ModelRunOptions {
  std::string device;        // empty: the best that takes the model
  uint32_t repeat = 1;       // timed runs
  std::string cache_folder;  // empty: no cache
  bool profile = false;
  bool strict = false;  // ScheduleOptions::strict
  Precision precision = Precision::f32;
  bool tune = false;  // measures kernels that tuning does not know
  Trace* trace = nullptr;
  std::vector<StatePair> states;                                           // LoadOptions
  std::function<Result<Model>(std::span<const Shape> shapes)> specialise;  // the same
};

/// Runs of one model, one after the other.
struct RunSteps {
  std::span<const std::vector<HostTensor>> inputs;  // of each; of a state, nothing where it goes on
  bool are_many = false;                            // outputs get an axis in front, of steps
  std::set<size_t> wanted = {};                     // outputs that have to make one array
};

/// What they leave: of each output all values, one after the other, or the only one; of states the
/// last. Errors: those of runs; invalid_argument, when an output that is wanted changes its shape.
Result<std::vector<HostTensor>> run_steps(LoadedModel& loaded, const RunSteps& steps);

/// Of a model that is ready; `inputs` has one value per Model::inputs. Errors: those of devices.
Result<MeasuredRun> run_loaded(LoadedModel& loaded, const RunSteps& steps,
                               const MeasureOptions& options, const ProcessStart& start);

/// Of a model that is to be compiled.
/// Errors: those of the device named, or of the last one tried.
Result<MeasuredRun> run_model(Model model, const RunSteps& steps, const ModelRunOptions& options,
                              const ProcessStart& start, Progress& progress);

std::string text_of(const MeasuredRun& run);
void add_run_facts(nlohmann::ordered_json& object, const MeasuredRun& run);

}  // namespace leat::cli
