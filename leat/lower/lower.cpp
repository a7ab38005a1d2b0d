// Node -> wave program, then the passes every target gets, each result verified.
#include "leat/lower/lower.h"

#include <algorithm>

#include "leat/base/hash.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"
#include "leat/lower/address.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

/// Wide padding or strides may put a factor's (masked) address outside 32 bits.
Result<void> check_addresses(const Schedule& schedule, const Node& node) {
  auto fits = [](int64_t part) { return part >= -kElementsMax && part <= kElementsMax; };
  for (const ContractionOperand* operand : {&node.contraction.a, &node.contraction.b}) {
    const TensorId id = node.inputs[operand->input];
    const Affine address = address_of(schedule.placements[id].strides, operand->index);
    if (fits(address.constant) && std::ranges::all_of(address.coefficients, fits)) continue;
    return Error(ErrorKind::unsupported, "Kernel \"" + node.name + "\" addresses Tensor \"" +
                                             schedule.graph.tensors[id].name +
                                             "\" beyond 32-bit indices.");
  }
  return {};
}

Result<void> check_kernel(const Schedule& schedule, const Node& node, const Target& target) {
  // Inputs may repeat a tensor; counting them all is the safe side.
  if (node.inputs.size() + 1 > target.buffer_bindings_max) {
    return Error(ErrorKind::unsupported,
                 "Kernel \"" + node.name + "\" has (" + std::to_string(node.inputs.size() + 1) +
                     ") buffers; target \"" + target.name + "\" binds at most (" +
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
  TRY(check_count(node.output));
  if (node.family == Family::contraction) return check_addresses(schedule, node);
  return {};
}

}  // namespace

Result<LoweredKernel> lower(const Schedule& schedule, const Step& step, const Target& target,
                            bool keep_stages) {
  const Node& node = schedule.graph.nodes[step.node];
  TRY(check_kernel(schedule, node, target));
  LoweredKernel kernel;
  const auto keep = [&](std::string_view stage, const ir::Program& program) {
    if (!keep_stages) return;
    kernel.stages.push_back(
        {stage, "# after " + std::string(stage) + "\n" + ir::print_program(program)});
  };
  kernel.program = node.family == Family::contraction
                       ? lower_contraction(schedule, node, step.params.contraction, target)
                       : lower_map_reduce(schedule, node, step.params.map_reduce, target);
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

}  // namespace leat
