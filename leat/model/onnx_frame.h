// The frame of a model file: what can be said and checked before any shape is known.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "leat/model/onnx_function.h"
#include "leat/model/onnx_import.h"

namespace leat::onnx {
class ModelProto;
class NodeProto;
}  // namespace leat::onnx

namespace leat {

/// Of the node's domain; 0, when the file does not say.
int64_t opset_of(const Opsets& opsets, const onnx::NodeProto& node);

struct ModelFrame {
  Opsets opsets;
  std::vector<DeclaredInput> inputs;          // in the order of the file; no initializers
  std::vector<DeclaredInput> default_inputs;  // that initializers have values for
  std::map<std::string, ModelFunction> functions;
  int64_t node_count = 0;  // with those of inner graphs and functions

  /// Null, when the file does not define the node's operator.
  const ModelFunction* function_of(const onnx::NodeProto& node) const;
};

/// Adds the node to the message, and tells `failure`, which may be null, the innermost one.
Error located(const Error& error, const onnx::NodeProto& node, int64_t opset,
              ImportFailure* failure);

/// Errors: invalid_argument, unsupported: a version, an operator or an element type that Leat does
/// not have, limits, nodes that lack inputs. All nodes are looked at before any tensor: a missing
/// operator is what a person wants to hear of first.
Result<ModelFrame> read_frame(const onnx::ModelProto& proto, ImportFailure* failure);

class ImportNotes;
/// The frame as far as it can be made: what read_frame refuses is noted and left out. Never fails.
ModelFrame read_frame_noting(const onnx::ModelProto& proto, ImportNotes& notes);

/// As the file declares them, with -1 for an open extent; (-1) where it tells no shape.
std::vector<ModelValue> declared_outputs(const onnx::ModelProto& model);

/// The name of the model's graph, or its file's without the ending.
std::string name_of(const onnx::ModelProto& proto, const std::string& path);

}  // namespace leat
