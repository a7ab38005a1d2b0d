// See model_inputs.h.
#include "cli/model_inputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/model/onnx_import.h"

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

Result<InputFiles> read_inputs(const std::string& path, const std::vector<std::string>& arguments,
                               const OnnxModel& file) {
  const std::vector<ModelValue> inputs = values_of(file);
  TRY_ASSIGN(auto paths, match_files(arguments, inputs, "input"));
  InputFiles files;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!paths.contains(i) && i >= file.inputs().size()) continue;
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
  for (const ModelValue& input : fed.model.inputs) {
    const auto found = std::ranges::find_if(
        files, [&](const auto& read) { return read.first.name == input.name; });
    const auto value = known.input_values.find(input.name);
    if (value != known.input_values.end() && value->second.shape == input.shape) {
      fed.inputs.push_back(std::move(value->second));
    } else {
      TRY_ASSIGN(HostTensor tensor, fit_to_input(found->second, input, fed.numbers));
      fed.inputs.push_back(std::move(tensor));
    }
  }
  for (const auto& [input, read] : files) fed.paths.push_back(read.path);
  return fed;
}

}  // namespace leat::cli
