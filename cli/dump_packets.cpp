// See dump_packets.h.
#include "cli/dump_packets.h"

#include <fmt/format.h>

#include <random>

#include "cli/device_choice.h"
#include "cli/model_files.h"
#include "leat/backend/backends.h"
#include "leat/model/onnx_operations.h"
#include "leat/run/capture.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

/// A model with a value for each of its inputs.
struct Fed {
  OnnxModel file;
  Model model;
  std::vector<HostTensor> inputs;
};

/// Floats in [-1, 1), whole numbers 0 or 1: indices and masks that fit any tensor.
HostTensor random_tensor(const ModelValue& value, std::mt19937& random) {
  std::uniform_real_distribution<double> any(-1, 1);
  HostTensor tensor = HostTensor::zeros(value.dtype, value.shape);
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    const double number = any(random);
    if (is_float(value.dtype)) {
      tensor.set_number(i, number);
    } else {
      tensor.set_integer(i, number < 0 ? 0 : 1);
    }
  }
  return tensor;
}

Result<Fed> read_fed(const PacketOptions& options) {
  TRY_ASSIGN(OnnxModel file, OnnxModel::read(options.model));
  std::vector<ModelValue> declared;
  for (const DeclaredInput& input : file.inputs()) {
    declared.push_back({input.name, input.dtype, input.shape(), kNoTensor});
  }
  TRY_ASSIGN(const auto paths, match_files(options.inputs, declared, "input"));
  std::map<std::string, InputFile> files;
  ImportOptions import;
  import.keeps_values = true;
  for (const auto& [index, path] : paths) {
    TRY_ASSIGN(InputFile input, read_input_file(path));
    const auto shape = wanted_shape(input, declared[index]);
    if (shape) import.input_shapes[declared[index].name] = *shape;
    files.emplace(declared[index].name, std::move(input));
  }
  TRY_ASSIGN(Model model, file.specialised(import));
  TRY_ASSIGN(const PictureNumbers numbers, picture_numbers({}, model));
  Fed fed = {std::move(file), std::move(model), {}};
  std::mt19937 random(1);
  for (const ModelValue& input : fed.model.inputs) {
    const auto found = files.find(input.name);
    if (found == files.end()) {
      fed.inputs.push_back(random_tensor(input, random));
    } else {
      TRY_ASSIGN(HostTensor value, fit_to_input(found->second, input, numbers));
      fed.inputs.push_back(std::move(value));
    }
  }
  return fed;
}

Result<std::vector<HostTensor>> computed_by_cpu(const Fed& fed) {
  Session session(session_options(kernel_cache_folder()));
  LoadOptions load;
  load.device = "cpu";
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(fed.model, load));
  return loaded->run(fed.inputs);
}

Result<std::string> capture(Recorder& recorder, Network& network, const Fed& fed,
                            const std::string& folder) {
  TRY_ASSIGN(const std::vector<HostTensor> expected, computed_by_cpu(fed));
  const std::vector<CapturedOperation> operations = operations_of(fed.file, fed.model, network);
  CaptureParts parts;
  parts.producer = fmt::format("leat {} ({})", kLeatVersion, kLeatCommit);
  for (const ModelValue& output : fed.model.outputs) parts.output_names.push_back(output.name);
  parts.expected = expected;
  parts.operations = operations;
  const auto opset = fed.model.opsets.find("");
  if (opset != fed.model.opsets.end()) parts.opset = opset->second;
  TRY_ASSIGN(const RecordedSubmit submit, write_capture(recorder, network, parts, folder));
  return fmt::format(
      "{}: {} launches for {}, {} regions, {} operations and {} tensors to be checked\n", folder,
      network.stats().launches, recorder.target(), submit.regions.size(), operations.size(),
      expected.size());
}

}  // namespace

Result<std::string> packets_of(const PacketOptions& options) {
  TRY_ASSIGN(const std::unique_ptr<Recorder> recorder, open_recorder(options.target));
  if (!options.folder.empty()) TRY(make_capture_folder(options.folder));
  TRY_ASSIGN(const Fed fed, read_fed(options));
  NetworkOptions network_options;
  network_options.cache_folder = kernel_cache_folder();
  TRY_ASSIGN(const std::unique_ptr<Network> network,
             Network::load(recorder->device(), fed.model.graph, network_options));
  for (size_t i = 0; i < fed.inputs.size(); ++i) TRY(network->set_input(i, fed.inputs[i]));
  if (!options.folder.empty()) return capture(*recorder, *network, fed, options.folder);
  TRY_ASSIGN(const uint64_t value, network->start());
  TRY_ASSIGN(const RecordedSubmit submit, recorder->in_flight());
  TRY(network->wait(value));
  return submit.text;
}

}  // namespace leat::cli
