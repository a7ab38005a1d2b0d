// A model as a file describes it: an op graph with the names of its inputs and outputs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "leat/tensor/graph.h"

namespace leat {

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
  /// The file's values by name, where the import was asked to keep them.
  std::map<std::string, TensorId> values;
};

}  // namespace leat
