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
#include "cli/model_files.h"
#include "cli/model_run.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/run_files.h"
#include "cli/run_stream.h"
#include "leat/model/onnx_import.h"
#include "leat/pack/packed_model.h"

namespace leat::cli {

namespace {

/// Names of the model's inputs, and their files; those with a default may lack one.
using InputFiles = std::vector<std::pair<ModelValue, InputFile>>;

/// The declared inputs, with 1 where an extent is open.
std::vector<ModelValue> values_of(const OnnxModel& file) {
  std::vector<ModelValue> values;
  for (const auto& list : {file.inputs(), file.default_inputs()}) {
    for (const DeclaredInput& input : list) {
      values.push_back({input.name, input.dtype, input.shape(), kNoTensor});
    }
  }
  return values;
}

Result<InputFiles> read_inputs(const RunOptions& options, const OnnxModel& file) {
  const std::vector<ModelValue> inputs = values_of(file);
  TRY_ASSIGN(auto paths, match_files(options.inputs, inputs, "input"));
  InputFiles files;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!paths.contains(i) && i >= file.inputs().size()) continue;
    if (!paths.contains(i)) {
      const ModelValue& input = inputs[i];
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("No file is given for input \"{}\" ({} {}) of model \"{}\".", input.name,
                      name_of(input.dtype), to_string(input.shape), options.model));
    }
    TRY_ASSIGN(InputFile read, read_input_file(paths[i]));
    files.emplace_back(inputs[i], std::move(read));
  }
  return files;
}

/// What the files say of shapes and, where the model lets them decide something, of values.
Result<ImportOptions> import_options(const OnnxModel& file, const InputFiles& files) {
  ImportOptions options;
  for (const auto& [input, read] : files) {
    const bool has_default =
        std::ranges::count(file.default_inputs(), input.name, &DeclaredInput::name) > 0;
    if (const auto shape = wanted_shape(read, input)) {
      options.input_shapes[input.name] = *shape;
    } else if (has_default) {
      options.input_shapes[input.name] = input.shape;
    }
    if (!read.tensor) continue;
    ModelValue as_read = input;
    as_read.shape = read.tensor->shape;
    TRY_ASSIGN(options.input_values[input.name], fit_to_input(read, as_read, {}));
  }
  return options;
}

/// Makes the model for the sizes that its files have, where it leaves sizes open.
Result<Prepared> prepare(const RunOptions& options) {
  Prepared prepared;
  TRY_ASSIGN(const OnnxModel file, OnnxModel::read(options.model));
  TRY_ASSIGN(const InputFiles files, read_inputs(options, file));
  TRY_ASSIGN(ImportOptions known, import_options(file, files));
  TRY_ASSIGN(prepared.model, file.specialised(known));
  TRY_ASSIGN(prepared.numbers, picture_numbers(options.picture, prepared.model));
  for (const ModelValue& input : prepared.model.inputs) {
    const auto found = std::ranges::find_if(
        files, [&](const auto& read) { return read.first.name == input.name; });
    const auto value = known.input_values.find(input.name);
    if (value != known.input_values.end() && value->second.shape == input.shape) {
      prepared.inputs.push_back(std::move(value->second));
    } else {
      TRY_ASSIGN(HostTensor tensor, fit_to_input(found->second, input, prepared.numbers));
      prepared.inputs.push_back(std::move(tensor));
    }
  }
  std::vector<std::string> read;
  for (const auto& [input, from] : files) read.push_back(from.path);
  TRY(prepare_files(options, std::move(read), prepared));
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
  if (options.profile || options.tune || options.repeat > 0) {
    return Error(ErrorKind::invalid_argument,
                 "A folder of inputs goes without --profile, --tune and --repeat.");
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
  return run_stream(std::move(stream), options.trace, options.json);
}

Result<int> run(const RunOptions& options, const ProcessStart& start) {
  if (is_pack_file(options.model)) return run_pack(options, start);
  if (is_folder(options.inputs)) return run_folder(options);
  Progress progress;
  progress.show("reading " + options.model);
  TRY_ASSIGN(const Prepared prepared, prepare(options));
  ModelRunOptions settings = run_settings(options);
  settings.cache_folder = kernel_cache_folder(options.no_cache);
  settings.strict = options.strict;
  settings.tune = options.tune;
  Trace trace;
  if (!options.trace.empty()) settings.trace = &trace;
  TRY_ASSIGN(const ModelRun result,
             run_model(prepared.model, prepared.inputs, settings, start, progress));
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
