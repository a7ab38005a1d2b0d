// See onnx_function.h.
#include "leat/model/onnx_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_order.h"

namespace leat {
namespace {

/// What a call gives, or the function itself where it gives nothing.
struct Attributes {
  std::map<std::string_view, const onnx::AttributeProto*> given;
  const ModelFunction& function;

  /// Null when there is none.
  const onnx::AttributeProto* find(std::string_view name) const {
    for (const auto* list : {&given, &function.defaults}) {
      const auto found = list->find(name);
      if (found != list->end()) return found->second;
    }
    return nullptr;
  }
};

bool has_references(const OnnxNodes& nodes) {
  return std::ranges::any_of(nodes, [](const onnx::NodeProto& node) {
    return std::ranges::any_of(node.attribute(), [](const onnx::AttributeProto& attribute) {
      return attribute.has_ref_attr_name() ||
             (attribute.has_g() && has_references(attribute.g().node()));
    });
  });
}

/// Puts the given attributes into the nodes, as long as there are bytes left.
void fill_in(onnx::NodeProto& node, const Attributes& known, int64_t& bytes_left) {
  auto& attributes = *node.mutable_attribute();
  for (int i = 0; i < attributes.size(); ++i) {
    onnx::AttributeProto& attribute = attributes[i];
    if (attribute.has_g()) {
      for (onnx::NodeProto& inner : *attribute.mutable_g()->mutable_node()) {
        fill_in(inner, known, bytes_left);
      }
    }
    if (!attribute.has_ref_attr_name()) continue;
    const std::string name = attribute.name();
    const onnx::AttributeProto* found = known.find(attribute.ref_attr_name());
    if (found == nullptr) {
      attributes.DeleteSubrange(i--, 1);
      continue;
    }
    bytes_left -= static_cast<int64_t>(found->SpaceUsedLong());
    if (bytes_left < 0) return;
    attribute = *found;
    attribute.set_name(name);
  }
}

}  // namespace

ModelFunction describe_function(const onnx::FunctionProto& function, Opsets opsets) {
  ModelFunction described;
  described.proto = &function;
  described.opsets = std::move(opsets);
  for (const std::string& name : function.attribute()) described.attributes.insert(name);
  for (const onnx::AttributeProto& attribute : function.attribute_proto()) {
    described.attributes.insert(attribute.name());
    described.defaults[attribute.name()] = &attribute;
  }
  described.has_references = has_references(function.node());
  if (!described.has_references) return described;
  size_t size_bytes = sizeof(onnx::FunctionProto);
  for (const onnx::NodeProto& node : function.node()) size_bytes += node.SpaceUsedLong();
  for (const auto* names : {&function.input(), &function.output()}) {
    for (const std::string& name : *names) size_bytes += sizeof(std::string) + name.size();
  }
  described.copy_bytes = static_cast<int64_t>(size_bytes);
  return described;
}

Result<std::unique_ptr<onnx::FunctionProto>> bind_attributes(const ModelFunction& function,
                                                             const onnx::NodeProto& call,
                                                             int64_t& bytes_left) {
  Attributes known = {{}, function};
  for (const onnx::AttributeProto& attribute : call.attribute()) {
    if (!function.attributes.contains(attribute.name())) {
      return invalid(fmt::format("Attribute \"{}\" is not one that function {} has.",
                                 attribute.name(), function.proto->name()));
    }
    known.given[attribute.name()] = &attribute;
  }
  if (!function.has_references) return std::unique_ptr<onnx::FunctionProto>();
  bytes_left -= function.copy_bytes;
  std::unique_ptr<onnx::FunctionProto> bound;
  if (bytes_left >= 0) {
    bound = std::make_unique<onnx::FunctionProto>();
    *bound->mutable_node() = function.proto->node();
    *bound->mutable_input() = function.proto->input();
    *bound->mutable_output() = function.proto->output();
    for (onnx::NodeProto& node : *bound->mutable_node()) fill_in(node, known, bytes_left);
  }
  if (bytes_left >= 0) return bound;
  return unsupported("Calls of functions take more bytes than graphs within the model may.");
}

}  // namespace leat
