// See onnx_budget.h.
#include "leat/model/onnx_budget.h"

#include <fmt/format.h>

#include <iterator>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"

namespace leat {

ImportBudget::ImportBudget(int64_t node_count)
    : nodes_(kWrittenOutNodesMax + kWrittenOutNodesEach * node_count),
      nodes_left_(nodes_),
      name_bytes_left_(kWrittenOutNameBytesMax),
      sequence_tensors_left_(kSequenceTensorsMax) {}

Result<void> ImportBudget::charge_nodes(int64_t count) {
  nodes_left_ -= count;
  if (nodes_left_ >= 0) return {};
  return unsupported(fmt::format(
      "Loops and functions of the model become more nodes than the limit ({}).", nodes_));
}

Result<void> ImportBudget::charge_names(int64_t size_bytes) {
  name_bytes_left_ -= size_bytes;
  if (name_bytes_left_ >= 0) return {};
  return unsupported(
      fmt::format("Loops and functions of the model have more bytes of names than the limit ({}).",
                  kWrittenOutNameBytesMax));
}

Result<void> ImportBudget::charge_node(const onnx::NodeProto& node) {
  const int64_t parts = int64_t{node.input_size()} + node.output_size() + node.attribute_size();
  TRY(charge_nodes(1 + parts / kNodePartsEach));
  int64_t size_bytes = 0;
  for (const std::string& name : node.input()) size_bytes += std::ssize(name);
  for (const std::string& name : node.output()) size_bytes += std::ssize(name);
  return charge_names(size_bytes);
}

Result<void> ImportBudget::charge_turn(const onnx::GraphProto& body) {
  const int64_t parts = int64_t{body.input_size()} + body.output_size() + body.initializer_size();
  TRY(charge_nodes(1 + parts / kNodePartsEach));
  int64_t size_bytes = 0;
  for (const auto& input : body.input()) size_bytes += std::ssize(input.name());
  for (const auto& output : body.output()) size_bytes += std::ssize(output.name());
  for (const auto& tensor : body.initializer()) size_bytes += std::ssize(tensor.name());
  return charge_names(size_bytes);
}

Result<void> ImportBudget::charge_call(int64_t inputs_and_outputs) {
  return charge_nodes(inputs_and_outputs / kNodePartsEach);
}

Result<void> ImportBudget::charge_sequence(const OnnxValue& value) {
  sequence_tensors_left_ -= std::ssize(value.sequence);
  if (sequence_tensors_left_ >= 0) return {};
  return unsupported(fmt::format(
      "Sequences that nodes of the model take and give have more tensors than the limit ({}).",
      kSequenceTensorsMax));
}

}  // namespace leat
