// What an import may still make of a file. A few bytes of it can ask for many turns of a loop, for
// many calls and long lists, and each of them for memory and time: each is counted before it is
// made.
#pragma once

#include <cstdint>

#include "leat/base/result.h"
#include "leat/model/onnx_value.h"

namespace leat::onnx {
class GraphProto;
class NodeProto;
}  // namespace leat::onnx

namespace leat {

/// What loops and functions may become when they are written out: so many nodes, and so many more
/// for each that the file has.
inline constexpr int64_t kWrittenOutNodesMax = 1 << 14;
inline constexpr int64_t kWrittenOutNodesEach = 16;
/// Of a node that is written out, inputs, outputs and attributes that count as one node more.
inline constexpr int64_t kNodePartsEach = 16;
/// Names of values in loops and functions, counted each time that they are written out.
inline constexpr int64_t kWrittenOutNameBytesMax = int64_t{1} << 28;
/// Of a node's name, the rest of which is cut off: it becomes part of many.
inline constexpr size_t kNodeNameBytesMax = 256;
/// Tensors of all sequences that nodes take and give: each of these is a list of its own.
inline constexpr int64_t kSequenceTensorsMax = int64_t{1} << 26;

/// Errors of all: unsupported, naming the limit.
class ImportBudget {
 public:
  /// Of a file with so many nodes.
  explicit ImportBudget(int64_t node_count);

  Result<void> charge_nodes(int64_t count);
  /// A node of a loop or function, written out once more.
  Result<void> charge_node(const onnx::NodeProto& node);
  /// What a graph within the model has beside its nodes, for one turn.
  Result<void> charge_turn(const onnx::GraphProto& body);
  /// Of a call, what the function has beside its nodes.
  Result<void> charge_call(int64_t inputs_and_outputs);
  /// The list that a sequence is; nothing for a tensor.
  Result<void> charge_sequence(const OnnxValue& value);

 private:
  Result<void> charge_names(int64_t size_bytes);

  int64_t nodes_;  // in all
  int64_t nodes_left_;
  int64_t name_bytes_left_;
  int64_t sequence_tensors_left_;
};

}  // namespace leat
