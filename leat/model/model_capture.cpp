// See model_capture.h.
#include "leat/model/model_capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "leat/model/onnx_operations.h"
#include "leat/run/capture.h"

namespace leat {

namespace {

HostTensor random_input(const ModelValue& value, std::mt19937& random) {
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

/// The model's outputs; what is largest in those of `operations` is told to them.
Result<std::vector<HostTensor>> computed_by_cpu(const FedModel& fed, SessionOptions options,
                                                std::vector<CapturedOperation>& operations) {
  Model model = fed.model;
  std::vector<TensorId>& outputs = model.graph.outputs;
  std::vector<size_t> places;
  for (const CapturedOperation& operation : operations) {
    const TensorId id = model.values.at(operation.name);
    const Tensor& tensor = model.graph.tensors[id];
    const auto found = std::ranges::find(outputs, id);
    places.push_back(static_cast<size_t>(found - outputs.begin()));
    if (found != outputs.end()) continue;
    outputs.push_back(id);
    model.outputs.push_back({operation.name, tensor.dtype, tensor.shape, id});
  }
  Session session(std::move(options));
  LoadOptions load;
  load.device = "cpu";
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(model, load));
  TRY_ASSIGN(std::vector<HostTensor> values, loaded->run(fed.inputs));
  for (size_t i = 0; i < operations.size(); ++i) {
    operations[i].largest = largest_of(values[places[i]]);
  }
  values.resize(fed.model.outputs.size());
  return values;
}

Result<std::string> capture(Recorder& recorder, Network& network, const FedModel& fed,
                            const PacketOptions& options) {
  std::vector<CapturedOperation> operations = operations_of(fed.file, fed.model, network);
  TRY_ASSIGN(const std::vector<HostTensor> expected,
             computed_by_cpu(fed, options.session, operations));
  CaptureParts parts;
  parts.producer = options.producer;
  for (const ModelValue& output : fed.model.outputs) parts.output_names.push_back(output.name);
  parts.expected = expected;
  parts.operations = operations;
  const auto opset = fed.model.opsets.find("");
  if (opset != fed.model.opsets.end()) parts.opset = opset->second;
  TRY_ASSIGN(const RecordedSubmit submit, write_capture(recorder, network, parts, options.folder));
  return fmt::format(
      "{}: {} launches for {}, {} regions, {} operations and {} tensors to be checked\n",
      options.folder, network.stats().launches, recorder.target(), submit.regions.size(),
      operations.size(), expected.size());
}

}  // namespace

FedModel fed_model(OnnxModel file, Model model, std::map<std::string, HostTensor> given) {
  std::mt19937 random(1);
  FedModel fed = {std::move(file), std::move(model), {}};
  for (const ModelValue& input : fed.model.inputs) {
    const auto found = given.find(input.name);
    fed.inputs.push_back(found == given.end() ? random_input(input, random)
                                              : std::move(found->second));
  }
  return fed;
}

Result<std::string> packets_of(Recorder& recorder, const FedModel& fed,
                               const PacketOptions& options) {
  NetworkOptions network_options;
  network_options.cache_folder = options.session.cache_folder;
  TRY_ASSIGN(const std::unique_ptr<Network> network,
             Network::load(recorder.device(), fed.model.graph, network_options));
  for (size_t i = 0; i < fed.inputs.size(); ++i) TRY(network->set_input(i, fed.inputs[i]));
  if (!options.folder.empty()) return capture(recorder, *network, fed, options);
  TRY_ASSIGN(const uint64_t value, network->start());
  TRY_ASSIGN(const RecordedSubmit submit, recorder.in_flight());
  TRY(network->wait(value));
  return submit.text;
}

}  // namespace leat
