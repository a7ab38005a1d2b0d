// A capture: one run of a network as plain memory, which a program that knows nothing of Leat can
// execute and judge. docs/direct-amd.md says what is in the folder.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "leat/device/recorder.h"
#include "leat/run/network.h"

namespace leat {

/// A node as ONNX has it.
struct OperationNode {
  using Value = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>>;
  std::string op;
  std::vector<std::pair<std::string, Value>> attributes;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

/// What some launches in a row compute, to be computed again from what lies in memory before them.
struct CapturedOperation {
  std::string name;
  uint32_t first = 0;  // launches, as Network::launches() counts them
  uint32_t last = 0;
  std::vector<std::pair<std::string, TensorId>> inputs;  // of the schedule's graph
  /// Values of the model itself, which the device may hold in another order; its graph has them.
  std::vector<std::pair<std::string, TensorId>> constants;
  std::vector<std::pair<std::string, TensorId>> outputs;
  double largest = 0;  // of the outputs' values, as another device computes them
  std::vector<OperationNode> nodes;
};

/// The largest finite value, without its sign.
double largest_of(const HostTensor& tensor);

struct CaptureParts {
  std::string producer;
  std::vector<std::string> output_names;
  std::span<const HostTensor> expected;  // computed by another device; one for each output
  std::span<const CapturedOperation> operations;
  int64_t opset = 17;
};

/// Makes an empty folder of `folder`, or takes it when it is one. Errors: io; invalid_argument,
/// when there is something in it.
Result<void> make_capture_folder(const std::string& folder);

/// Starts a run of `network`, which is ready on the recorder's device and has its inputs, and
/// writes what the device would see into `folder`. Errors: io; those of starting.
Result<RecordedSubmit> write_capture(Recorder& recorder, Network& network,
                                     const CaptureParts& parts, const std::string& folder);

}  // namespace leat
