// See model_inputs.h.
#include "cli/model_inputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/model/onnx_import.h"
#include "leat/model/onnx_shapes.h"
#include "leat/run/state_pairs.h"

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

/// `optional`: names of inputs that may lack a file.
Result<InputFiles> read_inputs(const std::string& path, const std::vector<std::string>& arguments,
                               const OnnxModel& file,
                               const std::vector<std::string>& optional = {}) {
  const std::vector<ModelValue> inputs = values_of(file);
  TRY_ASSIGN(auto paths, match_files(arguments, inputs, "input"));
  InputFiles files;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool is_optional = std::ranges::count(optional, inputs[i].name) > 0;
    if (!paths.contains(i) && (i >= file.inputs().size() || is_optional)) continue;
    if (!paths.contains(i)) {
      const ModelValue& input = inputs[i];
      return Error(ErrorKind::invalid_argument,
                   fmt::format("No file is given for input \"{}\" ({} {}) of model \"{}\".",
                               input.name, name_of(input.dtype), to_string(input.shape), path));
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

/// Fits the files to the model, which was made with what is known of them.
Result<std::vector<HostTensor>> fit_all(const Model& model, const InputFiles& files,
                                        ImportOptions& known, const PictureNumbers& numbers) {
  std::vector<HostTensor> inputs;
  for (const ModelValue& input : model.inputs) {
    const auto found = std::ranges::find_if(
        files, [&](const auto& read) { return read.first.name == input.name; });
    const auto value = known.input_values.find(input.name);
    inputs.emplace_back();
    if (value != known.input_values.end() && value->second.shape == input.shape) {
      inputs.back() = std::move(value->second);
    } else if (found != files.end()) {
      TRY_ASSIGN(inputs.back(), fit_to_input(found->second, input, numbers));
    }
  }
  return inputs;
}

}  // namespace

Result<FedModel> feed_model(const std::string& path, const std::vector<std::string>& inputs,
                            const PictureOptions& picture, const FeedOptions& options) {
  FedModel fed;
  TRY_ASSIGN(const OnnxModel file, OnnxModel::read(path));
  TRY_ASSIGN(const InputFiles files, read_inputs(path, inputs, file));
  TRY_ASSIGN(ImportOptions known, import_options(file, files));
  known.in_parts = options.in_parts;
  known.trusts_kernels = options.trusts_kernels;
  TRY_ASSIGN(fed.model, file.specialised(known));
  TRY_ASSIGN(fed.numbers, picture_numbers(picture, fed.model));
  TRY_ASSIGN(fed.inputs, fit_all(fed.model, files, known, fed.numbers));
  for (const auto& [input, read] : files) fed.paths.push_back(read.path);
  return fed;
}

namespace {

/// Along the first axis of an array that has one axis more than its input; 0: it has not.
int64_t steps_in(const InputFile& file, const ModelValue& input, const OnnxModel& model) {
  const auto declared = std::ranges::find(model.inputs(), input.name, &DeclaredInput::name);
  const bool has_rank = declared == model.inputs().end() || declared->has_rank;
  if (!file.tensor || !has_rank) return 0;
  return file.tensor->shape.size() == input.shape.size() + 1 ? file.tensor->shape[0] : 0;
}

InputFile step_of(const InputFile& file, int64_t step) {
  InputFile part = {.path = file.path};
  const HostTensor& all = *file.tensor;
  part.tensor = HostTensor{all.dtype, Shape(all.shape.begin() + 1, all.shape.end()), {}};
  const size_t size_bytes = all.bytes.size() / static_cast<size_t>(all.shape[0]);
  const auto first = all.bytes.begin() + static_cast<std::ptrdiff_t>(size_bytes) * step;
  part.tensor->bytes.assign(first, first + static_cast<std::ptrdiff_t>(size_bytes));
  return part;
}

/// The files of each step; those of states are for the first.
Result<std::vector<InputFiles>> files_of_steps(const InputFiles& files, const OnnxModel& model,
                                               const std::vector<std::string>& states) {
  std::vector<int64_t> counts;
  int64_t count = 0;
  std::string first;
  for (const auto& [input, file] : files) {
    const bool is_state = std::ranges::count(states, input.name) > 0;
    counts.push_back(is_state ? 0 : steps_in(file, input, model));
    if (counts.back() == 0) continue;
    if (count > 0 && counts.back() != count) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Files \"{}\" and \"{}\" have values for ({}) and ({}) steps.",
                               first, file.path, count, counts.back()));
    }
    count = counts.back();
    first = file.path;
  }
  if (count == 0) {
    return Error(ErrorKind::invalid_argument,
                 "--steps needs a file with an axis more than its input has, and a value for each "
                 "step along it.");
  }
  std::vector<InputFiles> steps(static_cast<size_t>(count));
  for (size_t s = 0; s < steps.size(); ++s) {
    for (size_t i = 0; i < files.size(); ++i) {
      const InputFile& file = files[i].second;
      const auto step = static_cast<int64_t>(s);
      if (s > 0 && std::ranges::count(states, files[i].first.name) > 0) continue;
      steps[s].emplace_back(files[i].first, counts[i] > 0 ? step_of(file, step) : file);
    }
  }
  return steps;
}

/// The model for the first shapes that it can have, where states without a value have open ones.
Result<Model> make_first(const std::shared_ptr<const OnnxModel>& file, const Model& declared,
                         std::span<const StatePair> states, ImportOptions& known) {
  std::vector<std::optional<Shape>> shapes;
  for (const ModelValue& input : declared.inputs) {
    const auto given = known.input_shapes.find(input.name);
    const auto value = known.input_values.find(input.name);
    shapes.emplace_back();
    if (given != known.input_shapes.end()) shapes.back() = given->second;
    if (value != known.input_values.end()) shapes.back() = value->second.shape;
  }
  const ImportOptions told = known;
  std::optional<Error> first;
  std::optional<Model> best;
  for (const std::vector<Shape>& set : first_shapes(file, declared.inputs)(shapes)) {
    ImportOptions tried = told;
    for (size_t i = 0; i < set.size(); ++i) tried.input_shapes[declared.inputs[i].name] = set[i];
    Result<Model> now = file->specialised(tried);
    if (!now && !first) first = now.error();
    if (!now) continue;
    const bool is_good = !leaves_nothing(*now, states, shapes);
    if (!is_good && best) continue;
    best = std::move(*now);
    known = std::move(tried);
    if (is_good) break;
  }
  if (!best) return *first;
  return std::move(*best);
}

/// What is no input any more, because its value decides a shape, is the same in all steps.
Result<void> check_constants(const std::vector<InputFiles>& steps, const Model& model) {
  for (const InputFiles& files : steps) {
    for (const auto& [input, file] : files) {
      if (std::ranges::count(model.inputs, input.name, &ModelValue::name) > 0) continue;
      const auto first = std::ranges::find_if(
          steps[0], [&](const auto& one) { return one.first.name == input.name; });
      if (!file.tensor || file.tensor->bytes == first->second.tensor->bytes) continue;
      return Error(ErrorKind::unsupported,
                   fmt::format("Input \"{}\" decides a shape, and its value (file \"{}\") differs "
                               "from step to step.",
                               input.name, file.path));
    }
  }
  return {};
}

}  // namespace

Result<FedSteps> feed_steps(const std::string& path, const std::vector<std::string>& inputs,
                            const std::vector<std::string>& states, bool in_steps,
                            const PictureOptions& picture, const FeedOptions& options) {
  FedSteps fed;
  TRY_ASSIGN(OnnxModel read, OnnxModel::read(path));
  const auto file = std::make_shared<const OnnxModel>(std::move(read));
  TRY_ASSIGN(const Model declared, file->declared({}));
  TRY_ASSIGN(const std::vector<StatePair> named, match_states(states, declared));
  std::vector<std::string> optional;
  for (const StatePair& pair : named) optional.push_back(declared.inputs[pair.input].name);
  TRY_ASSIGN(InputFiles files, read_inputs(path, inputs, *file, optional));
  for (const auto& [input, one] : files) fed.fed.paths.push_back(one.path);
  std::vector<InputFiles> steps;
  if (in_steps) {
    TRY_ASSIGN(steps, files_of_steps(files, *file, optional));
  } else {
    steps.push_back(std::move(files));
  }
  TRY_ASSIGN(ImportOptions known, import_options(*file, steps[0]));
  known.in_parts = options.in_parts;
  known.trusts_kernels = options.trusts_kernels;
  for (const std::string& name : optional) {  // what changes from run to run is no constant
    const auto value = known.input_values.find(name);
    if (value == known.input_values.end()) continue;
    known.input_shapes[name] = value->second.shape;
    known.input_values.erase(value);
  }
  TRY_ASSIGN(fed.fed.model, make_first(file, declared, named, known));
  const Model& model = fed.fed.model;
  TRY(check_constants(steps, model));
  TRY_ASSIGN(fed.states, match_states(states, model));
  TRY_ASSIGN(fed.fed.numbers, picture_numbers(picture, model));
  for (const InputFiles& of_step : steps) {
    TRY_ASSIGN(ImportOptions own, import_options(*file, of_step));
    Model shaped = {.inputs = model.inputs};
    for (ModelValue& input : shaped.inputs) {
      const auto value = own.input_values.find(input.name);
      if (value != own.input_values.end()) input.shape = value->second.shape;
    }
    TRY_ASSIGN(std::vector<HostTensor> fitted, fit_all(shaped, of_step, own, fed.fed.numbers));
    fed.steps.push_back(std::move(fitted));
  }
  for (size_t s = 1; s < fed.steps.size(); ++s) {
    for (const StatePair& pair : fed.states) fed.steps[s][pair.input] = {};
  }
  for (const ModelValue& input : model.inputs) known.input_values.erase(input.name);
  fed.specialise = specialiser(file, std::move(known), model.inputs);
  return fed;
}

}  // namespace leat::cli
