// `leat run` of a packed model: nothing is compiled and no cache is looked at. See run_files.h.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/device_choice.h"
#include "cli/run_files.h"
#include "leat/pack/packed_model.h"

namespace leat::cli {

namespace {

/// What only a compiler could do.
Result<void> check_options(const RunOptions& options) {
  if (!options.tune && !options.strict) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("Packed model \"{}\" is run as it was compiled, without --tune and "
                           "--strict.",
                           options.model));
}

Result<Prepared> prepare(const RunOptions& options, const Pack& pack) {
  Prepared prepared;
  prepared.model = pack.model();
  TRY_ASSIGN(prepared.numbers, picture_numbers(options.picture, prepared.model));
  TRY_ASSIGN(const auto paths, match_files(options.inputs, prepared.model.inputs, "input"));
  std::vector<std::string> read;
  for (size_t i = 0; i < prepared.model.inputs.size(); ++i) {
    const ModelValue& input = prepared.model.inputs[i];
    if (!paths.contains(i)) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("No file is given for input \"{}\" ({} {}) of model \"{}\".", input.name,
                      name_of(input.dtype), to_string(input.shape), options.model));
    }
    TRY_ASSIGN(const InputFile file, read_input_file(paths.at(i)));
    TRY_ASSIGN(HostTensor tensor, fit_to_input(file, input, prepared.numbers));
    prepared.inputs.push_back(std::move(tensor));
    read.push_back(paths.at(i));
  }
  TRY(prepare_files(options, std::move(read), prepared));
  return prepared;
}

}  // namespace

Result<int> run_pack(const RunOptions& options, const ProcessStart& start) {
  TRY(check_options(options));
  Progress progress;
  progress.show("reading " + options.model);
  TRY_ASSIGN(std::shared_ptr<const Pack> pack, Pack::read(options.model));
  TRY_ASSIGN(const Prepared prepared, prepare(options, *pack));
  Session session(plain_session_options());
  LoadOptions load;
  load.device = options.device;
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(std::move(pack), load));
  ModelRunOptions settings = run_settings(options);
  Trace trace;
  if (!options.trace.empty()) settings.trace = &trace;
  const PeakOf no_peak = [](LoadedModel&, const ModelRun&) -> Result<double> { return 0.0; };
  TRY_ASSIGN(const ModelRun result,
             run_loaded(*loaded, prepared.inputs, settings, start, progress, no_peak));
  progress.clear();
  return report_run(options, prepared, result, trace);
}

}  // namespace leat::cli
