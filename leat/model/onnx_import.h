// ONNX import: a model file becomes an op graph with every shape known and constants folded.
//
// A file is hostile until parsed: counts and sizes are checked before memory is taken, and an error
// names the file, the node and the value. Where the facts come from: the ONNX operator schemas and
// IR specification, opset 7 to 26 (older files are read where the operator's meaning is unchanged).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat {

/// Limits of what is read.
inline constexpr size_t kModelBytesMax = (size_t{1} << 31) - 1;  // protobuf's own limit
inline constexpr int kModelNodesMax = 1 << 17;
inline constexpr int kTensorRankMax = 8;
/// VGG-19 with all its weights filled needs 0.58e9.
inline constexpr int64_t kFillBytesMax = int64_t{1} << 30;

struct ImportOptions {
  /// By input name. An unknown dimension of an input that is not listed becomes 1: in practice it
  /// is the batch.
  std::map<std::string, Shape> input_shapes;
  /// Values at hand, by input name. Kernels are made for one shape, so an input that decides a
  /// shape (axes, pads, a target shape) has to be known here: such an input, and no other, becomes
  /// a constant with its value from this list, and is not among Model::inputs.
  std::map<std::string, HostTensor> input_values;
  /// A few bytes of a file can ask for tensors of any size (ConstantOfShape). Up to this many bytes
  /// in all become constants at once, which lets weights be packed; beyond, they stay nodes.
  int64_t fill_bytes_max = kFillBytesMax;
};

/// An input or output as the model names it. `tensor` is its place in the graph.
struct ModelValue {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  TensorId tensor = kNoTensor;
};

struct Model {
  std::string name;  // of the graph, or the file's name without its ending
  std::string path;
  Graph graph;
  std::map<std::string, int64_t> opsets;  // by domain; "" is ONNX' own
  std::vector<ModelValue> inputs;         // in the order of graph.inputs; no initializers
  std::vector<ModelValue> outputs;        // in the order of graph.outputs; may be constants
  /// Such as "Image.BitmapPixelFormat" -> "Bgr8", "Image.NominalPixelRange" ->
  /// "NominalRange_0_255".
  std::map<std::string, std::string> metadata;
};

/// The node at which an import failed, empty where it failed before or after the nodes.
struct ImportFailure {
  std::string op;
  std::string node;
  std::vector<std::string> inputs_needed;  // inputs whose values decide a shape at this node
};

/// Errors: io (no such file), invalid_argument (not a model, a malformed one, sizes that do not
/// fit) and unsupported (an operator, version, attribute or type that Leat does not have).
/// `failure` may be null.
Result<Model> import_onnx(const std::string& path, const ImportOptions& options = {},
                          ImportFailure* failure = nullptr);

/// The same from memory; `path` is used in messages only.
Result<Model> import_onnx_bytes(std::string_view bytes, const std::string& path,
                                const ImportOptions& options = {},
                                ImportFailure* failure = nullptr);

/// The table of operators as Markdown: name, versions, element types, remarks.
std::string operators_markdown();

}  // namespace leat
