// See onnx_frame.h; and OnnxModel, which keeps a file with its frame.
#include "leat/model/onnx_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "leat/base/files.h"
#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_ops.h"

namespace leat {
namespace {

using onnx_ops::OnnxOperator;

Error invalid(std::string sentence) {
  return Error(ErrorKind::invalid_argument, std::move(sentence));
}

Error unsupported(std::string sentence) {
  return Error(ErrorKind::unsupported, std::move(sentence));
}

Result<void> read_opsets(const onnx::ModelProto& proto, ModelFrame& frame) {
  for (const auto& entry : proto.opset_import()) {
    if (entry.has_version() && entry.version() < 1) {
      return invalid(fmt::format("Opset version ({}) of domain \"{}\" is less than (1).",
                                 entry.version(), entry.domain()));
    }
    const std::string domain(onnx_ops::canonical_domain(entry.domain()));
    frame.opsets[domain] = std::max(frame.opsets[domain], entry.version());
  }
  const auto found = frame.opsets.find("");
  if (found == frame.opsets.end()) return {};  // check_operator names the domain
  if (found->second < onnx_ops::kOpsetMin || found->second > onnx_ops::kOpsetMax) {
    return unsupported(fmt::format("Opset version ({}) is outside the supported range ({} to {}).",
                                   found->second, onnx_ops::kOpsetMin, onnx_ops::kOpsetMax));
  }
  return {};
}

Result<void> check_graph(const onnx::GraphProto& graph) {
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

Result<void> read_inputs(const onnx::GraphProto& graph, ModelFrame& frame) {
  std::set<std::string> initialized;
  for (const onnx::TensorProto& tensor : graph.initializer()) initialized.insert(tensor.name());
  for (const onnx::ValueInfoProto& proto : graph.input()) {
    if (initialized.contains(proto.name())) continue;
    TRY_ASSIGN(DeclaredInput input, read_input(proto));
    frame.inputs.push_back(std::move(input));
  }
  return {};
}

}  // namespace

std::string name_of(const onnx::NodeProto& node) {
  if (!node.name().empty()) return node.name();
  return node.output_size() > 0 ? node.output(0) : node.op_type();
}

int64_t ModelFrame::opset_of(const onnx::NodeProto& node) const {
  const auto found = opsets.find(std::string(onnx_ops::canonical_domain(node.domain())));
  return found == opsets.end() ? 0 : found->second;
}

Error ModelFrame::located(const Error& error, const onnx::NodeProto& node,
                          ImportFailure* failure) const {
  if (failure != nullptr) {
    failure->op = node.op_type();
    failure->node = name_of(node);
  }
  return error.during(fmt::format("importing node \"{}\" ({}, opset {})", name_of(node),
                                  node.op_type(), opset_of(node)));
}

Result<ModelFrame> read_frame(const onnx::ModelProto& proto, ImportFailure* failure) {
  ModelFrame frame;
  TRY(read_opsets(proto, frame));
  TRY(check_graph(proto.graph()));
  for (const onnx::NodeProto& node : proto.graph().node()) {
    const Result<void> checked = check_operator(node, frame.opset_of(node));
    if (!checked) return frame.located(checked.error(), node, failure);
  }
  TRY(read_inputs(proto.graph(), frame));
  return frame;
}

// --- OnnxModel -----------------------------------------------------------------------------------

Shape DeclaredInput::shape() const {
  Shape shape;
  for (const Extent& extent : extents) shape.push_back(extent.value);
  return shape;
}

OnnxModel::OnnxModel(std::unique_ptr<onnx::ModelProto> proto, std::unique_ptr<ModelFrame> frame,
                     ModelPath path)
    : proto_(std::move(proto)), frame_(std::move(frame)), path_(std::move(path)) {}
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

}  // namespace leat
