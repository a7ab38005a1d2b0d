// See plan_launches.h.
#include "leat/run/plan_launches.h"

#include <string>
#include <unordered_map>

#include "leat/lower/lower.h"
#include "leat/run/transfer.h"
#include "leat/schedule/kernel_key.h"

namespace leat {

DistinctKernels distinct_kernels(const Schedule& schedule) {
  std::unordered_map<std::string, uint32_t> known;
  DistinctKernels distinct;
  for (uint32_t s = 0; s < schedule.steps.size(); ++s) {
    const Step& step = schedule.steps[s];
    const Node& node = schedule.graph.nodes[step.node];
    std::string params = to_string(step.params);
    const auto next = static_cast<uint32_t>(distinct.first_steps.size());
    const auto [found, is_first] = known.emplace(kernel_key(schedule, node) + params, next);
    if (is_first) distinct.first_steps.push_back(s);
    distinct.launches.push_back(
        {.kernel = found->second,
         .arguments = arguments_of(node, step.scratch),
         .facts = {node.name, node.op, std::move(params), flop_count(node)}});
  }
  return distinct;
}

std::vector<std::byte> weights_image(const Schedule& schedule) {
  std::vector<std::byte> image(schedule.memory.weights_bytes);
  const Graph& graph = schedule.graph;
  for (const Step& step : schedule.steps) {
    const Node& node = graph.nodes[step.node];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorId id = node.inputs[i];
      const Placement& placement = schedule.placements[id];
      if (placement.space != Space::weights) continue;
      const std::span<std::byte> place(image.data() + placement.offset_bytes,
                                       placement.size_bytes());
      const HostTensor& constant = *graph.tensors[id].constant;
      if (placement.packed) {
        pack_weights(packed_order(graph, step, constant.shape), constant, placement.storage, place);
      } else {
        place_constant(constant, placement, place);
      }
    }
  }
  return image;
}

}  // namespace leat
