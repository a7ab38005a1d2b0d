// Makes small ONNX models in memory, for tests of the import, the command line and the fuzzer.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_file.h"
#include "leat/tensor/graph.h"

namespace leat {

/// Sets attributes of one node: `.set("axis", 1)`.
class OnnxNodeBuilder {
 public:
  explicit OnnxNodeBuilder(onnx::NodeProto& node) : node_(node) {}

  OnnxNodeBuilder& set(const std::string& name, int64_t value) {
    add(name, onnx::AttributeProto::INT).set_i(value);
    return *this;
  }
  OnnxNodeBuilder& set(const std::string& name, int value) {
    return set(name, static_cast<int64_t>(value));
  }
  OnnxNodeBuilder& set(const std::string& name, float value) {
    add(name, onnx::AttributeProto::FLOAT).set_f(value);
    return *this;
  }
  OnnxNodeBuilder& set(const std::string& name, const char* value) {
    add(name, onnx::AttributeProto::STRING).set_s(value);
    return *this;
  }
  OnnxNodeBuilder& set(const std::string& name, const std::vector<int64_t>& values) {
    onnx::AttributeProto& attribute = add(name, onnx::AttributeProto::INTS);
    attribute.mutable_ints()->Add(values.begin(), values.end());
    return *this;
  }
  OnnxNodeBuilder& set(const std::string& name, const std::vector<float>& values) {
    onnx::AttributeProto& attribute = add(name, onnx::AttributeProto::FLOATS);
    attribute.mutable_floats()->Add(values.begin(), values.end());
    return *this;
  }
  OnnxNodeBuilder& set(const std::string& name, const HostTensor& value) {
    onnx::AttributeProto& attribute = add(name, onnx::AttributeProto::TENSOR);
    attribute.mutable_t()->ParseFromString(tensor_file_bytes(value, name));
    return *this;
  }
  OnnxNodeBuilder& set(const std::string& name, const onnx::GraphProto& body) {
    *add(name, onnx::AttributeProto::GRAPH).mutable_g() = body;
    return *this;
  }
  /// In a function: what its caller gives as `attribute`.
  OnnxNodeBuilder& refer(const std::string& name, const std::string& attribute,
                         onnx::AttributeProto::AttributeType type) {
    add(name, type).set_ref_attr_name(attribute);
    return *this;
  }
  onnx::NodeProto& proto() { return node_; }

 private:
  onnx::AttributeProto& add(const std::string& name, onnx::AttributeProto::AttributeType type) {
    onnx::AttributeProto* attribute = node_.add_attribute();
    attribute->set_name(name);
    attribute->set_type(type);
    return *attribute;
  }

  onnx::NodeProto& node_;
};

class OnnxBuilder {
 public:
  explicit OnnxBuilder(int64_t opset = 13) {
    proto_.set_ir_version(8);
    proto_.add_opset_import()->set_version(opset);
    proto_.mutable_graph()->set_name("built");
  }

  /// An extent of -1 is left unknown, and is like all others; one of -2 has no name.
  void input(const std::string& name, const Shape& shape, int type = onnx::TensorProto::FLOAT) {
    describe(*proto_.mutable_graph()->add_input(), name, shape, type);
  }
  void output(const std::string& name) { proto_.mutable_graph()->add_output()->set_name(name); }
  void constant(const std::string& name, const HostTensor& value) {
    proto_.mutable_graph()->add_initializer()->ParseFromString(tensor_file_bytes(value, name));
  }
  void constant(const std::string& name, const std::vector<int64_t>& values) {
    HostTensor tensor = HostTensor::zeros(DType::i64, {static_cast<int64_t>(values.size())});
    for (size_t i = 0; i < values.size(); ++i) {
      tensor.set_integer(static_cast<int64_t>(i), values[i]);
    }
    constant(name, tensor);
  }
  /// Element i is (i % 7 - 3) / 4: exact in every float type, of both signs, not all equal.
  void weights(const std::string& name, const Shape& shape, DType dtype = DType::f32) {
    HostTensor tensor = HostTensor::zeros(dtype, shape);
    for (int64_t i = 0; i < element_count(shape); ++i) {
      tensor.set_number(i, static_cast<double>(i % 7 - 3) / 4);
    }
    constant(name, tensor);
  }
  /// The node is named after its first output.
  OnnxNodeBuilder node(const std::string& op, const std::vector<std::string>& inputs,
                       const std::vector<std::string>& outputs) {
    onnx::NodeProto* node = proto_.mutable_graph()->add_node();
    node->set_op_type(op);
    node->set_name(outputs.empty() ? op : outputs.front() + "_node");
    for (const std::string& name : inputs) node->add_input(name);
    for (const std::string& name : outputs) node->add_output(name);
    return OnnxNodeBuilder(*node);
  }

  onnx::ModelProto& proto() { return proto_; }
  const onnx::ModelProto& proto() const { return proto_; }
  std::string bytes() const { return proto_.SerializeAsString(); }

 private:
  static void describe(onnx::ValueInfoProto& value, const std::string& name, const Shape& shape,
                       int type) {
    value.set_name(name);
    onnx::TypeProto::Tensor* tensor = value.mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    tensor->mutable_shape();
    for (int64_t extent : shape) {
      auto* dimension = tensor->mutable_shape()->add_dim();
      if (extent >= 0) {
        dimension->set_dim_value(extent);
      } else if (extent == -1) {
        dimension->set_dim_param("unknown");
      }
    }
  }

  onnx::ModelProto proto_;
};

}  // namespace leat
