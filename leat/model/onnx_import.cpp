// From ModelProto to Graph: checks the frame of the file, orders the nodes, and hands each to the
// import function that the operator table names for it.
#include "leat/model/onnx_import.h"

#include <fmt/format.h>

#include <set>
#include <unordered_map>
#include <unordered_set>

#include "leat/base/files.h"
#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_node.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_order.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

using onnx_ops::OnnxNode;
using onnx_ops::OnnxOperator;

std::string stem_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  return file.substr(0, file.find_last_of('.'));
}

/// The name that messages use: the node's own, or its first output's.
std::string name_of(const onnx::NodeProto& node) {
  if (!node.name().empty()) return node.name();
  return node.output_size() > 0 ? node.output(0) : node.op_type();
}

class Importer {
 public:
  Importer(const onnx::ModelProto& proto, const ImportOptions& options,
           const std::set<std::string>& fixed_inputs)
      : proto_(proto),
        options_(options),
        fixed_inputs_(fixed_inputs),
        fill_bytes_left_(options.fill_bytes_max) {}

  Result<Model> run(const std::string& path) {
    model_.path = path;
    model_.name = proto_.graph().name().empty() ? stem_of(path) : proto_.graph().name();
    for (const auto& entry : proto_.metadata_props()) model_.metadata[entry.key()] = entry.value();
    TRY(read_opsets());
    TRY(check_frame());
    TRY(check_operators());
    TRY(add_initializers());
    TRY(add_inputs());
    TRY_ASSIGN(const std::vector<int> order, order_nodes(proto_.graph(), known_names()));
    for (int index : order) TRY(add_node(proto_.graph().node(index)));
    TRY(add_outputs());
    drop_unused_nodes();
    return std::move(model_);
  }

  const ImportFailure& failure() const { return failure_; }

 private:
  Result<void> read_opsets();
  Result<void> check_frame() const;
  Result<void> check_operators();
  Result<void> check_operator(const onnx::NodeProto& node) const;
  Result<void> add_initializers();
  Result<void> add_inputs();
  Result<void> add_input(const onnx::ValueInfoProto& input);
  Result<void> add_fixed_input(const std::string& name, DType dtype, const Shape& shape);
  Result<Shape> input_shape(const onnx::ValueInfoProto& input) const;
  Result<void> add_node(const onnx::NodeProto& proto);
  Result<void> import_node(const OnnxOperator& row, OnnxNode& node, const onnx::NodeProto& proto);
  Result<void> keep_outputs(const OnnxNode& node, const onnx::NodeProto& proto);
  Result<void> add_outputs();
  void drop_unused_nodes();
  std::vector<std::string> inputs_of_value(TensorId tensor) const;
  Result<void> define(const std::string& name, TensorId tensor);
  Result<std::vector<TensorId>> inputs_of(const onnx::NodeProto& proto) const;
  std::unordered_set<std::string> known_names() const;
  std::string unique_name(const std::string& name);
  int64_t opset_of(const onnx::NodeProto& node) const;
  Error located(const Error& error, const onnx::NodeProto& node);

  const onnx::ModelProto& proto_;
  const ImportOptions& options_;
  const std::set<std::string>& fixed_inputs_;
  ImportFailure failure_;
  int64_t fill_bytes_left_;
  Model model_;
  std::unordered_map<std::string, TensorId> values_;
  std::set<std::string> node_names_;
};

Error invalid(std::string sentence) {
  return Error(ErrorKind::invalid_argument, std::move(sentence));
}

Error unsupported(std::string sentence) {
  return Error(ErrorKind::unsupported, std::move(sentence));
}

Result<void> Importer::read_opsets() {
  for (const auto& entry : proto_.opset_import()) {
    const std::string domain(onnx_ops::canonical_domain(entry.domain()));
    model_.opsets[domain] = std::max(model_.opsets[domain], entry.version());
  }
  const auto found = model_.opsets.find("");
  if (found == model_.opsets.end()) return {};  // check_operator names the domain
  if (found->second < onnx_ops::kOpsetMin || found->second > onnx_ops::kOpsetMax) {
    return unsupported(fmt::format("Opset version ({}) is outside the supported range ({} to {}).",
                                   found->second, onnx_ops::kOpsetMin, onnx_ops::kOpsetMax));
  }
  return {};
}

Result<void> Importer::check_frame() const {
  const onnx::GraphProto& graph = proto_.graph();
  if (graph.node_size() > kModelNodesMax) {
    return invalid(fmt::format("Number of nodes ({}) is larger than the limit ({}).",
                               graph.node_size(), kModelNodesMax));
  }
  if (graph.sparse_initializer_size() > 0) {
    return unsupported(
        fmt::format("The model has sparse initializers ({}).", graph.sparse_initializer_size()));
  }
  if (graph.output_size() == 0) return invalid("The model's graph has no outputs.");
  return {};
}

/// All nodes before any tensor: a missing operator is what a person wants to hear of first.
Result<void> Importer::check_operators() {
  for (const onnx::NodeProto& node : proto_.graph().node()) {
    if (auto checked = check_operator(node); !checked) return located(checked.error(), node);
  }
  return {};
}

Result<void> Importer::check_operator(const onnx::NodeProto& node) const {
  const OnnxOperator* row = onnx_ops::find_operator(node.domain(), node.op_type());
  if (!row) {
    return unsupported(fmt::format("Operator {} of domain \"{}\" is not supported.", node.op_type(),
                                   node.domain().empty() ? "ai.onnx" : node.domain()));
  }
  const int64_t opset = opset_of(node);
  if (opset == 0) {
    return invalid(fmt::format("The model does not say which version of domain \"{}\" it uses.",
                               node.domain().empty() ? "ai.onnx" : node.domain()));
  }
  if (row->domain.empty() && opset < row->opset_min) {
    return unsupported(fmt::format("Operator {} is supported from opset version {} on.", row->name,
                                   row->opset_min));
  }
  if (node.input_size() > row->inputs_max || node.output_size() > row->outputs_max) {
    return invalid(fmt::format("Operator {} has {} inputs (limit {}) and {} outputs (limit {}).",
                               row->name, node.input_size(), row->inputs_max, node.output_size(),
                               row->outputs_max));
  }
  for (int i = 0; i < row->inputs_min; ++i) {
    if (i < node.input_size() && !node.input(i).empty()) continue;
    return invalid(fmt::format("Input {} of {} is missing.", i, row->name));
  }
  if (node.output_size() == 0) return invalid(fmt::format("{} has no outputs.", row->name));
  return {};
}

Result<void> Importer::define(const std::string& name, TensorId tensor) {
  if (values_.emplace(name, tensor).second) return {};
  return invalid(fmt::format("Value \"{}\" is defined twice.", name));
}

Result<void> Importer::add_initializers() {
  for (const onnx::TensorProto& initializer : proto_.graph().initializer()) {
    TRY_ASSIGN(HostTensor value, host_tensor_of(initializer));
    TRY(define(initializer.name(),
               model_.graph.add_constant(initializer.name(), std::move(value))));
  }
  return {};
}

Result<void> Importer::add_inputs() {
  for (const auto& entry : options_.input_shapes) {
    const auto& inputs = proto_.graph().input();
    const bool known = std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) {
      return input.name() == entry.first && !values_.contains(entry.first);
    });
    if (!known) return invalid(fmt::format("The model has no input \"{}\".", entry.first));
  }
  for (const onnx::ValueInfoProto& input : proto_.graph().input()) {
    const auto found = values_.find(input.name());
    if (found != values_.end() && model_.graph.tensors[found->second].constant) continue;
    TRY(add_input(input));
  }
  return {};
}

Result<void> Importer::add_input(const onnx::ValueInfoProto& input) {
  if (input.type().value_case() != onnx::TypeProto::kTensorType) {
    return unsupported(fmt::format("Input \"{}\" is not a tensor.", input.name()));
  }
  Result<DType> dtype = dtype_of_onnx(input.type().tensor_type().elem_type());
  if (!dtype) return dtype.error().during(fmt::format("reading input \"{}\"", input.name()));
  TRY_ASSIGN(const Shape shape, input_shape(input));
  if (fixed_inputs_.contains(input.name())) return add_fixed_input(input.name(), *dtype, shape);
  if (*dtype == DType::f64) {
    return unsupported(fmt::format(
        "Input \"{}\" has element type double, in which Leat does not compute.", input.name()));
  }
  const TensorId tensor = model_.graph.add_tensor(input.name(), *dtype, shape);
  TRY(define(input.name(), tensor));
  model_.graph.inputs.push_back(tensor);
  model_.inputs.push_back({input.name(), *dtype, shape, tensor});
  return {};
}

Result<void> Importer::add_fixed_input(const std::string& name, DType dtype, const Shape& shape) {
  const HostTensor& value = options_.input_values.at(name);
  if (value.dtype != dtype || value.shape != shape) {
    return invalid(fmt::format("Input \"{}\" is given {} {}, but the model says {} {}.", name,
                               leat::name_of(value.dtype), to_string(value.shape),
                               leat::name_of(dtype), to_string(shape)));
  }
  return define(name, model_.graph.add_constant(name, value));
}

Result<Shape> Importer::input_shape(const onnx::ValueInfoProto& input) const {
  const onnx::TypeProto::Tensor& type = input.type().tensor_type();
  const auto given = options_.input_shapes.find(input.name());
  if (!type.has_shape()) {
    if (given != options_.input_shapes.end()) return given->second;
    return invalid(
        fmt::format("Input \"{}\" has no shape in the model, and none is given.", input.name()));
  }
  Shape shape;
  for (const auto& dimension : type.shape().dim()) {
    const bool known = dimension.value_case() == onnx::TensorShapeProto::Dimension::kDimValue;
    shape.push_back(known ? dimension.dim_value() : 1);
  }
  if (given != options_.input_shapes.end()) {
    bool fits = given->second.size() == shape.size();
    for (size_t d = 0; fits && d < shape.size(); ++d) {
      fits = type.shape().dim(static_cast<int>(d)).value_case() !=
                 onnx::TensorShapeProto::Dimension::kDimValue ||
             shape[d] == given->second[d];
    }
    if (!fits) {
      return invalid(fmt::format("Input \"{}\" is given shape {}, but the model says {}.",
                                 input.name(), to_string(given->second), to_string(shape)));
    }
    shape = given->second;
  }
  if (shape.size() > static_cast<size_t>(kTensorRankMax)) {
    return invalid(fmt::format("Input \"{}\" has more dimensions ({}) than the limit ({}).",
                               input.name(), shape.size(), kTensorRankMax));
  }
  if (auto checked = check_shape(shape); !checked) {
    return checked.error().during(fmt::format("reading input \"{}\"", input.name()));
  }
  return shape;
}

// --- Nodes ---------------------------------------------------------------------------------------

std::unordered_set<std::string> Importer::known_names() const {
  std::unordered_set<std::string> names;
  for (const auto& entry : values_) names.insert(entry.first);
  return names;
}

int64_t Importer::opset_of(const onnx::NodeProto& node) const {
  const auto found = model_.opsets.find(std::string(onnx_ops::canonical_domain(node.domain())));
  return found == model_.opsets.end() ? 0 : found->second;
}

std::string Importer::unique_name(const std::string& name) {
  std::string unique = name;
  for (int i = 2; !node_names_.insert(unique).second; ++i) unique = fmt::format("{}_{}", name, i);
  return unique;
}

Error Importer::located(const Error& error, const onnx::NodeProto& node) {
  failure_.op = node.op_type();
  failure_.node = name_of(node);
  return error.during(fmt::format("importing node \"{}\" ({}, opset {})", name_of(node),
                                  node.op_type(), opset_of(node)));
}

Result<std::vector<TensorId>> Importer::inputs_of(const onnx::NodeProto& proto) const {
  std::vector<TensorId> inputs;
  for (const std::string& name : proto.input()) {
    inputs.push_back(name.empty() ? kNoTensor : values_.at(name));
    if (name.empty()) continue;
    const Tensor& tensor = model_.graph.tensors[inputs.back()];
    if (tensor.dtype == DType::f64 && !tensor.constant) {
      return unsupported(fmt::format(
          "Value \"{}\" has element type double, in which Leat does not compute.", name));
    }
  }
  return inputs;
}

Result<void> Importer::add_node(const onnx::NodeProto& proto) {
  const OnnxOperator* row = onnx_ops::find_operator(proto.domain(), proto.op_type());
  Result<std::vector<TensorId>> inputs = inputs_of(proto);
  if (!inputs) return located(inputs.error(), proto);
  OnnxNode node(proto, {.graph = model_.graph,
                        .fill_bytes_left = fill_bytes_left_,
                        .name = unique_name(name_of(proto)),
                        .inputs = std::move(*inputs),
                        .opset = opset_of(proto)});
  if (auto added = import_node(*row, node, proto); !added) {
    if (node.wanted_constant() != kNoTensor) {
      failure_.inputs_needed = inputs_of_value(node.wanted_constant());
    }
    return located(added.error(), proto);
  }
  return {};
}

/// Which tensors a walk from `needed` to the front of the graph meets.
std::vector<bool> needed_tensors(const Graph& graph, std::span<const TensorId> needed) {
  std::vector<bool> seen(graph.tensors.size(), false);
  for (TensorId tensor : needed) seen[tensor] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (!seen[graph.nodes[i].output]) continue;
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
  std::erase_if(graph.nodes, [&](const Node& node) { return !seen[node.output]; });
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
    if (tensor.dtype == DType::f64 && !tensor.constant) {
      return unsupported(fmt::format(
          "Value \"{}\" has element type double, in which Leat does not compute.", name));
    }
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

Result<Model> import_onnx(const std::string& path, const ImportOptions& options,
                          ImportFailure* failure) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kModelBytesMax));
  return import_onnx_bytes(bytes, path, options, failure);
}

Result<Model> import_onnx_bytes(std::string_view bytes, const std::string& path,
                                const ImportOptions& options, ImportFailure* failure) {
  TRY_ASSIGN(const std::unique_ptr<onnx::ModelProto> proto, parse_model(bytes, path));
  std::set<std::string> fixed_inputs;
  while (true) {
    Importer importer(*proto, options, fixed_inputs);
    Result<Model> model = importer.run(path);
    if (model) return model;
    // Each round fixes one input more, or is the last.
    const size_t fixed_before = fixed_inputs.size();
    for (const std::string& name : importer.failure().inputs_needed) {
      if (options.input_values.contains(name)) fixed_inputs.insert(name);
    }
    if (fixed_inputs.size() > fixed_before) continue;
    if (failure) *failure = importer.failure();
    return model.error().during(fmt::format("reading model \"{}\"", path));
  }
}

}  // namespace leat
