// Every stage of the way from a graph to a device's code, as text: what `leat dump` prints.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "leat/base/precision.h"
#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat {

/// "graph", "schedule", "lower", the passes of lower/passes.h and "code": in the order in which
/// they are passed.
std::span<const std::string_view> stage_names();

/// The graph as imported, its schedule for `target`, or its kernels after a stage. `node` empty
/// shows all kernels, else those whose node's name contains it. Errors: invalid_argument (no such
/// node or stage), and what the stages say.
Result<std::string> inspect_graph(const Graph& graph, const Target& target, std::string_view stage,
                                  std::string_view node, Precision precision = Precision::f32);

/// A wave program in text form (docs/kernel-format.md), verified; `lower` shows it as it was read.
/// Errors: invalid_argument, when the text is none, or for the stages before `lower`.
Result<std::string> inspect_kernel(std::string_view text, std::string_view path,
                                   const Target& target, std::string_view stage);

/// Targets that need no device to be there: "x86-64-v3", "x86-64-v4", "aarch64", "vulkan",
/// "opengl", "wgsl", "cooperlake", "sapphirerapids", "sm_75", "sm_80", "sm_89", "sm_90", and the
/// names of base/amd_target.h.
std::span<const std::string_view> plain_target_names();
/// Errors: invalid_argument, when the name is none of these.
Result<Target> plain_target(std::string_view name);

}  // namespace leat
