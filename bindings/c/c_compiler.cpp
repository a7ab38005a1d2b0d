// What the C library does with a compiler. See c_model.h.
#include <fmt/format.h>

#include <algorithm>

#include "bindings/c/c_model.h"
#include "leat/model/onnx_import.h"
#include "leat/run/tuning.h"

namespace leat::c {

namespace {

Result<ImportOptions> known_of(const leat_load_options& options, const OnnxModel& file) {
  ImportOptions known;
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

/// The same model for other shapes of the inputs of these names.
auto specialiser(std::shared_ptr<const OnnxModel> file, ImportOptions known,
                 const std::vector<ModelValue>& inputs) {
  std::vector<std::string> names;
  for (const ModelValue& input : inputs) names.push_back(input.name);
  return [file = std::move(file), known = std::move(known),
          names = std::move(names)](std::span<const Shape> shapes) {
    ImportOptions options = known;
    for (size_t i = 0; i < names.size(); ++i) options.input_shapes[names[i]] = shapes[i];
    return file->specialised(options);
  };
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
  TRY_ASSIGN(Model model, onnx->specialised(known));
  loading.network.schedule.strict = options.is_strict != 0;
  loading.specialise = specialiser(onnx, known, model.inputs);
  return session.load(std::move(model), std::move(loading));
}

}  // namespace leat::c
