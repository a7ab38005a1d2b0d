// See inspect.h. Plain targets: levels of the x86-64 psABI, version 1.0, section 3.1.1; register
// counts as in the cpu backend; 128 invocations and 16 KiB of local memory are what Vulkan 1.1 and
// OpenGL 4.3 promise at least (Vulkan specification, "Required Limits"); limits that every device
// of WebGPU has: its specification, "Limits"; multiprocessors of T4, A100, L40S and H100 SXM:
// NVIDIA's data sheets of these cards.
#include "leat/run/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "leat/base/amd_target.h"
#include "leat/base/nvidia_architecture.h"
#include "leat/base/printable.h"
#include "leat/emit/emit.h"
#include "leat/ir/parse.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"
#include "leat/lower/lower.h"
#include "leat/lower/passes.h"
#include "leat/route/nvidia_target.h"
#include "leat/schedule/schedule.h"

namespace leat {

namespace {

constexpr std::string_view kPlainTargets[] = {
    "x86-64-v3", "x86-64-v4", "cooperlake", "sapphirerapids", "aarch64", "vulkan",
    "opengl",    "wgsl",      "sm_75",      "sm_80",          "sm_89",   "sm_90"};

std::vector<std::string_view> all_plain_targets() {
  std::vector<std::string_view> names(std::begin(kPlainTargets), std::end(kPlainTargets));
  const auto amd = amd_target_names();
  names.insert(names.end(), amd.begin(), amd.end());
  return names;
}

std::vector<std::string_view> all_stages() {
  std::vector<std::string_view> names = {"graph",  "normalise", "fuse", "layout",
                                         "choose", "schedule",  "lower"};
  for (const Pass& pass : passes()) names.push_back(pass.name);
  names.push_back("code");
  return names;
}

/// From "lower" on.
std::span<const std::string_view> kernel_stages() {
  const auto names = stage_names();
  return names.subspan(static_cast<size_t>(std::ranges::find(names, "lower") - names.begin()));
}

std::string_view stage_after(PlanStep step) {
  switch (step) {
    case PlanStep::normalise: return "normalise";
    case PlanStep::fuse: return "fuse";
    case PlanStep::layout: return "layout";
    case PlanStep::choose: return "choose";
    case PlanStep::memory: return "schedule";
  }
  return "schedule";
}

Result<std::string> text_after(std::string_view stage, const LoweredKernel& kernel,
                               const Target& target) {
  if (stage == "code") return disassemble(kernel.program, target);
  const auto kept = std::ranges::find(kernel.stages, stage, &LoweredKernel::Stage::name);
  if (kept != kernel.stages.end()) return kept->text;
  return Error(ErrorKind::invalid_argument,
               fmt::format("A kernel has no stage \"{}\"; it has ({}).", stage,
                           fmt::join(kernel_stages(), ", ")));
}

Target cpu_target(std::string_view name, const char* triple, uint32_t lanes, uint32_t registers) {
  Target target;
  target.name = name;
  target.format = CodeFormat::native_object;
  target.is_cpu = true;
  target.waves_hide_latency = false;
  target.local_memory_is_fast = false;
  target.uniform_loads_broadcast = true;
  target.llvm_triple = triple;
  target.llvm_cpu = name == "aarch64" ? "generic" : name;
  target.wave_lanes = lanes;
  target.lanes_per_workgroup_max = lanes;
  target.vector_registers = registers;
  target.buffer_bindings_max = 256;
  return target;
}

/// The first chips of Intel's with AVX-512 BF16, and with AMX. Both have VNNI.
Target dot_target(std::string_view name) {
  Target target = cpu_target(name, "x86_64-unknown-linux-gnu", 16, 32);
  target.llvm_features = "+avx512bf16,+avx512vnni";
  if (name == "sapphirerapids") target.llvm_features += ",+amx-tile,+amx-bf16";
  return target;
}

Target spirv_target(std::string_view name, bool opengl) {
  Target target;
  target.name = name;
  target.format = opengl ? CodeFormat::spirv_bindings : CodeFormat::spirv_pointers;
  target.opengl = opengl;
  target.lanes_per_workgroup_max = 128;
  target.local_memory_bytes_max = 16384;
  return target;
}

Target wgsl_target() {
  Target target;
  target.name = "wgsl";
  target.format = CodeFormat::wgsl;
  target.local_memory_bytes_max = 16384;
  target.buffer_bindings_max = 8;
  target.argument_bytes_max = 128 << 20;
  target.storage_f16 = false;  // needs the feature shader-f16
  return target;
}

/// Of a T4, A100, L40S and H100 SXM.
uint32_t nvidia_multiprocessors(uint32_t capability) {
  if (capability == 75) return 40;
  if (capability == 80) return 108;
  return capability == 89 ? 142 : 132;
}

Target nvidia_plain_target(std::string_view name) {
  const uint32_t capability = nvidia_architecture(name);
  Target target = nvidia_target({.capability_major = capability / 10,
                                 .capability_minor = capability % 10,
                                 .multiprocessors = nvidia_multiprocessors(capability),
                                 .shared_bytes_max = nvidia_shared_bytes_max(capability)});
  target.name = name;
  return target;
}

}  // namespace

std::span<const std::string_view> stage_names() {
  static const std::vector<std::string_view> names = all_stages();
  return names;
}

Result<std::string> inspect_graph(const Graph& graph, const Target& target, std::string_view stage,
                                  std::string_view node, Precision precision) {
  if (stage == "graph") return to_string(graph);
  std::string text;
  ScheduleOptions options{.precision = precision};
  options.after_step = [&](PlanStep step, const Schedule& plan) {
    if (stage_after(step) == stage) text = to_string(plan);
  };
  TRY_ASSIGN(const Schedule schedule, make_schedule(graph, target, options));
  if (!text.empty()) return text;
  for (const Step& step : schedule.steps) {
    const std::string& name = schedule.graph.nodes[step.node].name;
    if (name.find(node) == std::string::npos) continue;
    TRY_ASSIGN(const LoweredKernel kernel, lower(schedule, step, target, true));
    TRY_ASSIGN(const std::string kernel_text, text_after(stage, kernel, target));
    text += fmt::format("# node {}\n{}\n", printable(name), kernel_text);
  }
  if (!text.empty() || node.empty()) return text;
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("No kernel's name contains \"{}\"; the schedule lists the names.", node));
}

Result<std::string> inspect_kernel(std::string_view text, std::string_view path,
                                   const Target& target, std::string_view stage) {
  LoweredKernel kernel;
  TRY_ASSIGN(kernel.program, ir::parse_program(text, path));
  if (const Result<void> verified = ir::verify(kernel.program); !verified) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Kernel \"{}\" breaks a rule: {}", path, verified.error().message()));
  }
  const auto keep = [&](std::string_view name, const ir::Program& program) {
    kernel.stages.push_back({name, ir::print_program(program)});
  };
  keep("lower", kernel.program);
  if (stage != "lower") TRY(run_passes(kernel.program, target, keep));
  return text_after(stage, kernel, target);
}

std::span<const std::string_view> plain_target_names() {
  static const std::vector<std::string_view> names = all_plain_targets();
  return names;
}

Result<Target> plain_target(std::string_view name) {
  if (name == "x86-64-v3") return cpu_target(name, "x86_64-unknown-linux-gnu", 8, 16);
  if (name == "x86-64-v4") return cpu_target(name, "x86_64-unknown-linux-gnu", 16, 32);
  if (name == "cooperlake" || name == "sapphirerapids") return dot_target(name);
  if (name == "aarch64") return cpu_target(name, "aarch64-unknown-linux-gnu", 4, 32);
  if (name == "vulkan") return spirv_target(name, false);
  if (name == "opengl") return spirv_target(name, true);
  if (name == "wgsl") return wgsl_target();
  if (name.starts_with("sm_") &&
      std::ranges::find(kPlainTargets, name) != std::end(kPlainTargets)) {
    return nvidia_plain_target(name);
  }
  if (name.starts_with("gfx")) return amd_target(name);
  return Error(ErrorKind::invalid_argument, fmt::format("No target is named \"{}\".", name));
}

}  // namespace leat
