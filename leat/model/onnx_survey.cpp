// See onnx_survey.h.
#include "leat/model/onnx_survey.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <tuple>
#include <unordered_set>

#include "leat/base/files.h"
#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_frame.h"
#include "leat/model/onnx_import.h"
#include "leat/model/onnx_ops.h"

namespace leat {
namespace {

constexpr int kProducerVersionField = 3;  // of ModelProto; our schema leaves it out

std::string type_text(int code) {
  const Result<DType> dtype = dtype_of_onnx(code);
  if (dtype) return std::string(name_of(*dtype));
  if (!onnx::TensorProto::DataType_IsValid(code)) return fmt::format("type {}", code);
  std::string name =
      onnx::TensorProto::DataType_Name(static_cast<onnx::TensorProto::DataType>(code));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

std::string dim_text(const onnx::TensorShapeProto::Dimension& dim) {
  const bool is_known = dim.value_case() == onnx::TensorShapeProto::Dimension::kDimValue;
  if (is_known && dim.dim_value() != -1) return std::to_string(dim.dim_value());
  return dim.dim_param().empty() ? "?" : dim.dim_param();
}

SurveyedValue value_of(const onnx::ValueInfoProto& proto) {
  SurveyedValue value;
  value.name = proto.name();
  switch (proto.type().value_case()) {
    case onnx::TypeProto::kTensorType: {
      const onnx::TypeProto::Tensor& tensor = proto.type().tensor_type();
      value.type = type_text(tensor.elem_type());
      value.has_rank = tensor.has_shape();
      for (const auto& dim : tensor.shape().dim()) value.dims.push_back(dim_text(dim));
      return value;
    }
    case onnx::TypeProto::kSequenceType: value.type = "sequence"; return value;
    case onnx::TypeProto::kMapType: value.type = "map"; return value;
    case onnx::TypeProto::kOpaqueType: value.type = "opaque"; return value;
    case onnx::TypeProto::kSparseTensorType: value.type = "sparse tensor"; return value;
    case onnx::TypeProto::kOptionalType: value.type = "optional"; return value;
    case onnx::TypeProto::VALUE_NOT_SET: value.type = "?"; return value;
  }
  return value;
}

std::string producer_of(const onnx::ModelProto& proto) {
  std::string producer = proto.producer_name();
  const auto& unknown = proto.GetReflection()->GetUnknownFields(proto);
  for (int i = 0; i < unknown.field_count(); ++i) {
    const google::protobuf::UnknownField& field = unknown.field(i);
    const bool is_text = field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED;
    if (field.number() == kProducerVersionField && is_text && !field.length_delimited().empty()) {
      producer += (producer.empty() ? "" : " ") + field.length_delimited();
    }
  }
  return producer;
}

/// Counts what is in the file, without a look at what it means.
class Counts {
 public:
  Counts(ModelSurvey& survey, std::string path) : survey_(survey), path_(std::move(path)) {}

  void add(const onnx::ModelProto& proto) {
    for (const onnx::FunctionProto& function : proto.functions()) {
      functions_.insert(fmt::format("{}\n{}", function.domain(), function.name()));
    }
    add(proto.graph(), survey_.nodes);
    for (const onnx::FunctionProto& function : proto.functions()) {
      for (const onnx::NodeProto& node : function.node()) add(node, survey_.function_nodes);
    }
    for (auto& [key, row] : rows_) survey_.operators.push_back(std::move(row));
    std::ranges::stable_sort(survey_.operators, std::ranges::greater(), &SurveyedOperator::count);
  }

 private:
  // As deep as the parser lets graphs within graphs be.
  void add(const onnx::GraphProto& graph, int64_t& nodes) {
    for (const onnx::NodeProto& node : graph.node()) add(node, nodes);
    for (const onnx::TensorProto& tensor : graph.initializer()) add(tensor);
  }

  void add(const onnx::NodeProto& node, int64_t& nodes) {
    ++nodes;
    const std::string domain(onnx_ops::canonical_domain(node.domain()));
    SurveyedOperator& row = rows_[{domain, node.op_type()}];
    if (++row.count == 1) {
      row.domain = domain;
      row.name = node.op_type();
      row.is_function = functions_.contains(fmt::format("{}\n{}", node.domain(), node.op_type()));
      row.is_supported =
          row.is_function || onnx_ops::find_operator(domain, node.op_type()) != nullptr;
    }
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) add(attribute.g(), nodes);
    }
  }

  void add(const onnx::TensorProto& tensor) {
    SurveyedWeights& weights = survey_.weights;
    double elements = 1;
    for (const int64_t extent : tensor.dims())
      elements *= static_cast<double>(std::max<int64_t>(extent, 0));
    ++weights.tensors;
    ++weights.types[type_text(tensor.data_type())];
    weights.elements += elements;
    const Result<DType> dtype = dtype_of_onnx(tensor.data_type());
    if (dtype) weights.bytes += elements * bits_of(*dtype) / 8;
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return;
    ++weights.external_tensors;
    for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
      if (entry.key() != "location" || weights.external_files.contains(entry.value())) continue;
      const std::filesystem::path place = std::filesystem::path(entry.value()).lexically_normal();
      const auto file = std::filesystem::path(path_).parent_path() / place;
      const bool is_below = place.is_relative() && !place.string().starts_with("..");
      weights.external_files[entry.value()] = is_below && access(file.c_str(), R_OK) == 0;
    }
  }

  ModelSurvey& survey_;
  std::string path_;
  std::unordered_set<std::string> functions_;
  std::map<std::pair<std::string, std::string>, SurveyedOperator> rows_;
};

void add_values(const onnx::GraphProto& graph, ModelSurvey& survey) {
  std::unordered_set<std::string> initialized;
  for (const onnx::TensorProto& tensor : graph.initializer()) initialized.insert(tensor.name());
  for (const onnx::ValueInfoProto& input : graph.input()) {
    survey.inputs.push_back(value_of(input));
    survey.inputs.back().has_default = initialized.contains(input.name());
  }
  std::ranges::stable_partition(survey.inputs, [](const auto& v) { return !v.has_default; });
  for (const onnx::ValueInfoProto& output : graph.output()) {
    survey.outputs.push_back(value_of(output));
  }
}

/// What an import has found out of outputs that the file tells no type of.
void complete(const Model& model, std::vector<SurveyedValue>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].type != "?") continue;
    outputs[i].type = name_of(model.outputs[i].dtype);
    outputs[i].has_rank = true;
    for (const int64_t extent : model.outputs[i].shape) {
      outputs[i].dims.push_back(std::to_string(extent));
    }
  }
}

}  // namespace

Result<ModelSurvey> survey_onnx(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kModelBytesMax));
  TRY_ASSIGN(const std::shared_ptr<const onnx::ModelProto> proto, parse_model(bytes, path));
  ModelSurvey survey;
  survey.file_bytes = bytes.size();
  survey.name = proto->graph().name();
  survey.ir_version = proto->ir_version();
  survey.producer = producer_of(*proto);
  for (const onnx::OperatorSetIdProto& entry : proto->opset_import()) {
    survey.opsets[std::string(onnx_ops::canonical_domain(entry.domain()))] = entry.version();
  }
  add_values(proto->graph(), survey);
  Counts(survey, path).add(*proto);
  ImportNotes notes;
  const auto frame = std::make_shared<const ModelFrame>(read_frame_noting(*proto, notes));
  survey.model = import_noting(proto, frame, path, notes);
  if (survey.model && survey.model->rest) {
    survey.is_in_parts = true;
    survey.model.reset();
  }
  if (survey.model) complete(*survey.model, survey.outputs);
  survey.problems = notes.problems();
  survey.problem_count = notes.count();
  survey.passed_over = notes.passed_over();
  return survey;
}

}  // namespace leat
