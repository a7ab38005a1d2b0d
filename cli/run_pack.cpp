// `leat run` of a packed model: nothing is compiled and no cache is looked at. See run_files.h.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/device_choice.h"
#include "cli/run_files.h"
#include "leat/pack/packed_model.h"
#include "leat/run/state_pairs.h"

namespace leat::cli {

namespace {

/// What only a compiler could do.
Result<void> check_options(const RunOptions& options) {
  const bool is_plain = !options.tune && !options.strict && !options.in_steps;
  if (is_plain && options.precision == Precision::f32) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("Packed model \"{}\" is run as it was compiled, without --tune, "
                           "--strict, --steps and --precision.",
                           options.model));
}

Result<Prepared> prepare(const RunOptions& options, const Pack& pack) {
  Prepared prepared;
  FedModel& fed = prepared.fed;
  fed.model = pack.model();
  TRY_ASSIGN(fed.numbers, picture_numbers(options.picture, fed.model));
  TRY_ASSIGN(const auto paths, match_files(options.inputs, fed.model.inputs, "input"));
  TRY_ASSIGN(prepared.states, match_states(options.states, fed.model));
  for (size_t i = 0; i < fed.model.inputs.size(); ++i) {
    const ModelValue& input = fed.model.inputs[i];
    const bool is_state = std::ranges::count(prepared.states, i, &StatePair::input) > 0;
    fed.inputs.emplace_back();
    if (!paths.contains(i) && is_state) continue;
    if (!paths.contains(i)) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("No file is given for input \"{}\" ({} {}) of model \"{}\".", input.name,
                      name_of(input.dtype), to_string(input.shape), options.model));
    }
    fed.paths.push_back(paths.at(i));
    TRY_ASSIGN(const InputFile file, read_input_file(paths.at(i)));
    TRY_ASSIGN(fed.inputs.back(), fit_to_input(file, input, fed.numbers));
  }
  prepared.steps = {std::move(fed.inputs)};
  TRY(prepare_files(options, prepared));
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
  load.states = prepared.states;
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(std::move(pack), load));
  Trace trace;
  MeasureOptions measure;
  measure.repeat = repeat_of(options);
  measure.profile = options.profile;
  measure.trace = options.trace.empty() ? nullptr : &trace;
  measure.on_step = [&](const std::string& step) { progress.show(step); };
  TRY_ASSIGN(const MeasuredRun result,
             run_loaded(*loaded, steps_of(options, prepared), measure, start));
  progress.clear();
  return report_run(options, prepared, result, trace);
}

}  // namespace leat::cli
