// Functions of a model file: operators that it defines by other nodes.
// Source: ONNX IR specification, "Model-local functions".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat::onnx {
class AttributeProto;
class FunctionProto;
class NodeProto;
}  // namespace leat::onnx

namespace leat {

/// Versions of operator sets by domain; "" is ONNX' own.
using Opsets = std::map<std::string, int64_t>;
/// An operator that the file defines by other nodes. What refers to the file lives as long as it.
struct ModelFunction {
  const onnx::FunctionProto* proto = nullptr;
  Opsets opsets;
  std::set<std::string_view> attributes;  // that a call may give
  std::map<std::string_view, const onnx::AttributeProto*> defaults;
  bool has_references = false;  // to attributes, in its nodes
  int64_t copy_bytes = 0;       // of memory, of a copy for one call; where it has references
};

/// What is the same for all calls, found once.
ModelFunction describe_function(const onnx::FunctionProto& function, Opsets opsets);

/// Nodes, inputs and outputs of the function, with the attributes that `call` gives it, or their
/// defaults, in the place of those that its nodes name; what neither has is left out. Null where
/// its nodes name none: it holds as it is. The memory of the copy is taken off `bytes_left`.
/// Errors: invalid_argument: an attribute that the function does not have; unsupported: no bytes
/// are left.
Result<std::unique_ptr<onnx::FunctionProto>> bind_attributes(const ModelFunction& function,
                                                             const onnx::NodeProto& call,
                                                             int64_t& bytes_left);

}  // namespace leat
