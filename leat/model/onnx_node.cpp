// Reading one node of a model; see onnx_node.h.
#include "leat/model/onnx_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "leat/base/check.h"
#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_file.h"

namespace leat::onnx_ops {
namespace {

using onnx::AttributeProto;

/// Files before IR version 2 leave the type out; then what is there tells.
int type_of(const AttributeProto& attribute) {
  if (attribute.type() != AttributeProto::UNDEFINED) return attribute.type();
  if (attribute.has_f()) return AttributeProto::FLOAT;
  if (attribute.has_i()) return AttributeProto::INT;
  if (attribute.has_s()) return AttributeProto::STRING;
  if (attribute.has_t()) return AttributeProto::TENSOR;
  if (attribute.has_g()) return AttributeProto::GRAPH;
  if (attribute.floats_size() > 0) return AttributeProto::FLOATS;
  if (attribute.strings_size() > 0) return AttributeProto::STRINGS;
  return AttributeProto::INTS;
}

std::string type_name(int type) {
  if (!AttributeProto::AttributeType_IsValid(type)) return fmt::format("{}", type);
  return AttributeProto::AttributeType_Name(static_cast<AttributeProto::AttributeType>(type));
}

}  // namespace

OnnxNode::OnnxNode(const onnx::NodeProto& proto, Frame frame)
    : proto_(proto),
      frame_(std::move(frame)),
      op_(proto.op_type()),
      outputs_(static_cast<size_t>(proto.output_size())),
      read_(static_cast<size_t>(proto.attribute_size()), false) {
  std::vector<OnnxValue>& inputs = frame_.inputs;
  while (!inputs.empty() && inputs.back().is_left_out()) inputs.pop_back();
  for (const OnnxValue& input : inputs) inputs_.push_back(input.tensor);
}

bool OnnxNode::may_fill(int64_t size_bytes) {
  if (size_bytes > frame_.fill_bytes_left) return false;
  frame_.fill_bytes_left -= size_bytes;
  return true;
}

bool OnnxNode::has_input(size_t index) const { return input(index) != kNoTensor; }

TensorId OnnxNode::input(size_t index) const {
  return index < inputs_.size() ? inputs_[index] : kNoTensor;
}

const OnnxValue& OnnxNode::value(size_t index) const {
  static const OnnxValue left_out;
  return index < frame_.inputs.size() ? frame_.inputs[index] : left_out;
}

Shape OnnxNode::shape(size_t index) const {
  CHECK(has_input(index));
  return frame_.graph.tensors[inputs_[index]].shape;
}

DType OnnxNode::dtype(size_t index) const {
  CHECK(has_input(index));
  return frame_.graph.tensors[inputs_[index]].dtype;
}

bool OnnxNode::wants_output(size_t index) const {
  return index < outputs_.size() && !proto_.output(static_cast<int>(index)).empty();
}

std::optional<Shape> OnnxNode::declared_shape(size_t index) const {
  if (!wants_output(index)) return std::nullopt;
  return frame_.host.declared_shape(proto_.output(static_cast<int>(index)));
}

void OnnxNode::set_output(size_t index, OnnxValue value) {
  if (index < outputs_.size()) outputs_[index] = std::move(value);
}

// --- Attributes ----------------------------------------------------------------------------------

const AttributeProto* OnnxNode::find(std::string_view attribute, int type) {
  for (int i = 0; i < proto_.attribute_size(); ++i) {
    const AttributeProto& found = proto_.attribute(i);
    if (found.name() != attribute) continue;
    read_[static_cast<size_t>(i)] = true;
    if (found.has_ref_attr_name()) {
      fail(ErrorKind::unsupported,
           fmt::format("Attribute \"{}\" refers to attribute \"{}\" of a function.", attribute,
                       found.ref_attr_name()));
      return nullptr;
    }
    if (type_of(found) == type) return &found;
    fail(ErrorKind::invalid_argument,
         fmt::format("Attribute \"{}\" has type {} where {} is expected.", attribute,
                     type_name(type_of(found)), type_name(type)));
    return nullptr;
  }
  return nullptr;
}

bool OnnxNode::has_attribute(std::string_view attribute) const {
  for (const AttributeProto& found : proto_.attribute()) {
    if (found.name() == attribute) return true;
  }
  return false;
}

int64_t OnnxNode::integer(std::string_view attribute, int64_t fallback) {
  const AttributeProto* found = find(attribute, AttributeProto::INT);
  return found ? found->i() : fallback;
}

bool OnnxNode::flag(std::string_view attribute, bool fallback) {
  const int64_t value = integer(attribute, fallback ? 1 : 0);
  if (value != 0 && value != 1) {
    fail(ErrorKind::invalid_argument,
         fmt::format("Attribute \"{}\" ({}) is neither 0 nor 1.", attribute, value));
  }
  return value != 0;
}

double OnnxNode::number(std::string_view attribute, double fallback) {
  const AttributeProto* found = find(attribute, AttributeProto::FLOAT);
  return found ? static_cast<double>(found->f()) : fallback;
}

std::string OnnxNode::text(std::string_view attribute, std::string_view fallback) {
  const AttributeProto* found = find(attribute, AttributeProto::STRING);
  return found ? found->s() : std::string(fallback);
}

Ints OnnxNode::integers(std::string_view attribute) {
  const AttributeProto* found = find(attribute, AttributeProto::INTS);
  return found ? Ints(found->ints().begin(), found->ints().end()) : Ints();
}

std::vector<double> OnnxNode::numbers(std::string_view attribute) {
  const std::vector<float> values = floats(attribute);
  return std::vector<double>(values.begin(), values.end());
}

std::vector<float> OnnxNode::floats(std::string_view attribute) {
  const AttributeProto* found = find(attribute, AttributeProto::FLOATS);
  if (!found) return {};
  return std::vector<float>(found->floats().begin(), found->floats().end());
}

std::vector<std::string> OnnxNode::texts(std::string_view attribute) {
  const AttributeProto* found = find(attribute, AttributeProto::STRINGS);
  if (!found) return {};
  return std::vector<std::string>(found->strings().begin(), found->strings().end());
}

DType OnnxNode::element_type(std::string_view attribute, DType fallback) {
  const AttributeProto* found = find(attribute, AttributeProto::INT);
  if (!found) return fallback;
  const bool fits = found->i() >= 0 && found->i() <= std::numeric_limits<int>::max();
  const Result<DType> dtype = dtype_of_onnx(fits ? static_cast<int>(found->i()) : 0);
  if (dtype) return *dtype;
  fail(dtype.error().kind(), dtype.error().message());
  return fallback;
}

std::optional<HostTensor> OnnxNode::tensor(std::string_view attribute) {
  const AttributeProto* found = find(attribute, AttributeProto::TENSOR);
  if (!found) return std::nullopt;
  Result<HostTensor> value = host_tensor_of(found->t());
  if (value) return std::move(*value);
  fail(value.error().kind(), value.error().message());
  return std::nullopt;
}

Result<TensorId> OnnxNode::constant_of(std::string_view attribute) {
  const AttributeProto* found = find(attribute, AttributeProto::TENSOR);
  if (!found) return *failure_;
  return frame_.host.constant_of(found->t(), name());
}

int64_t OnnxNode::required_integer(std::string_view attribute) {
  if (!has_attribute(attribute)) {
    fail(ErrorKind::invalid_argument,
         fmt::format("Attribute \"{}\", which {} must have, is missing.", attribute, op_));
  }
  return integer(attribute, 1);
}

const onnx::GraphProto* OnnxNode::body(std::string_view attribute) {
  const AttributeProto* found = find(attribute, AttributeProto::GRAPH);
  if (found) return &found->g();
  fail(ErrorKind::invalid_argument,
       fmt::format("Attribute \"{}\", a graph that {} must have, is missing.", attribute, op_));
  return nullptr;
}

void OnnxNode::ignore(std::initializer_list<std::string_view> attributes) {
  for (int i = 0; i < proto_.attribute_size(); ++i) {
    for (std::string_view name : attributes) {
      if (proto_.attribute(i).name() == name) read_[static_cast<size_t>(i)] = true;
    }
  }
}

// --- Constant inputs -----------------------------------------------------------------------------

const HostTensor* OnnxNode::constant(size_t index, std::string_view what) {
  if (!has_input(index)) return nullptr;
  return known(inputs_[index], static_cast<int64_t>(index),
               fmt::format("Input {} ({})", index, what));
}

const HostTensor* OnnxNode::told(TensorId tensor, std::string_view what, int64_t number) {
  return known(tensor, -1 - number, fmt::format("The {}", what));  // below those of inputs
}

const HostTensor* OnnxNode::known(TensorId id, int64_t question, const std::string& what) {
  if (const HostTensor* constant = frame_.graph.tensors[id].constant.get()) return constant;
  if (const HostTensor* value = frame_.host.told_value(id, question)) return value;
  if (!failure_ || !wanted_.tensors.empty()) wanted_.tensors.push_back(id);
  fail(ErrorKind::unsupported,
       fmt::format("{} of {} is computed at run time, but it decides a shape or an index and must "
                   "be constant.",
                   what, op_));
  return nullptr;
}

Result<TensorId> OnnxNode::compute_on_host(HostFunction function) {
  const auto is_known = [&](TensorId input) {
    return input == kNoTensor || frame_.graph.tensors[input].constant != nullptr;
  };
  if (frame_.host.may_wait() && !std::ranges::all_of(inputs_, is_known)) {
    fail(ErrorKind::unsupported, fmt::format("{} is computed at run time.", op_));
    wanted_ = {inputs_, std::move(function)};
    return *failure_;
  }
  std::vector<const HostTensor*> values;
  for (size_t i = 0; i < inputs_.size(); ++i) values.push_back(constant(i, "values"));
  if (failure_) return *failure_;
  TRY_ASSIGN(std::vector<HostTensor> results, function(values));
  for (size_t i = 0; i < std::min(results.size(), output_count()); ++i) {
    if (!may_fill(std::ssize(results[i].bytes))) {
      return Error(ErrorKind::unsupported,
                   fmt::format("{} gives {} bytes, more than constants may take.", op_,
                               results[i].bytes.size()));
    }
    const std::string name = i == 0 ? this->name() : fmt::format("{}/{}", this->name(), i);
    set_output(i, frame_.graph.add_constant(name, std::move(results[i])));
  }
  return kNoTensor;
}

const HostTensor* OnnxNode::constant_if_known(size_t index, std::string_view what) {
  if (!has_input(index)) return nullptr;
  const Tensor& tensor = frame_.graph.tensors[inputs_[index]];
  if (tensor.constant) return tensor.constant.get();
  const auto question = static_cast<int64_t>(index);
  if (const HostTensor* value = frame_.host.told_value(inputs_[index], question)) return value;
  return frame_.host.may_become_constant(inputs_[index]) ? constant(index, what) : nullptr;
}

Ints OnnxNode::constant_integers(size_t index, std::string_view what) {
  Ints values;
  const HostTensor* tensor = constant(index, what);
  if (!tensor) return values;
  if (is_float(tensor->dtype) || tensor->shape.size() > 1) {
    fail(ErrorKind::invalid_argument,
         fmt::format("Input {} ({}) has type {} and shape {} where a list of whole numbers is "
                     "expected.",
                     index, what, name_of(tensor->dtype), to_string(tensor->shape)));
    return values;
  }
  for (int64_t i = 0; i < element_count(tensor->shape); ++i) values.push_back(tensor->integer(i));
  return values;
}

std::vector<double> OnnxNode::constant_numbers(size_t index, std::string_view what) {
  std::vector<double> values;
  const HostTensor* tensor = constant(index, what);
  if (!tensor) return values;
  if (tensor->shape.size() > 1) {
    fail(ErrorKind::invalid_argument, fmt::format("Input {} ({}) has shape {} instead of a list.",
                                                  index, what, to_string(tensor->shape)));
    return values;
  }
  for (int64_t i = 0; i < element_count(tensor->shape); ++i) values.push_back(tensor->number(i));
  return values;
}

int64_t OnnxNode::constant_integer(size_t index, std::string_view what, int64_t fallback) {
  if (!has_input(index)) return fallback;
  const Ints values = constant_integers(index, what);
  if (values.size() == 1) return values[0];
  fail(ErrorKind::invalid_argument,
       fmt::format("Input {} ({}) has {} elements instead of 1.", index, what, values.size()));
  return fallback;
}

double OnnxNode::constant_number(size_t index, std::string_view what, double fallback) {
  if (!has_input(index)) return fallback;
  const std::vector<double> values = constant_numbers(index, what);
  if (values.size() == 1) return values[0];
  fail(ErrorKind::invalid_argument,
       fmt::format("Input {} ({}) has {} elements instead of 1.", index, what, values.size()));
  return fallback;
}

// --- Failures ------------------------------------------------------------------------------------

void OnnxNode::fail(ErrorKind kind, std::string sentence) {
  if (!failure_) failure_.emplace(kind, std::move(sentence));
}

void OnnxNode::want_tensors(std::initializer_list<size_t> inputs) {
  for (size_t input : inputs) {
    if (value(input).kind == OnnxValue::Kind::tensor) continue;
    fail(ErrorKind::invalid_argument, fmt::format("Input {} of {} is no tensor.", input, op_));
  }
}

std::string OnnxNode::unread_attribute() const {
  for (size_t i = 0; i < read_.size(); ++i) {
    if (!read_[i]) return proto_.attribute(static_cast<int>(i)).name();
  }
  return {};
}

}  // namespace leat::onnx_ops
