// See onnx_function.h.
#include "leat/model/onnx_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "leat/model/onnx.pb.h"

namespace leat {
namespace {

using Attributes = std::map<std::string, const onnx::AttributeProto*>;

void fill_in(onnx::NodeProto& node, const Attributes& given) {
  auto& attributes = *node.mutable_attribute();
  for (int i = 0; i < attributes.size(); ++i) {
    onnx::AttributeProto& attribute = attributes[i];
    if (attribute.has_g()) {
      for (onnx::NodeProto& inner : *attribute.mutable_g()->mutable_node()) fill_in(inner, given);
    }
    if (!attribute.has_ref_attr_name()) continue;
    const std::string name = attribute.name();
    const auto found = given.find(attribute.ref_attr_name());
    if (found != given.end()) {
      attribute = *found->second;
      attribute.set_name(name);
    } else {
      attributes.DeleteSubrange(i--, 1);
    }
  }
}

}  // namespace

Result<std::unique_ptr<onnx::FunctionProto>> bind_attributes(const onnx::FunctionProto& function,
                                                             const onnx::NodeProto& call) {
  Attributes given;
  for (const auto& attribute : function.attribute_proto()) given[attribute.name()] = &attribute;
  for (const onnx::AttributeProto& attribute : call.attribute()) {
    const bool is_known = given.contains(attribute.name()) ||
                          std::ranges::count(function.attribute(), attribute.name()) > 0;
    if (!is_known) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Attribute \"{}\" is not one that function {} has.",
                               attribute.name(), function.name()));
    }
    given[attribute.name()] = &attribute;
  }
  auto bound = std::make_unique<onnx::FunctionProto>(function);
  for (onnx::NodeProto& node : *bound->mutable_node()) fill_in(node, given);
  return bound;
}

}  // namespace leat
