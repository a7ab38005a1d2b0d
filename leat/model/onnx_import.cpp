// From ModelProto to Graph: orders the nodes, and hands each to the import function that the
// operator table names for it. onnx_frame.cpp has checked what needs no shapes.
#include "leat/model/onnx_import.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_external.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_frame.h"
#include "leat/model/onnx_node.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_order.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

using onnx_ops::OnnxNode;
using onnx_ops::OnnxOperator;

/// Of a value that decides a shape and several nodes write: far above any tensor's rank.
constexpr int64_t kShapeElementsMax = 1024;

std::string stem_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  return file.substr(0, file.find_last_of('.'));
}

class Importer {
 public:
  Importer(const onnx::ModelProto& proto, const ModelFrame& frame, const ImportOptions& options,
           const ModelPath& path)
      : proto_(proto),
        frame_(frame),
        options_(options),
        external_(path.is_file ? path.path : ""),
        fill_bytes_left_(options.fill_bytes_max) {
    model_.path = path.path;
    model_.name = proto.graph().name().empty() ? stem_of(path.path) : proto.graph().name();
  }

  Result<Model> run() {
    for (const auto& entry : proto_.metadata_props()) model_.metadata[entry.key()] = entry.value();
    model_.opsets = frame_.opsets;
    TRY(add_initializers());
    TRY(add_inputs());
    TRY_ASSIGN(const std::vector<int> order, order_nodes(proto_.graph(), known_names()));
    for (int index : order) TRY(add_node(proto_.graph().node(index)));
    TRY(add_outputs());
    drop_unused_nodes();
    if (options_.keeps_values) model_.values = {values_.begin(), values_.end()};
    return std::move(model_);
  }

  const ImportFailure& failure() const { return failure_; }

 private:
  Result<void> add_initializers();
  Result<void> add_inputs();
  Result<void> add_input(const DeclaredInput& input);
  Result<Shape> input_shape(const DeclaredInput& input) const;
  Result<void> add_node(const onnx::NodeProto& proto);
  Result<void> try_node(const onnx::NodeProto& proto, const std::string& name, TensorId& wanted);
  Result<void> import_node(const OnnxOperator& row, OnnxNode& node, const onnx::NodeProto& proto);
  Result<void> keep_outputs(const OnnxNode& node, const onnx::NodeProto& proto);
  Result<bool> fix_inputs(const std::vector<std::string>& names);
  Result<void> fix_input(const std::string& name, const HostTensor& value);
  Result<void> add_outputs();
  void drop_unused_nodes();
  std::vector<std::string> inputs_of_value(TensorId tensor) const;
  Result<void> define(const std::string& name, TensorId tensor);
  Result<std::vector<TensorId>> inputs_of(const onnx::NodeProto& proto) const;
  std::unordered_set<std::string> known_names() const;
  std::string unique_name(const std::string& name);

  const onnx::ModelProto& proto_;
  const ModelFrame& frame_;
  const ImportOptions& options_;
  ExternalData external_;
  ImportFailure failure_;
  int64_t fill_bytes_left_;
  Model model_;
  std::unordered_map<std::string, TensorId> values_;
  std::unordered_map<std::string, uint32_t> name_numbers_;
  std::set<std::string> node_names_;
};

Error invalid(std::string sentence) {
  return Error(ErrorKind::invalid_argument, std::move(sentence));
}

Error unsupported(std::string sentence) {
  return Error(ErrorKind::unsupported, std::move(sentence));
}

Result<void> Importer::define(const std::string& name, TensorId tensor) {
  if (values_.emplace(name, tensor).second) return {};
  return invalid(fmt::format("Value \"{}\" is defined twice.", name));
}

Result<void> Importer::add_initializers() {
  for (const onnx::TensorProto& initializer : proto_.graph().initializer()) {
    TRY_ASSIGN(HostTensor value, host_tensor_of(initializer, &external_));
    TRY(define(initializer.name(),
               model_.graph.add_constant(initializer.name(), std::move(value))));
  }
  return {};
}

Result<void> Importer::add_inputs() {
  for (const auto& [name, shape] : options_.input_shapes) {
    if (std::ranges::find(frame_.inputs, name, &DeclaredInput::name) == frame_.inputs.end()) {
      return invalid(fmt::format("The model has no input \"{}\".", name));
    }
  }
  for (const DeclaredInput& input : frame_.inputs) TRY(add_input(input));
  return {};
}

Result<void> Importer::add_input(const DeclaredInput& input) {
  TRY_ASSIGN(const Shape shape, input_shape(input));
  const TensorId tensor = model_.graph.add_tensor(input.name, input.dtype, shape);
  TRY(define(input.name, tensor));
  model_.graph.inputs.push_back(tensor);
  model_.inputs.push_back({input.name, input.dtype, shape, tensor});
  return {};
}

bool takes(const DeclaredInput& input, const Shape& shape) {
  const auto fits = [](const DeclaredInput::Extent& declared, int64_t extent) {
    return declared.is_open || declared.value == extent;
  };
  return !input.has_rank || std::ranges::equal(input.extents, shape, fits);
}

Result<Shape> Importer::input_shape(const DeclaredInput& input) const {
  const auto given = options_.input_shapes.find(input.name);
  const bool is_given = given != options_.input_shapes.end();
  if (!input.has_rank && !is_given) {
    return invalid(
        fmt::format("Input \"{}\" has no shape in the model, and none is given.", input.name));
  }
  if (is_given && !takes(input, given->second)) {
    return invalid(fmt::format("Input \"{}\" is given shape {}, but the model says {}.", input.name,
                               to_string(given->second), to_string(input.shape())));
  }
  Shape shape = is_given ? given->second : input.shape();
  if (shape.size() > static_cast<size_t>(kTensorRankMax)) {
    return invalid(fmt::format("Input \"{}\" has more dimensions ({}) than the limit ({}).",
                               input.name, shape.size(), kTensorRankMax));
  }
  if (auto checked = check_shape(shape); !checked) {
    return checked.error().during(fmt::format("reading input \"{}\"", input.name));
  }
  return shape;
}

// --- Nodes ---------------------------------------------------------------------------------------

std::unordered_set<std::string> Importer::known_names() const {
  std::unordered_set<std::string> names;
  for (const auto& entry : values_) names.insert(entry.first);
  return names;
}

std::string Importer::unique_name(const std::string& name) {
  std::string unique = name;
  uint32_t& number = name_numbers_[name];  // the last that was tried
  while (!node_names_.insert(unique).second) {
    number = std::max(number + 1, 2u);
    unique = fmt::format("{}_{}", name, number);
  }
  return unique;
}

Result<std::vector<TensorId>> Importer::inputs_of(const onnx::NodeProto& proto) const {
  std::vector<TensorId> inputs;
  for (const std::string& name : proto.input()) {
    inputs.push_back(name.empty() ? kNoTensor : values_.at(name));
  }
  return inputs;
}

/// `wanted` becomes the input that had to be a constant and is none, if that is what fails.
Result<void> Importer::try_node(const onnx::NodeProto& proto, const std::string& name,
                                TensorId& wanted) {
  const OnnxOperator* row = onnx_ops::find_operator(proto.domain(), proto.op_type());
  TRY_ASSIGN(std::vector<TensorId> inputs, inputs_of(proto));
  OnnxNode node(proto, {.graph = model_.graph,
                        .fill_bytes_left = fill_bytes_left_,
                        .name = name,
                        .inputs = std::move(inputs),
                        .opset = frame_.opset_of(proto)});
  const Result<void> added = import_node(*row, node, proto);
  wanted = added ? kNoTensor : node.wanted_constant();
  return added;
}

/// A node that wants to know a value is tried again once the inputs that decide it are constants.
Result<void> Importer::add_node(const onnx::NodeProto& proto) {
  Graph& graph = model_.graph;
  const std::string name = unique_name(name_of(proto));
  while (true) {
    const size_t nodes = graph.nodes.size();
    const size_t tensors = graph.tensors.size();
    const int64_t fill_bytes_left = fill_bytes_left_;
    TensorId wanted = kNoTensor;
    const Result<void> added = try_node(proto, name, wanted);
    if (added) return {};
    const std::vector<std::string> needed =
        wanted == kNoTensor ? std::vector<std::string>() : inputs_of_value(wanted);
    graph.nodes.resize(nodes);
    graph.tensors.resize(tensors);
    fill_bytes_left_ = fill_bytes_left;
    TRY_ASSIGN(const bool is_given, fix_inputs(needed));
    if (is_given) continue;
    failure_.inputs_needed = needed;
    return frame_.located(added.error(), proto, &failure_);
  }
}

using ConstantValue = std::shared_ptr<const HostTensor>;

/// Of nodes that write a tensor together this is the tensor; they have one result each.
TensorId output_of(const Node& node) { return node.results[0].output; }

bool writes_any(const Node& node, const std::vector<bool>& tensors) {
  return std::ranges::any_of(node.results, [&](const auto& r) { return tensors[r.output]; });
}

/// The value of a tensor that these nodes write together, as those of a Concat do; empty when it
/// does not follow from constants, or is too large to be a shape.
Result<ConstantValue> joined_value(const Graph& graph, std::span<const Node> writers) {
  const Tensor& output = graph.tensors[output_of(writers[0])];
  if (element_count(output.shape) > kShapeElementsMax) return ConstantValue();
  auto value = std::make_shared<HostTensor>(HostTensor::zeros(output.dtype, output.shape));
  for (const Node& node : writers) {
    std::vector<const HostTensor*> inputs;
    for (TensorId input : node.inputs) inputs.push_back(graph.tensors[input].constant.get());
    if (std::ranges::count(inputs, nullptr) > 0) return ConstantValue();
    TRY(evaluate_node(graph, node, inputs, std::array{value.get()}));
  }
  return ConstantValue(std::move(value));
}

/// Computes what follows from inputs that have become constants.
Result<void> fold_nodes(Graph& graph) {
  const std::vector<Node> nodes = std::exchange(graph.nodes, {});
  for (size_t begin = 0, end = 0; begin < nodes.size(); begin = end) {
    while (end < nodes.size() && output_of(nodes[end]) == output_of(nodes[begin])) ++end;
    const std::span<const Node> writers(&nodes[begin], end - begin);
    if (writers.size() > 1) {
      auto& constant = graph.tensors[output_of(writers[0])].constant;
      TRY_ASSIGN(constant, joined_value(graph, writers));
      if (constant) continue;
    }
    for (const Node& node : writers) TRY(graph.add_node(node));  // folds it if it can
  }
  return {};
}

/// Makes constants of the inputs whose values are at hand, and of what follows from them; whether
/// there was one.
Result<bool> Importer::fix_inputs(const std::vector<std::string>& names) {
  bool any_given = false;
  for (const std::string& name : names) {
    const auto value = options_.input_values.find(name);
    if (value == options_.input_values.end()) continue;
    TRY(fix_input(name, value->second));
    any_given = true;
  }
  if (!any_given) return false;
  TRY(fold_nodes(model_.graph));
  return true;
}

Result<void> Importer::fix_input(const std::string& name, const HostTensor& value) {
  const auto input = std::ranges::find(model_.inputs, name, &ModelValue::name);
  if (value.dtype != input->dtype || value.shape != input->shape) {
    return invalid(fmt::format("Input \"{}\" is given {} {}, but the model says {} {}.", name,
                               leat::name_of(value.dtype), to_string(value.shape),
                               leat::name_of(input->dtype), to_string(input->shape)));
  }
  model_.graph.tensors[input->tensor].constant = std::make_shared<HostTensor>(value);
  std::erase(model_.graph.inputs, input->tensor);
  model_.inputs.erase(input);
  return {};
}

/// Which tensors a walk from `needed` to the front of the graph meets.
std::vector<bool> needed_tensors(const Graph& graph, std::span<const TensorId> needed) {
  std::vector<bool> seen(graph.tensors.size(), false);
  for (TensorId tensor : needed) seen[tensor] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (!writes_any(graph.nodes[i], seen)) continue;
    for (TensorId input : graph.nodes[i].inputs) seen[input] = true;
  }
  return seen;
}

std::vector<std::string> Importer::inputs_of_value(TensorId tensor) const {
  const std::vector<bool> seen = needed_tensors(model_.graph, std::span(&tensor, 1));
  std::vector<std::string> names;
  for (const ModelValue& input : model_.inputs) {
    if (seen[input.tensor]) names.push_back(input.name);
  }
  return names;
}

/// Such as the mask of a Dropout that nobody reads.
void Importer::drop_unused_nodes() {
  Graph& graph = model_.graph;
  const std::vector<bool> seen = needed_tensors(graph, graph.outputs);
  std::erase_if(graph.nodes, [&](const Node& node) { return !writes_any(node, seen); });
}

Result<void> Importer::import_node(const OnnxOperator& row, OnnxNode& node,
                                   const onnx::NodeProto& proto) {
  const Result<TensorId> first = row.import(node);
  if (node.failure()) return *node.failure();
  if (!first) return first.error();
  if (const std::string name = node.unread_attribute(); !name.empty()) {
    return unsupported(
        fmt::format("Attribute \"{}\" is not one that {} of this version has.", name, row.name));
  }
  node.set_output(0, *first);
  return keep_outputs(node, proto);
}

Result<void> Importer::keep_outputs(const OnnxNode& node, const onnx::NodeProto& proto) {
  for (size_t i = 0; i < node.output_count(); ++i) {
    const std::string& name = proto.output(static_cast<int>(i));
    if (name.empty()) continue;
    if (node.output(i) == kNoTensor) {
      return unsupported(
          fmt::format("Output {} (\"{}\") of {} is not supported.", i, name, proto.op_type()));
    }
    const Tensor& tensor = model_.graph.tensors[node.output(i)];
    if (tensor.shape.size() > static_cast<size_t>(kTensorRankMax)) {
      return unsupported(fmt::format("Value \"{}\" has more dimensions ({}) than the limit ({}).",
                                     name, tensor.shape.size(), kTensorRankMax));
    }
    TRY(define(name, node.output(i)));
  }
  return {};
}

/// What an output names must be a tensor of its own: not an input, and not another output.
Result<void> Importer::add_outputs() {
  std::set<TensorId> taken(model_.graph.inputs.begin(), model_.graph.inputs.end());
  for (const onnx::ValueInfoProto& output : proto_.graph().output()) {
    const auto found = values_.find(output.name());
    if (found == values_.end()) {
      return invalid(fmt::format("Output \"{}\" is computed by no node.", output.name()));
    }
    TensorId tensor = found->second;
    if (!taken.insert(tensor).second) {
      TRY_ASSIGN(tensor, ops::identity(model_.graph, unique_name(output.name() + "/copy"), tensor));
    }
    const Tensor& value = model_.graph.tensors[tensor];
    model_.graph.outputs.push_back(tensor);
    model_.outputs.push_back({output.name(), value.dtype, value.shape, tensor});
  }
  return {};
}

}  // namespace

Result<Model> OnnxModel::specialised(const ImportOptions& options, ImportFailure* failure) const {
  Importer importer(*proto_, *frame_, options, path_);
  Result<Model> model = importer.run();
  if (model) return model;
  if (failure != nullptr) *failure = importer.failure();
  return model.error().during(fmt::format("reading model \"{}\"", path_.path));
}

Result<Model> import_onnx(const std::string& path, const ImportOptions& options,
                          ImportFailure* failure) {
  TRY_ASSIGN(const OnnxModel model, OnnxModel::read(path, failure));
  return model.specialised(options, failure);
}

Result<Model> import_onnx_bytes(std::string_view bytes, const std::string& path,
                                const ImportOptions& options, ImportFailure* failure) {
  TRY_ASSIGN(const OnnxModel model, OnnxModel::parse(bytes, path, failure));
  return model.specialised(options, failure);
}

}  // namespace leat
