// One model on one device: its results, how long they take, and the table that `leat run` ends
// with.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

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
};

/// Of a model that is ready; `inputs` has one value per Model::inputs. Errors: those of devices.
Result<MeasuredRun> run_loaded(LoadedModel& loaded, std::span<const HostTensor> inputs,
                               const MeasureOptions& options, const ProcessStart& start);

/// Of a model that is to be compiled.
/// Errors: those of the device named, or of the last one tried.
Result<MeasuredRun> run_model(Model model, std::span<const HostTensor> inputs,
                              const ModelRunOptions& options, const ProcessStart& start,
                              Progress& progress);

std::string text_of(const MeasuredRun& run);
void add_run_facts(nlohmann::ordered_json& object, const MeasuredRun& run);

}  // namespace leat::cli
