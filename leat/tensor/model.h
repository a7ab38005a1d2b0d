// A model as a file describes it: an op graph with the names of its inputs and outputs.
#pragma once

#include <functional>
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

struct Model;

/// What follows a part of a model, once the values are known that the part's graph gives.
struct NextPart {
  std::string key;                      // equal ones have equal parts after the same part
  std::vector<HostTensor> inputs;       // in the order of its graph's
  std::function<Result<Model>()> make;  // needs nothing of the part before
};

/// From the values of a part's graph inputs and graph outputs, in their order. Any thread.
/// Errors: those of an import; invalid_argument, when a value does not fit.
using ModelRest = std::function<Result<NextPart>(std::vector<HostTensor> inputs,
                                                 std::vector<HostTensor> outputs)>;

struct Model {
  std::string name;  // of the graph, or the file's name without its ending
  std::string path;
  Graph graph;
  std::map<std::string, int64_t> opsets;  // by domain; "" is ONNX' own
  std::vector<ModelValue> inputs;         // in the order of graph.inputs; no initializers
  std::vector<ModelValue> outputs;        // in the order of graph.outputs; may be constants
  /// Where sizes follow from values that only a run gives (how many places a NonZero finds, how
  /// often a Loop turns): the graph ends there, what it gives goes to `rest`, and `outputs` are
  /// the model's. Those that are not there yet have no tensor, and are what the file says of them,
  /// with -1 for what it does not say. Empty: the graph is all.
  ModelRest rest;
  /// Such as "Image.BitmapPixelFormat" -> "Bgr8", "Image.NominalPixelRange" ->
  /// "NominalRange_0_255".
  std::map<std::string, std::string> metadata;
  /// The file's values by name, where the import was asked to keep them.
  std::map<std::string, TensorId> values;
};

}  // namespace leat
