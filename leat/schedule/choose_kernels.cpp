// See choose_kernels.h. Nodes are taken from the graph one by one and put back, as they are or as
// what they were split into, so that nothing is inserted into the middle of a list.
#include "leat/schedule/choose_kernels.h"

#include <fmt/format.h>

#include <utility>

#include "leat/schedule/layout.h"
#include "leat/schedule/slice_constant.h"
#include "leat/schedule/split_k.h"
#include "leat/schedule/split_reduce.h"

namespace leat {

namespace {

class Choosing {
 public:
  Choosing(Schedule& schedule, Chooser& chooser, uint64_t bytes_max)
      : schedule_(schedule), graph_(schedule.graph), chooser_(chooser), bytes_max_(bytes_max) {}

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
    TRY_ASSIGN(const KernelParams params, chooser_.choose(schedule_, node, splitting));
    if (node.family == Family::contraction) return add_contraction(std::move(node), params);
    return add_map_reduce(std::move(node), params);
  }

  Result<void> add_contraction(Node node, const KernelParams& params) {
    std::vector<Node> slices =
        slice_large_constant(schedule_, node, params.contraction, chooser_.target(), bytes_max_);
    for (Node& slice : slices) TRY(add(std::move(slice), Splitting::allowed));
    if (!slices.empty()) return {};
    if (params.contraction.split_k == 1) return keep(std::move(node), params);
    return add_pair(split_k(schedule_, node, params.contraction.split_k));
  }

  Result<void> add_map_reduce(Node node, const KernelParams& params) {
    if (params.map_reduce.split == 1) return keep(std::move(node), params);
    return add_pair(split_reduce(schedule_, node, params.map_reduce.split));
  }

  /// Each is a kernel of its own, with parameters of its own.
  Result<void> add_pair(NodePair pair) {
    TRY(add(std::move(pair.first), Splitting::forbidden));
    return add(std::move(pair.second), Splitting::forbidden);
  }

  Result<void> keep(Node node, const KernelParams& params) {
    if (node.family == Family::contraction) {
      Placement& b = schedule_.placements[node.inputs[node.contraction.b.input]];
      if (b.packed) b.element_count = packed_element_count(node.contraction, params.contraction);
    }
    for (TensorId id : node.inputs) TRY(check_size(node, id));
    TRY(check_size(node, node.output));
    schedule_.steps.push_back({static_cast<uint32_t>(graph_.nodes.size()), params});
    graph_.nodes.push_back(std::move(node));
    return {};
  }

  bool computes_nothing(const Node& node) const {
    return element_count(node.out_extents) == 0 ||
           element_count(graph_.tensors[node.output].shape) == 0 || moves_nothing(schedule_, node);
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
};

}  // namespace

Result<void> choose_kernels(Schedule& schedule, Chooser& chooser, ArgumentLimit limit) {
  const uint64_t bytes_max = std::min(limit.bytes_max, chooser.target().argument_bytes_max);
  return Choosing(schedule, chooser, bytes_max).run();
}

}  // namespace leat
