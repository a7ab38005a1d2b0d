// See onnx_function.h.
#include "leat/model/onnx_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_order.h"

namespace leat {
namespace {

using Attributes = std::map<std::string, const onnx::AttributeProto*>;

bool has_references(const OnnxNodes& nodes) {
  return std::ranges::any_of(nodes, [](const onnx::NodeProto& node) {
    return std::ranges::any_of(node.attribute(), [](const onnx::AttributeProto& attribute) {
      return attribute.has_ref_attr_name() ||
             (attribute.has_g() && has_references(attribute.g().node()));
    });
  });
}

/// Puts the given attributes into the nodes, as long as there are bytes left.
void fill_in(onnx::NodeProto& node, const Attributes& given, int64_t& bytes_left) {
  auto& attributes = *node.mutable_attribute();
  for (int i = 0; i < attributes.size(); ++i) {
    onnx::AttributeProto& attribute = attributes[i];
    if (attribute.has_g()) {
      for (onnx::NodeProto& inner : *attribute.mutable_g()->mutable_node()) {
        fill_in(inner, given, bytes_left);
      }
    }
    if (!attribute.has_ref_attr_name()) continue;
    const std::string name = attribute.name();
    const auto found = given.find(attribute.ref_attr_name());
    if (found == given.end()) {
      attributes.DeleteSubrange(i--, 1);
      continue;
    }
    bytes_left -= static_cast<int64_t>(found->second->ByteSizeLong());
    if (bytes_left < 0) return;
    attribute = *found->second;
    attribute.set_name(name);
  }
}

}  // namespace

Result<std::unique_ptr<onnx::FunctionProto>> bind_attributes(const onnx::FunctionProto& function,
                                                             const onnx::NodeProto& call,
                                                             int64_t& bytes_left) {
  Attributes given;
  for (const auto& attribute : function.attribute_proto()) given[attribute.name()] = &attribute;
  for (const onnx::AttributeProto& attribute : call.attribute()) {
    const bool is_known = given.contains(attribute.name()) ||
                          std::ranges::count(function.attribute(), attribute.name()) > 0;
    if (!is_known) {
      return invalid(fmt::format("Attribute \"{}\" is not one that function {} has.",
                                 attribute.name(), function.name()));
    }
    given[attribute.name()] = &attribute;
  }
  if (!has_references(function.node())) return std::unique_ptr<onnx::FunctionProto>();
  bytes_left -= static_cast<int64_t>(function.ByteSizeLong());
  std::unique_ptr<onnx::FunctionProto> bound;
  if (bytes_left >= 0) {
    bound = std::make_unique<onnx::FunctionProto>(function);
    for (onnx::NodeProto& node : *bound->mutable_node()) fill_in(node, given, bytes_left);
  }
  if (bytes_left >= 0) return bound;
  return unsupported("Calls of functions take more bytes than graphs within the model may.");
}

}  // namespace leat
