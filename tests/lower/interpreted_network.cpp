// The schedule's arenas as host vectors, every step through ir::interpret.
#include "tests/lower/interpreted_network.h"

#include <algorithm>

#include "leat/ir/interpret.h"
#include "leat/run/transfer.h"
#include "leat/schedule/kernel_key.h"

namespace leat::testing {

namespace {

class Memory {
 public:
  explicit Memory(const Schedule& schedule) : schedule_(schedule) {
    weights_.resize(schedule.memory.weights_bytes);
    state_.resize(schedule.memory.state_bytes);
    // Poison: reading what was never written shows as NaN.
    activations_.assign(schedule.memory.activations_bytes, std::byte{0xff});
    externals_.resize(schedule.placements.size());
    for (size_t id = 0; id < externals_.size(); ++id) {
      if (schedule.placements[id].space == Space::external) {
        externals_[id].assign(schedule.placements[id].size_bytes(), std::byte{0xff});
      }
    }
  }

  std::span<std::byte> of(TensorId tensor) {
    const TensorId root = root_of(schedule_, tensor);
    const Placement& placement = schedule_.placements[root];
    const size_t size_bytes = schedule_.placements[tensor].size_bytes();
    if (placement.space == Space::external) return {externals_[root].data(), size_bytes};
    CHECK(placement.space != Space::none);
    std::vector<std::byte>& arena = placement.space == Space::weights ? weights_
                                    : placement.space == Space::state ? state_
                                                                      : activations_;
    CHECK(placement.offset_bytes + size_bytes <= arena.size());
    return {arena.data() + placement.offset_bytes, size_bytes};
  }

  /// What a run finds it must leave.
  Result<void> check_state() const {
    const bool is_zero = std::ranges::all_of(state_, [](std::byte b) { return b == std::byte{0}; });
    if (is_zero) return {};
    return Error(ErrorKind::internal, "A counter is not 0 after the run.");
  }

 private:
  const Schedule& schedule_;
  std::vector<std::byte> weights_, state_, activations_;
  std::vector<std::vector<std::byte>> externals_;
};

Result<void> load_weights(const Schedule& schedule, const Step& step, Memory& memory) {
  const Node& node = schedule.graph.nodes[step.node];
  for (TensorId id : node.inputs) {
    const Placement& placement = schedule.placements[id];
    if (placement.space != Space::weights) continue;
    const HostTensor& value = *schedule.graph.tensors[id].constant;
    if (placement.packed) {
      const PackedOrder order = packed_order(schedule.graph, step, value.shape);
      pack_weights(order, value, placement.storage, memory.of(id));
    } else {
      place_constant(value, placement, memory.of(id));
    }
  }
  return {};
}

std::vector<std::span<std::byte>> buffers_of(const Schedule& schedule, const Step& step,
                                             Memory& memory) {
  std::vector<std::span<std::byte>> buffers;
  for (TensorId id : arguments_of(schedule.graph.nodes[step.node], step.scratch)) {
    buffers.push_back(memory.of(id));
  }
  return buffers;
}

Result<void> run_plain(const Schedule& schedule, const Step& step, const Target& target,
                       Memory& memory) {
  TRY_ASSIGN(const LoweredKernel kernel, lower(schedule, step, target));
  return ir::interpret(kernel.program, buffers_of(schedule, step, memory));
}

/// With every number open, told to it in the words.
Result<void> run_open(const Schedule& schedule, const Step& step, const Target& target,
                      Memory& memory) {
  if (!can_be_open(schedule, step)) return run_plain(schedule, step, target, memory);
  const StepKey key = step_key(schedule, step);
  const std::vector<bool> all(key.numbers.size(), true);
  const Result<std::unique_ptr<OpenKernel>> made = lower_open(schedule, step, target, all);
  if (!made && made.error().kind() == ErrorKind::unsupported) {  // it is, for its grid
    return run_plain(schedule, step, target, memory);
  }
  if (!made) return made.error();
  const OpenKernel* kernel = made->get();
  const auto values = kernel->formulas.values_at(key.numbers);
  if (!values) return Error(ErrorKind::internal, "A guard does not hold for the shape it is of.");
  std::vector<int32_t> words(std::max<size_t>(1, kernel->words.size()));
  for (size_t w = 0; w < kernel->words.size(); ++w) {
    words[w] = static_cast<int32_t>((*values)[kernel->words[w]]);
  }
  ir::Program program = kernel->lowered.program;
  program.grid[0] = static_cast<uint32_t>((*values)[kernel->groups]);
  std::vector<std::span<std::byte>> buffers = buffers_of(schedule, step, memory);
  const Node& node = schedule.graph.nodes[step.node];
  const std::vector<TensorId> arguments = arguments_of(node, step.scratch);
  for (size_t i = 0; i < arguments.size(); ++i) {
    ir::Parameter& parameter = program.parameters[i];
    const size_t size_bytes = schedule.placements[arguments[i]].size_bytes();
    parameter.element_count = static_cast<int64_t>(size_bytes) / size_bytes_of(parameter.storage);
  }
  buffers.push_back(std::as_writable_bytes(std::span(words)));
  return ir::interpret(program, buffers);
}

}  // namespace

Result<std::vector<HostTensor>> run_interpreted(const Graph& graph, const Target& target,
                                                const ScheduleOptions& options,
                                                std::span<const HostTensor> inputs,
                                                Openness openness) {
  TRY_ASSIGN(const Schedule schedule, make_schedule(graph, target, options));
  Memory memory(schedule);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorId id = schedule.graph.inputs[i];
    const Placement& placement = schedule.placements[id];
    to_storage(inputs[i], placement, memory.of(id));
    const std::vector<std::byte> placed =
        to_strides(memory.of(id), placement.storage, inputs[i].shape, placement.strides);
    std::ranges::copy(placed, memory.of(id).begin());
  }
  for (const Step& step : schedule.steps) {
    TRY(load_weights(schedule, step, memory));
    const Result<void> done = openness == Openness::all ? run_open(schedule, step, target, memory)
                                                        : run_plain(schedule, step, target, memory);
    if (!done) return done.error().during(schedule.graph.nodes[step.node].name);
  }
  TRY(memory.check_state());
  std::vector<HostTensor> outputs;
  for (TensorId id : schedule.graph.outputs) {
    const Tensor& tensor = schedule.graph.tensors[id];
    const Placement& placement = schedule.placements[id];
    const std::vector<std::byte> row_major =
        from_strides(memory.of(id), placement.storage, tensor.shape, placement.strides);
    outputs.push_back(from_storage(row_major, placement.storage, tensor.dtype, tensor.shape));
  }
  return outputs;
}

}  // namespace leat::testing
