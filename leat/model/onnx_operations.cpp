// A value's kernels are those that write it, with those that write what these read and the file has
// no name for. From the value the file's nodes are followed backwards, to values that are in memory
// before the first of the kernels and that one of them reads, which therefore are still there.
#include "leat/model/onnx_operations.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_operation_node.h"

namespace leat {

namespace {

constexpr size_t kNodesMax = 64;  // of one operation

/// The file's values as the schedule has them.
class Operations {
 public:
  Operations(const OnnxModel& file, const Model& model, const Network& network)
      : model_(model),
        network_(network),
        schedule_(network.schedule()),
        launches_(network.launches()) {
    for (const onnx::NodeProto& node : file.proto().graph().node()) {
      for (const std::string& output : node.output()) producers_[output] = &node;
    }
    for (const auto& [name, id] : model.values) {
      if (producers_.contains(name)) names_.try_emplace(id, name);
    }
    for (uint32_t s = 0; s < schedule_.steps.size(); ++s) {
      for (const NodeResult& result : node_at(s).results) {
        writers_[root_of(schedule_, result.output)].push_back(s);
        written_.insert(result.output);
      }
    }
  }

  std::vector<CapturedOperation> find() {
    std::vector<CapturedOperation> operations;
    for (const TensorId id : written_) {
      if (!names_.contains(id)) continue;
      std::optional<CapturedOperation> operation = operation_of(id);
      if (operation) operations.push_back(std::move(*operation));
    }
    std::ranges::stable_sort(operations, {}, &CapturedOperation::last);
    return operations;
  }

 private:
  const Node& node_at(uint32_t step) const {
    return schedule_.graph.nodes[schedule_.steps[step].node];
  }

  /// Steps that make `id`, without those that make what they read where the file names it.
  std::set<uint32_t> steps_of(TensorId id) const {
    std::set<uint32_t> steps;
    std::vector<TensorId> open = {id};
    while (!open.empty()) {
      const TensorId tensor = root_of(schedule_, open.back());
      open.pop_back();
      const auto writers = writers_.find(tensor);
      if (writers == writers_.end()) continue;
      for (const uint32_t step : writers->second) {
        if (!steps.insert(step).second) continue;
        for (const TensorId input : node_at(step).inputs) {
          if (!is_named(input)) open.push_back(input);
        }
      }
    }
    return steps;
  }

  /// Whether the file has this value, itself or under the shape that a reshape gave it.
  bool is_named(TensorId id) const {
    const Tensor& tensor = schedule_.graph.tensors[id];
    if (tensor.constant || names_.contains(id)) return true;
    return std::ranges::count(schedule_.graph.inputs, id) > 0;
  }

  std::optional<CapturedOperation> operation_of(TensorId id) {
    const std::set<uint32_t> steps = steps_of(id);
    operation_ = {};
    operation_.name = names_.at(id);
    operation_.first = *steps.begin();
    operation_.last = *steps.rbegin();
    readable_.clear();
    for (const uint32_t step : steps) {
      for (const TensorId input : node_at(step).inputs) {
        const TensorId root = root_of(schedule_, input);
        const auto writers = writers_.find(root);
        const bool is_there =
            writers == writers_.end() || writers->second.back() < operation_.first;
        if (is_there && !schedule_.placements[root].packed) readable_.insert(root);
      }
    }
    known_.clear();
    followed_ = 0;
    if (!follow(operation_.name) || !is_free_before(id)) return std::nullopt;
    operation_.outputs.emplace_back(operation_.name, id);
    return std::move(operation_);
  }

  /// Whether no launch of the operation reads where the value will lie, so that a checker may write
  /// anything there before the first.
  bool is_free_before(TensorId id) const {
    const BufferRange place = network_.range_of(id, 0);
    const auto overlaps = [&](const BufferRange& range) {
      return range.buffer == place.buffer &&
             range.offset_bytes < place.offset_bytes + place.size_bytes &&
             place.offset_bytes < range.offset_bytes + range.size_bytes;
    };
    for (uint32_t i = operation_.first; i <= operation_.last; ++i) {
      const Network::PlannedLaunch& launch = launches_[i];
      for (size_t k = 0; k < launch.arguments.size(); ++k) {
        const bool is_read = !launch.kernel->arguments()[k].written;
        if (is_read && overlaps(launch.arguments[k])) return false;
      }
    }
    return true;
  }

  /// Adds what makes the value, in order; false when that cannot be said.
  bool follow(const std::string& name) {
    if (name.empty() || !known_.insert(name).second) return true;
    const auto value = model_.values.find(name);
    const TensorId id = value == model_.values.end() ? kNoTensor : value->second;
    if (id != kNoTensor && element_count(model_.graph.tensors[id].shape) == 0) return false;
    if (id != kNoTensor && model_.graph.tensors[id].constant) {
      operation_.constants.emplace_back(name, id);
      return true;
    }
    if (id != kNoTensor && readable_.contains(root_of(schedule_, id))) {
      operation_.inputs.emplace_back(name, id);
      return true;
    }
    const auto producer = producers_.find(name);
    if (producer == producers_.end() || ++followed_ > kNodesMax) return false;
    const auto opset = model_.opsets.find("");
    std::optional<OperationNode> node =
        operation_node(*producer->second, opset == model_.opsets.end() ? 0 : opset->second,
                       [&](const std::string& value_name) { return tensor_of(value_name); });
    if (!node) return false;
    for (const std::string& input : node->inputs) {
      if (!follow(input)) return false;
    }
    known_.insert(node->outputs.begin(), node->outputs.end());
    operation_.nodes.push_back(std::move(*node));
    return true;
  }

  const Tensor* tensor_of(const std::string& name) const {
    const auto value = model_.values.find(name);
    return value == model_.values.end() ? nullptr : &model_.graph.tensors[value->second];
  }

  const Model& model_;
  const Network& network_;
  const Schedule& schedule_;
  const std::vector<Network::PlannedLaunch> launches_;
  std::map<std::string, const onnx::NodeProto*> producers_;
  std::map<TensorId, std::string> names_;              // of what nodes of the file make
  std::map<TensorId, std::vector<uint32_t>> writers_;  // by root
  std::set<TensorId> written_;
  CapturedOperation operation_;
  std::set<TensorId> readable_;  // roots
  std::set<std::string> known_;
  size_t followed_ = 0;
};

}  // namespace

std::vector<CapturedOperation> operations_of(const OnnxModel& file, const Model& model,
                                             const Network& network) {
  return Operations(file, model, network).find();
}

}  // namespace leat
