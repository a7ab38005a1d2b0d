// See make_pack.h.
#include "leat/run/make_pack.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <deque>
#include <unordered_set>

#include "leat/pack/packed_model.h"
#include "leat/run/compile.h"
#include "leat/run/inspect.h"
#include "leat/run/known_answer.h"
#include "leat/run/link_objects.h"
#include "leat/run/plan_launches.h"
#include "leat/schedule/schedule.h"

namespace leat {

namespace {

/// The code and weights that plans point to.
using PackMemory = std::deque<std::vector<std::byte>>;

std::span<const std::byte> keep(std::vector<std::byte> bytes, PackMemory& memory) {
  return memory.emplace_back(std::move(bytes));
}

/// All that running reads; see RunPlan.
Schedule without_nodes(Schedule schedule) {
  schedule.steps.clear();
  schedule.graph.nodes.clear();
  for (Tensor& tensor : schedule.graph.tensors) tensor.constant.reset();
  return schedule;
}

/// With each kernel's code still in its binary.
Result<RunPlan> plan_of(const Graph& graph, const Target& target, Precision precision,
                        PackMemory& memory) {
  TRY_ASSIGN(Schedule schedule, make_schedule(graph, target, {.precision = precision}));
  DistinctKernels distinct = distinct_kernels(schedule);
  TRY_ASSIGN(std::vector<KernelBinary> binaries,
             emit_kernels(schedule, distinct.first_steps, target));
  RunPlan plan;
  plan.launches = std::move(distinct.launches);
  plan.weights = keep(weights_image(schedule), memory);
  plan.schedule = without_nodes(std::move(schedule));
  for (KernelBinary& binary : binaries) plan.kernels.push_back({std::move(binary), {}});
  return plan;
}

/// One object of all kernels. Equal programs have one entry, and one of them is enough.
Result<void> link(std::span<RunPlan* const> plans, const Target& target, PackMemory& memory) {
  std::unordered_set<std::string> entries;
  std::vector<KernelBinary> kernels;
  for (RunPlan* const plan : plans) {
    for (const PlanKernel& kernel : plan->kernels) {
      if (entries.insert(kernel.binary.entry).second) kernels.push_back(kernel.binary);
    }
  }
  TRY_ASSIGN(std::vector<std::byte> object, link_objects(kernels, target));
  const std::span<const std::byte> code = keep(std::move(object), memory);
  for (RunPlan* const plan : plans) {
    for (PlanKernel& kernel : plan->kernels) {
      kernel.binary.code.clear();
      kernel.code = code;
    }
  }
  return {};
}

void keep_code(std::span<RunPlan* const> plans, PackMemory& memory) {
  for (RunPlan* const plan : plans) {
    for (PlanKernel& kernel : plan->kernels) {
      kernel.code = keep(std::move(kernel.binary.code), memory);
      kernel.binary.code.clear();
    }
  }
}

Result<PackTarget> packed_for(const Model& model, const NamedTarget& named, Precision precision,
                              PackMemory& memory) {
  PackTarget packed;
  packed.name = named.name;
  packed.target = named.target;
  TRY_ASSIGN(const Graph question, known_question());
  TRY_ASSIGN(packed.known_answer, plan_of(question, named.target, Precision::f32, memory));
  TRY_ASSIGN(packed.plan, plan_of(model.graph, named.target, precision, memory));
  RunPlan* const plans[] = {&packed.known_answer, &packed.plan};
  if (named.target.format == CodeFormat::native_object) {
    TRY(link(plans, named.target, memory));
  } else {
    keep_code(plans, memory);
  }
  return packed;
}

/// Every device of the interface has to take it: what is no promise is not used.
NamedTarget shader_target(std::string name, Target target, bool software) {
  target.name = name;
  target.storage_f16 = false;
  target.software = software;
  return {std::move(name), std::move(target)};
}

}  // namespace

Result<std::vector<NamedTarget>> pack_targets(std::string_view name, uint32_t threads) {
  constexpr std::string_view kCpu = "cpu-";
  const bool says_cpu = name.starts_with(kCpu);
  Result<Target> target = plain_target(says_cpu ? name.substr(kCpu.size()) : name);
  if (!target || (says_cpu && !target->is_cpu) || target->format == CodeFormat::wgsl) {
    std::vector<std::string> names;
    for (const std::string_view plain : plain_target_names()) {
      if (plain != "wgsl") names.emplace_back(plain);
    }
    return Error(ErrorKind::invalid_argument,
                 fmt::format("No target is named \"{}\"; there are ({}), and CPUs' may begin with "
                             "{}.",
                             name, fmt::join(names, ", "), kCpu));
  }
  const bool is_shader =
      target->format == CodeFormat::spirv_pointers || target->format == CodeFormat::spirv_bindings;
  if (is_shader) {
    return std::vector<NamedTarget>{shader_target(std::string(name), *target, false),
                                    shader_target(std::string(name) + "-software", *target, true)};
  }
  if (target->is_cpu) target->compute_units = threads;
  return std::vector<NamedTarget>{{std::string(name), *target}};
}

Result<std::string> make_pack(const Model& model, std::span<const NamedTarget> targets,
                              Precision precision) {
  PackMemory memory;
  PackContent content;
  content.model.name = model.name;
  content.model.metadata = model.metadata;
  content.model.inputs = model.inputs;
  content.model.outputs = model.outputs;
  for (const NamedTarget& named : targets) {
    TRY_ASSIGN(PackTarget packed, packed_for(model, named, precision, memory));
    content.targets.push_back(std::move(packed));
  }
  return pack_bytes(content);
}

}  // namespace leat
