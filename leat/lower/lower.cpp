// Node -> wave program, then the passes every target gets, each result verified.
#include "leat/lower/lower.h"

#include <algorithm>

#include "leat/base/hash.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"
#include "leat/lower/passes.h"
#include "leat/lower/step_source.h"

namespace leat {

std::vector<TensorId> arguments_of(const Node& node, std::span<const TensorId> scratch) {
  std::vector<TensorId> arguments;
  for (TensorId input : node.inputs) {
    if (std::ranges::find(arguments, input) == arguments.end()) arguments.push_back(input);
  }
  for (const NodeResult& result : node.results) arguments.push_back(result.output);
  arguments.insert(arguments.end(), scratch.begin(), scratch.end());
  return arguments;
}

namespace {

/// Wide padding or strides may put a factor's (masked) address outside 32 bits.
Result<void> check_addresses(const Schedule& schedule, const Node& node,
                             const Contraction& contraction) {
  auto fits = [](int64_t part) { return part >= -kElementsMax && part <= kElementsMax; };
  for (const ContractionOperand* operand : {&contraction.a, &contraction.b}) {
    const TensorId id = node.inputs[operand->input];
    const Affine address =
        address_of(schedule.placements[id].strides, operand->index, contraction.axes.size());
    if (fits(address.constant) && std::ranges::all_of(address.coefficients, fits)) continue;
    return Error(ErrorKind::unsupported, "Kernel \"" + node.name + "\" addresses Tensor \"" +
                                             schedule.graph.tensors[id].name +
                                             "\" beyond 32-bit indices.");
  }
  return {};
}

}  // namespace

Result<void> check_kernel(const Schedule& schedule, const Step& step, const Target& target) {
  const Node& node = schedule.graph.nodes[step.node];
  // Inputs may repeat a tensor; counting them all is the safe side.
  const size_t buffers = node.inputs.size() + node.results.size() + step.scratch.size();
  if (buffers > target.buffer_bindings_max) {
    return Error(ErrorKind::unsupported, "Kernel \"" + node.name + "\" has (" +
                                             std::to_string(buffers) + ") buffers; target \"" +
                                             target.name + "\" binds at most (" +
                                             std::to_string(target.buffer_bindings_max) + ").");
  }
  auto check_count = [&](TensorId id) -> Result<void> {
    if (schedule.placements[id].element_count > kElementsMax) {
      return Error(ErrorKind::unsupported,
                   "Tensor \"" + schedule.graph.tensors[id].name + "\" of kernel \"" + node.name +
                       "\" needs (" + std::to_string(schedule.placements[id].element_count) +
                       ") elements, more than the limit (" + std::to_string(kElementsMax) + ").");
    }
    return {};
  };
  for (TensorId id : node.inputs) TRY(check_count(id));
  for (const NodeResult& result : node.results) TRY(check_count(result.output));
  for (TensorId id : step.scratch) TRY(check_count(id));
  const uint64_t local_bytes = recurrent_local_bytes(schedule, node, target);
  if (local_bytes > target.local_memory_bytes_max) {
    return Error(ErrorKind::unsupported,
                 "Kernel \"" + node.name + "\" keeps a state of (" + std::to_string(local_bytes) +
                     ") bytes; target \"" + target.name + "\" has (" +
                     std::to_string(target.local_memory_bytes_max) + ") bytes of local memory.");
  }
  if (node.program && node.program->kernel) {
    TRY(written_program(schedule, node, target));
  }
  const auto contraction = find_contraction(schedule.graph, node);
  return contraction ? check_addresses(schedule, node, *contraction) : Result<void>();
}

namespace {

StepProgram lower_numbers(const Schedule& schedule, const Step& step, const Target& target,
                          const TakeNumber& take, Formulas* formulas) {
  const Node& node = schedule.graph.nodes[step.node];
  const NodeNumbers numbers = numbers_of(schedule, node, take);
  const StepSource source = {schedule, step, node, numbers, target, take, formulas};
  if (const auto* params = std::get_if<ProgramParams>(&step.params)) {
    return lower_program(source, *params);
  }
  if (const auto* params = std::get_if<MapReduceParams>(&step.params)) {
    return lower_map_reduce(source, *params);
  }
  return lower_contraction(source);
}

/// The passes, and the program's name.
Result<LoweredKernel> finished(ir::Program program, const Node& node, const Target& target,
                               bool keep_stages) {
  LoweredKernel kernel;
  const auto keep = [&](std::string_view stage, const ir::Program& after) {
    if (!keep_stages) return;
    kernel.stages.push_back(
        {stage, "# after " + std::string(stage) + "\n" + ir::print_program(after)});
  };
  kernel.program = std::move(program);
  keep("lower", kernel.program);
  if (const Result<void> verified = ir::verify(kernel.program); !verified) {
    return verified.error().during("lowering " + node.name);
  }
  if (const Result<void> legal = run_passes(kernel.program, target, keep); !legal) {
    return legal.error().during("lowering " + node.name);
  }
  Hasher hasher;
  hasher.add(ir::print_program(kernel.program));
  kernel.program.name += "_" + hex_of(hasher.value());
  kernel.text = ir::print_program(kernel.program);
  return kernel;
}

}  // namespace

ir::Program lower_step(const Schedule& schedule, const Step& step, const Target& target) {
  return lower_numbers(schedule, step, target, plain_number, nullptr).program;
}

Result<LoweredKernel> lower(const Schedule& schedule, const Step& step, const Target& target,
                            bool keep_stages) {
  TRY(check_kernel(schedule, step, target));
  const Node& node = schedule.graph.nodes[step.node];
  return finished(lower_step(schedule, step, target), node, target, keep_stages);
}

bool can_be_open(const Schedule& schedule, const Step& step) {
  const auto& program = schedule.graph.nodes[step.node].program;
  if (program && program->kernel) return false;
  const auto* params = std::get_if<ContractionParams>(&step.params);
  return params == nullptr || params->split_k == 1;
}

Result<std::unique_ptr<OpenKernel>> lower_open(const Schedule& schedule, const Step& step,
                                               const Target& target,
                                               const std::vector<bool>& open) {
  CHECK(can_be_open(schedule, step));
  TRY(check_kernel(schedule, step, target));
  auto kernel = std::make_unique<OpenKernel>();
  uint32_t position = 0;
  const TakeNumber take = [&](int64_t value, bool natural) -> Number {
    const uint32_t here = position++;
    return open[here] ? kernel->formulas.given(here, value, natural) : Number(value);
  };
  StepProgram made = lower_numbers(schedule, step, target, take, &kernel->formulas);
  CHECK(position == open.size());
  const Node& node = schedule.graph.nodes[step.node];
  if (!made.fits) {
    return Error(ErrorKind::unsupported, "Kernel \"" + node.name +
                                             "\" has more workgroups than target \"" + target.name +
                                             "\" counts along one axis.");
  }
  kernel->words = std::move(made.words);
  kernel->groups = made.groups;
  TRY_ASSIGN(kernel->lowered, finished(std::move(made.program), node, target, false));
  return kernel;
}

}  // namespace leat
