// `leat run`: a model on files, and a table that says where it ran and how well. A folder as the
// only input goes through the juggler (run_stream.h).
//
// Without --device the best device that takes the model is used: one that answers `unsupported` is
// named on stderr and the next one tried.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/model_inputs.h"
#include "cli/model_run.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/run_files.h"
#include "cli/run_stream.h"
#include "leat/pack/packed_model.h"

namespace leat::cli {

namespace {

Result<Prepared> prepare(const RunOptions& options) {
  Prepared prepared;
  const FeedOptions feed = {.in_parts = true, .trusts_kernels = options.trusts_kernels};
  if (options.states.empty() && !options.in_steps) {
    TRY_ASSIGN(prepared.fed, feed_model(options.model, options.inputs, options.picture, feed));
    prepared.steps = {std::move(prepared.fed.inputs)};
  } else {
    TRY_ASSIGN(FedSteps fed, feed_steps(options.model, options.inputs, options.states,
                                        options.in_steps, options.picture, feed));
    prepared.fed = std::move(fed.fed);
    prepared.steps = std::move(fed.steps);
    prepared.states = std::move(fed.states);
    prepared.specialise = std::move(fed.specialise);
  }
  TRY(prepare_files(options, prepared));
  return prepared;
}

bool is_folder(const std::vector<std::string>& inputs) {
  return inputs.size() == 1 && std::filesystem::is_directory(inputs[0]);
}

Result<int> run_folder(const RunOptions& options) {
  if (options.outputs.size() != 1 || options.outputs[0].empty()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("A folder of inputs needs one --output folder with a name, not ({}).",
                             fmt::join(options.outputs, ", ")));
  }
  if (options.profile || options.tune || options.repeat > 0 || !options.states.empty() ||
      options.in_steps) {
    return Error(ErrorKind::invalid_argument,
                 "A folder of inputs goes without --profile, --tune, --repeat, --state and "
                 "--steps.");
  }
  StreamOptions stream;
  stream.model = options.model;
  stream.input_folder = options.inputs[0];
  stream.output_folder = options.outputs[0];
  stream.devices = split_specs(options.device);
  stream.picture = options.picture;
  stream.top = options.top;
  stream.labels = options.labels;
  stream.cache_folder = kernel_cache_folder(options.no_cache);
  stream.host_threads = options.host_threads;
  stream.times = !options.trace.empty();
  stream.strict = options.strict;
  stream.precision = options.precision;
  stream.trusts_kernels = options.trusts_kernels;
  return run_stream(std::move(stream), options.trace, options.json);
}

Result<int> run(const RunOptions& options, const ProcessStart& start) {
  if (is_pack_file(options.model)) return run_pack(options, start);
  if (is_folder(options.inputs)) return run_folder(options);
  Progress progress;
  progress.show("reading " + options.model);
  TRY_ASSIGN(const Prepared prepared, prepare(options));
  ModelRunOptions settings;
  settings.device = options.device;
  settings.repeat = repeat_of(options);
  settings.cache_folder = kernel_cache_folder(options.no_cache);
  settings.profile = options.profile;
  settings.strict = options.strict;
  settings.precision = options.precision;
  settings.tune = options.tune;
  settings.states = prepared.states;
  settings.specialise = prepared.specialise;
  Trace trace;
  if (!options.trace.empty()) settings.trace = &trace;
  TRY_ASSIGN(const MeasuredRun result,
             run_model(prepared.fed.model, steps_of(options, prepared), settings, start, progress));
  progress.clear();
  return report_run(options, prepared, result, trace);
}

}  // namespace

CommandRun add_run(CLI::App& command) {
  const auto options = std::make_shared<RunOptions>();
  declare_run_options(command, *options);
  return [options](const ProcessStart& start) { return run(*options, start); };
}

}  // namespace leat::cli
