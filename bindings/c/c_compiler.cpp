// What the C library does with a compiler. See c_model.h.
#include <fmt/format.h>

#include <algorithm>

#include "bindings/c/c_model.h"
#include "leat/model/onnx_import.h"
#include "leat/model/onnx_shapes.h"
#include "leat/run/tuning.h"

namespace leat::c {

namespace {

Result<ImportOptions> known_of(const leat_load_options& options, const OnnxModel& file) {
  ImportOptions known;
  known.in_parts = true;
  known.trusts_kernels = options.trusts_kernels != 0;
  if (options.known_count > 0) TRY(check_given(options.known, "known"));
  for (const leat_known_input& input : std::span(options.known, options.known_count)) {
    TRY(check_given(input.name, "name of a known input"));
    const auto declared = std::ranges::find(file.inputs(), input.name, &DeclaredInput::name);
    if (declared == file.inputs().end()) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("The model has no input \"{}\".", input.name));
    }
    const std::string what = fmt::format("known input \"{}\"", input.name);
    TRY_ASSIGN(TensorFacts facts, shape_facts_of(input.value, what));
    if (input.value.data != nullptr) {
      TRY_ASSIGN(known.input_values[input.name], value_of(input.value, what));
    }
    known.input_shapes[input.name] = std::move(facts.shape);
  }
  return known;
}

constexpr double kKernelSeconds = 0.1;
constexpr double kKernelSecondsMax = 3600;

Result<leat_tune_result> tune(leat_model& model, const leat_tune_options& options) {
  const double seconds = options.kernel_seconds == 0 ? kKernelSeconds : options.kernel_seconds;
  if (!(seconds > 0 && seconds <= kKernelSecondsMax)) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Seconds for each kernel ({}) are not above 0 and up to {}.", seconds,
                             kKernelSecondsMax));
  }
  if (model.session->cache_folder.empty()) {
    return Error(ErrorKind::invalid_argument,
                 "The session keeps no cache, and so nothing that tuning finds.");
  }
  TRY(TuneStore::open(model.session->cache_folder));
  leat_tune_result result{};
  TuningOptions tuning;
  tuning.cache_folder = model.session->cache_folder;
  tuning.measures = true;
  tuning.again = options.is_again != 0;
  tuning.limits.seconds = seconds;
  tuning.on_choice = [&](const TunedKernel& kernel) {
    ++result.kernels;
    if (kernel.source == ChoiceSource::measured) ++result.measured;
    if (kernel.seconds <= 0 || kernel.model_seconds <= 0) return;
    result.model_us += kernel.model_seconds * 1e6;
    result.tuned_us += kernel.seconds * 1e6;
  };
  TRY(model.loaded->choose_anew(tuned_choices(std::move(tuning))));
  return result;
}

}  // namespace

void add_tuning(SessionOptions& own, const leat_session_options& options) {
  TuningOptions tuning;  // what `leat tune` has found
  tuning.cache_folder = own.cache_folder;
  if (options.log != nullptr) {
    tuning.on_store_error = [log = options.log, context = options.log_context](const Error& error) {
      log(context, error.message().c_str());
    };
  }
  own.choose_on = tuned_choices(std::move(tuning));
}

Result<std::unique_ptr<LoadedModel>> load_compiled(Session& session, const ModelFile& file,
                                                   const leat_load_options& options,
                                                   LoadOptions loading) {
  TRY_ASSIGN(OnnxModel parsed,
             file.bytes ? OnnxModel::parse(*file.bytes, file.path) : OnnxModel::read(file.path));
  const auto onnx = std::make_shared<const OnnxModel>(std::move(parsed));
  TRY_ASSIGN(const ImportOptions known, known_of(options, *onnx));
  const bool waits = leaves_shapes_open(*onnx, known);
  ImportFailure failure;
  Result<Model> tried = onnx->specialised(known, &failure);
  // Extents of 1 may be too small for a node, and an input without rank has no shape at all; what
  // is wrong whatever they are is said at once.
  const auto lacks_rank = [&](const DeclaredInput& input) {
    return !input.has_rank && !known.input_shapes.contains(input.name);
  };
  const bool may_come_right =
      waits && (!failure.op.empty() || std::ranges::any_of(onnx->inputs(), lacks_rank));
  if (!tried && (!may_come_right || tried.error().kind() == ErrorKind::io)) return tried.error();
  if (waits) {
    TRY_ASSIGN(tried, onnx->declared(known.input_shapes));
  }
  Model model = std::move(*tried);
  loading.network.schedule.strict = options.is_strict != 0;
  loading.specialise = specialiser(onnx, known, model.inputs);
  if (options.has_one_shape == 0) loading.foresee = foresight(onnx, model.inputs);
  loading.first_shapes = first_shapes(onnx, model.inputs);
  loading.waits_for_shapes = waits;
  TRY_ASSIGN(loading.states, states_of(options, model));
  return session.load(std::move(model), std::move(loading));
}

}  // namespace leat::c

using namespace leat;

leat_status leat_model_tune(leat_model* model, const leat_tune_options* options,
                            leat_tune_result* result) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY(model->loaded->check_ready());
    TRY_ASSIGN(const leat_tune_options own, c::read_struct(options, "leat_tune_options"));
    TRY_ASSIGN(const leat_tune_result told, c::tune(*model, own));
    return result == nullptr ? Result<void>() : c::write_struct(told, result, "leat_tune_result");
  });
}
