// See onnx_frame.h; and OnnxModel, which keeps a file with its frame.
#include "leat/model/onnx_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "leat/base/files.h"
#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_notes.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_order.h"
#include "leat/tensor/constant_memory.h"

namespace leat {
namespace {

using onnx_ops::OnnxOperator;

using OpsetEntries = google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>;

/// All that are there, whatever their versions.
Opsets opsets_in(const OpsetEntries& entries) {
  Opsets opsets;
  for (const auto& entry : entries) {
    int64_t& version = opsets[std::string(onnx_ops::canonical_domain(entry.domain()))];
    version = std::max(version, entry.version());
  }
  return opsets;
}

Result<Opsets> read_opsets(const OpsetEntries& entries) {
  for (const auto& entry : entries) {
    if (entry.has_version() && entry.version() < 1) {
      return invalid(fmt::format("Opset version ({}) of domain \"{}\" is less than (1).",
                                 entry.version(), entry.domain()));
    }
  }
  Opsets opsets = opsets_in(entries);
  const auto found = opsets.find("");
  if (found == opsets.end()) return opsets;  // check_operator names the domain
  if (found->second < onnx_ops::kOpsetMin || found->second > onnx_ops::kOpsetMax) {
    return unsupported(fmt::format("Opset version ({}) is outside the supported range ({} to {}).",
                                   found->second, onnx_ops::kOpsetMin, onnx_ops::kOpsetMax));
  }
  return opsets;
}

std::string key_of(std::string_view domain, std::string_view name, std::string_view overload) {
  return fmt::format("{}\n{}\n{}", onnx_ops::canonical_domain(domain), name, overload);
}

/// What is wrong with a part of a file is `error`'s to judge: what it returns ends the reading.
using OnPartError = std::function<Result<void>(const Error& error, const onnx::NodeProto* node)>;

Result<void> read_functions(const onnx::ModelProto& proto, ModelFrame& frame,
                            const OnPartError& on_error) {
  for (const onnx::FunctionProto& function : proto.functions()) {
    Result<Opsets> read = read_opsets(function.opset_import());
    if (!read) TRY(on_error(read.error(), nullptr));
    Opsets opsets = read ? std::move(*read) : opsets_in(function.opset_import());
    const std::string key = key_of(function.domain(), function.name(), function.overload());
    if (!frame.functions.emplace(key, describe_function(function, std::move(opsets))).second) {
      TRY(on_error(invalid(fmt::format("Function \"{}\" is defined twice.", function.name())),
                   nullptr));
    }
  }
  return {};
}

Result<void> check_operator(const onnx::NodeProto& node, int64_t opset) {
  const OnnxOperator* row = onnx_ops::find_operator(node.domain(), node.op_type());
  if (!row) {
    return unsupported(fmt::format("Operator {} of domain \"{}\" is not supported.", node.op_type(),
                                   node.domain().empty() ? "ai.onnx" : node.domain()));
  }
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

/// All nodes of a file, with those of graphs that nodes hold and of functions that are used.
class NodeChecks {
 public:
  NodeChecks(ModelFrame& frame, ImportFailure* failure, const OnPartError& on_error)
      : frame_(frame), failure_(failure), on_error_(on_error) {}

  Result<void> check_model(const onnx::GraphProto& graph) {
    TRY(check(graph, frame_.opsets));
    // One after the other: functions may call each other in a chain as long as the file allows.
    while (!open_.empty()) {
      const ModelFunction& function = *open_.back();
      open_.pop_back();
      TRY(check(function.proto->node(), function.opsets));
      // Defaults of attributes become parts of the nodes that name them.
      for (const onnx::AttributeProto& attribute : function.proto->attribute_proto()) {
        if (attribute.has_g()) TRY(check(attribute.g(), function.opsets));
      }
    }
    return {};
  }

 private:
  Result<void> check(const onnx::GraphProto& graph, const Opsets& opsets) {
    if (graph.sparse_initializer_size() > 0) {
      TRY(on_error_(unsupported(fmt::format("The model has sparse initializers ({}).",
                                            graph.sparse_initializer_size())),
                    nullptr));
    }
    return check(graph.node(), opsets);
  }

  Result<void> check(const OnnxNodes& nodes, const Opsets& opsets) {
    frame_.node_count += nodes.size();
    if (frame_.node_count > kModelNodesMax) {
      return invalid(fmt::format("Number of nodes ({}) is larger than the limit ({}).",
                                 frame_.node_count, kModelNodesMax));
    }
    for (const onnx::NodeProto& node : nodes) {
      const int64_t opset = opset_of(opsets, node);
      const ModelFunction* function = frame_.function_of(node);
      const Result<void> checked =
          function ? check_call(node, *function) : check_operator(node, opset);
      if (!checked) TRY(judge(checked.error(), node, opset));
      for (const onnx::AttributeProto& attribute : node.attribute()) {
        if (attribute.has_g()) TRY(check(attribute.g(), opsets));
      }
    }
    return {};
  }

  Result<void> judge(const Error& error, const onnx::NodeProto& node, int64_t opset) {
    const Result<void> judged = on_error_(error, &node);
    return judged ? judged : located(judged.error(), node, opset, failure_);
  }

  Result<void> check_call(const onnx::NodeProto& node, const ModelFunction& function) {
    const onnx::FunctionProto& proto = *function.proto;
    if (node.input_size() > proto.input_size() || node.output_size() > proto.output_size()) {
      return invalid(fmt::format("Function {} has {} inputs (of {}) and {} outputs (of {}).",
                                 proto.name(), node.input_size(), proto.input_size(),
                                 node.output_size(), proto.output_size()));
    }
    if (known_.insert(&proto).second) open_.push_back(&function);
    return {};
  }

  ModelFrame& frame_;
  ImportFailure* failure_;
  const OnPartError& on_error_;
  std::set<const onnx::FunctionProto*> known_;
  std::vector<const ModelFunction*> open_;
};

Result<DeclaredInput> read_input(const onnx::ValueInfoProto& proto) {
  if (proto.type().value_case() != onnx::TypeProto::kTensorType) {
    return unsupported(fmt::format("Input \"{}\" is not a tensor.", proto.name()));
  }
  const onnx::TypeProto::Tensor& type = proto.type().tensor_type();
  const Result<DType> dtype = dtype_of_onnx(type.elem_type());
  if (!dtype) return dtype.error().during(fmt::format("reading input \"{}\"", proto.name()));
  DeclaredInput input;
  input.name = proto.name();
  input.dtype = *dtype;
  input.has_rank = type.has_shape();
  for (const auto& dimension : type.shape().dim()) {
    DeclaredInput::Extent extent;
    // Some exporters write -1 for what they do not know.
    extent.is_open = dimension.value_case() != onnx::TensorShapeProto::Dimension::kDimValue ||
                     dimension.dim_value() == -1;
    if (!extent.is_open) extent.value = dimension.dim_value();
    extent.symbol = dimension.dim_param();
    input.extents.push_back(std::move(extent));
  }
  return input;
}

Result<void> read_inputs(const onnx::GraphProto& graph, ModelFrame& frame, ImportNotes* notes) {
  std::set<std::string> initialized;
  for (const onnx::TensorProto& tensor : graph.initializer()) initialized.insert(tensor.name());
  for (const onnx::ValueInfoProto& proto : graph.input()) {
    Result<DeclaredInput> input = read_input(proto);
    const bool has_default = initialized.contains(proto.name());
    if (input) {
      (has_default ? frame.default_inputs : frame.inputs).push_back(std::move(*input));
    } else if (notes == nullptr) {
      return input.error();
    } else {
      notes->add(input.error());
      if (!has_default) notes->add_unknown(proto.name());
    }
  }
  return {};
}

/// Of what is said of an input or output, whether there can be such a tensor.
Result<void> check_declared(const Shape& shape) {
  if (shape.size() > static_cast<size_t>(kTensorRankMax)) {
    return invalid(fmt::format("There are more dimensions ({}) than the limit ({}).", shape.size(),
                               kTensorRankMax));
  }
  Shape smallest = shape;
  std::ranges::replace(smallest, -1, 1);
  return check_shape(smallest);
}

}  // namespace

std::string name_of(const onnx::ModelProto& proto, const std::string& path) {
  if (!proto.graph().name().empty()) return proto.graph().name();
  const size_t slash = path.find_last_of('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  return file.substr(0, file.find_last_of('.'));
}

std::vector<ModelValue> declared_outputs(const onnx::ModelProto& model) {
  std::vector<ModelValue> outputs;
  for (const onnx::ValueInfoProto& proto : model.graph().output()) {
    const Result<DeclaredInput> output = read_input(proto);
    Shape shape = output ? output->declared_shape() : Shape{-1};
    if (!check_declared(shape)) shape = {-1};
    outputs.push_back(
        {proto.name(), output ? output->dtype : DType::f32, std::move(shape), kNoTensor});
  }
  return outputs;
}

int64_t opset_of(const Opsets& opsets, const onnx::NodeProto& node) {
  const auto found = opsets.find(std::string(onnx_ops::canonical_domain(node.domain())));
  return found == opsets.end() ? 0 : found->second;
}

const ModelFunction* ModelFrame::function_of(const onnx::NodeProto& node) const {
  if (functions.empty()) return nullptr;
  const auto found = functions.find(key_of(node.domain(), node.op_type(), node.overload()));
  return found == functions.end() ? nullptr : &found->second;
}

Error located(const Error& error, const onnx::NodeProto& node, int64_t opset,
              ImportFailure* failure) {
  if (failure != nullptr && failure->op.empty()) {
    failure->op = node.op_type();
    failure->node = name_of(node);
  }
  return error.during(
      fmt::format("importing node \"{}\" ({}, opset {})", name_of(node), node.op_type(), opset));
}

/// With notes nothing ends it but the limit of nodes.
static Result<void> fill_frame(const onnx::ModelProto& proto, ImportFailure* failure,
                               ImportNotes* notes, ModelFrame& frame) {
  const OnPartError on_error = [&](const Error& error,
                                   const onnx::NodeProto* node) -> Result<void> {
    if (notes == nullptr) return error;
    notes->add(error, node);
    return {};
  };
  Result<Opsets> opsets = read_opsets(proto.opset_import());
  if (!opsets) TRY(on_error(opsets.error(), nullptr));
  frame.opsets = opsets ? std::move(*opsets) : opsets_in(proto.opset_import());
  TRY(read_functions(proto, frame, on_error));
  if (proto.graph().output_size() == 0) {
    TRY(on_error(invalid("The model's graph has no outputs."), nullptr));
  }
  TRY(NodeChecks(frame, failure, on_error).check_model(proto.graph()));
  return read_inputs(proto.graph(), frame, notes);
}

Result<ModelFrame> read_frame(const onnx::ModelProto& proto, ImportFailure* failure) {
  ModelFrame frame;
  TRY(fill_frame(proto, failure, nullptr, frame));
  return frame;
}

ModelFrame read_frame_noting(const onnx::ModelProto& proto, ImportNotes& notes) {
  ModelFrame frame;
  const Result<void> filled = fill_frame(proto, nullptr, &notes, frame);
  if (!filled) notes.add(filled.error());
  return frame;
}

// --- OnnxModel -----------------------------------------------------------------------------------

Shape DeclaredInput::shape() const {
  Shape shape;
  for (const Extent& extent : extents) shape.push_back(extent.value);
  return shape;
}

Shape DeclaredInput::declared_shape() const {
  if (!has_rank) return {-1};
  Shape shape;
  for (const Extent& extent : extents) shape.push_back(extent.is_open ? -1 : extent.value);
  return shape;
}

bool DeclaredInput::is_open() const {
  return !has_rank || std::ranges::any_of(extents, &Extent::is_open);
}

OnnxModel::OnnxModel(std::unique_ptr<onnx::ModelProto> proto, std::unique_ptr<ModelFrame> frame,
                     ModelPath path)
    : proto_(std::move(proto)), frame_(std::move(frame)), path_(std::move(path)) {
  if (std::ranges::any_of(frame_->inputs, &DeclaredInput::is_open)) {
    memory_ = std::make_shared<ConstantMemory>();
  }
}
OnnxModel::OnnxModel(OnnxModel&&) noexcept = default;
OnnxModel& OnnxModel::operator=(OnnxModel&&) noexcept = default;
OnnxModel::~OnnxModel() = default;

Result<OnnxModel> OnnxModel::read(const std::string& path, ImportFailure* failure) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kModelBytesMax));
  return parse(bytes, ModelPath{path, true}, failure);
}

Result<OnnxModel> OnnxModel::parse(std::string_view bytes, const std::string& path,
                                   ImportFailure* failure) {
  return parse(bytes, ModelPath{path}, failure);
}

Result<OnnxModel> OnnxModel::parse(std::string_view bytes, ModelPath path, ImportFailure* failure) {
  if (failure != nullptr) *failure = {};
  TRY_ASSIGN(std::unique_ptr<onnx::ModelProto> proto, parse_model(bytes, path.path));
  Result<ModelFrame> frame = read_frame(*proto, failure);
  if (!frame) return frame.error().during(fmt::format("reading model \"{}\"", path.path));
  return OnnxModel(std::move(proto), std::make_unique<ModelFrame>(std::move(*frame)),
                   std::move(path));
}

const std::vector<DeclaredInput>& OnnxModel::inputs() const { return frame_->inputs; }

const std::vector<DeclaredInput>& OnnxModel::default_inputs() const {
  return frame_->default_inputs;
}

Result<Model> OnnxModel::declared(const std::map<std::string, Shape>& shapes) const {
  Model model;
  model.path = path_.path;
  model.name = name_of(*proto_, path_.path);
  model.opsets = frame_->opsets;
  std::vector<const DeclaredInput*> inputs;
  for (const DeclaredInput& input : frame_->inputs) inputs.push_back(&input);
  for (const DeclaredInput& input : frame_->default_inputs) {
    if (shapes.contains(input.name)) inputs.push_back(&input);
  }
  for (const DeclaredInput* input : inputs) {
    const auto known = shapes.find(input->name);
    const Shape shape = known == shapes.end() ? input->declared_shape() : known->second;
    const Result<void> checked = check_declared(shape);
    if (!checked) return checked.error().during(fmt::format("reading input \"{}\"", input->name));
    model.inputs.push_back({input->name, input->dtype, shape, kNoTensor});
  }
  model.outputs = declared_outputs(*proto_);
  return model;
}

}  // namespace leat
