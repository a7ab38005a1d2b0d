// The frame of a model file: what can be said and checked before any shape is known.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "leat/model/onnx_import.h"

namespace leat::onnx {
class NodeProto;
}  // namespace leat::onnx

namespace leat {

struct ModelFrame {
  std::map<std::string, int64_t> opsets;  // by domain; "" is ONNX' own
  std::vector<DeclaredInput> inputs;      // in the order of the file; no initializers

  /// 0, when the file does not say.
  int64_t opset_of(const onnx::NodeProto& node) const;
  /// Adds the node to the message, and tells `failure`, which may be null.
  Error located(const Error& error, const onnx::NodeProto& node, ImportFailure* failure) const;
};

/// Errors: invalid_argument, unsupported: a version, an operator or an element type that Leat does
/// not have, limits, nodes that lack inputs. All nodes are looked at before any tensor: a missing
/// operator is what a person wants to hear of first.
Result<ModelFrame> read_frame(const onnx::ModelProto& proto, ImportFailure* failure);

/// The name that messages use: the node's own, or its first output's.
std::string name_of(const onnx::NodeProto& node);

}  // namespace leat
