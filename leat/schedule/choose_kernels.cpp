// See choose_kernels.h. Nodes are taken from the graph one by one and put back, as they are or as
// what they were split into, so that nothing is inserted into the middle of a list.
#include "leat/schedule/choose_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "leat/schedule/layout.h"
#include "leat/schedule/slice_constant.h"
#include "leat/schedule/split_k.h"
#include "leat/schedule/split_reduce.h"

namespace leat {

namespace {

class Choosing {
 public:
  Choosing(Schedule& schedule, Chooser& chooser, uint64_t bytes_max, const KnownParams& known)
      : schedule_(schedule),
        graph_(schedule.graph),
        chooser_(chooser),
        bytes_max_(bytes_max),
        known_(known) {}

  Result<void> run() {
    std::vector<Node> nodes = std::exchange(graph_.nodes, {});
    for (Node& node : nodes) TRY(add(std::move(node), Splitting::allowed));
    return {};
  }

 private:
  Result<void> add(Node node, Splitting splitting) {
    if (computes_nothing(node)) {
      graph_.nodes.push_back(std::move(node));
      return {};
    }
    TRY_ASSIGN(const KernelParams params, chooser_.choose(schedule_, node, splitting, known_));
    return std::visit([&](const auto& chosen) { return add(std::move(node), chosen); }, params);
  }

  Result<void> add(Node node, const ContractionParams& params) {
    std::vector<Node> slices =
        slice_large_constant(schedule_, node, params, chooser_.target(), bytes_max_);
    for (Node& slice : slices) TRY(add(std::move(slice), Splitting::allowed));
    if (!slices.empty()) return {};
    const bool last_adds = params.split_k > 1 && params.last_adds == 1;
    if (params.split_k > 1 && !last_adds) {
      return add_pair(split_k(schedule_, node, params.split_k));
    }
    // In parts the columns' tiles hold the parts of k one after the other.
    const Node& packed = last_adds ? part_of_k(node, params.split_k) : node;
    const auto contraction = find_contraction(graph_, packed);
    Placement& b = schedule_.placements[node.inputs[contraction->b.input]];
    if (b.packed) b.element_count = packed_element_count(*contraction, params);
    std::vector<TensorId> scratch;
    if (last_adds) scratch = add_parts_scratch(schedule_, node, params);
    return keep(std::move(node), params, std::move(scratch));
  }

  Result<void> add(Node node, const MapReduceParams& params) {
    if (params.split == 1) return keep(std::move(node), params);
    return add_pair(split_reduce(schedule_, node, params.split));
  }

  Result<void> add(Node node, const ProgramParams& params) { return keep(std::move(node), params); }

  /// Each is a kernel of its own, with parameters of its own.
  Result<void> add_pair(NodePair pair) {
    TRY(add(std::move(pair.first), Splitting::forbidden));
    return add(std::move(pair.second), Splitting::forbidden);
  }

  Result<void> keep(Node node, const KernelParams& params, std::vector<TensorId> scratch = {}) {
    for (TensorId id : node.inputs) TRY(check_size(node, id));
    for (const NodeResult& result : node.results) TRY(check_size(node, result.output));
    for (TensorId id : scratch) TRY(check_size(node, id));
    schedule_.steps.push_back(
        {static_cast<uint32_t>(graph_.nodes.size()), params, std::move(scratch)});
    graph_.nodes.push_back(std::move(node));
    return {};
  }

  bool computes_nothing(const Node& node) const {
    const bool writes_nothing = std::ranges::all_of(node.results, [&](const NodeResult& result) {
      return element_count(graph_.tensors[result.output].shape) == 0;
    });
    return writes_nothing || element_count(node.extents) == 0 || moves_nothing(schedule_, node);
  }

  Result<void> check_size(const Node& node, TensorId id) const {
    const size_t size_bytes = schedule_.placements[id].size_bytes();
    if (size_bytes <= bytes_max_) return {};
    return Error(ErrorKind::unsupported,
                 fmt::format("Size ({} bytes) of tensor \"{}\", which kernel \"{}\" has as an "
                             "argument, is larger than the limit ({}) of target \"{}\".",
                             size_bytes, graph_.tensors[id].name, node.name, bytes_max_,
                             chooser_.target().name));
  }

  Schedule& schedule_;
  Graph& graph_;
  Chooser& chooser_;
  uint64_t bytes_max_;
  const KnownParams& known_;
};

}  // namespace

Result<void> choose_kernels(Schedule& schedule, Chooser& chooser, ArgumentLimit limit,
                            const KnownParams& known_params) {
  const uint64_t bytes_max = std::min(limit.bytes_max, chooser.target().argument_bytes_max);
  return Choosing(schedule, chooser, bytes_max, known_params).run();
}

}  // namespace leat
