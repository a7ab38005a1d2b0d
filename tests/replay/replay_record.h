// What process replay keeps of a network on a target: every kernel by the hash of its text, with
// what shaped it, and the memory plan. Plain data that prints and reads back, so that two of them
// can be compared line by line.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat::replay {

struct KernelRecord {
  std::string name;    // of the node; no part of the text
  std::string params;  // schedule parameters as they print
  std::string text;    // hash of the wave program as lowered, names left out
  std::string passed;  // the same after the passes
  double flop = 0;
  uint64_t bytes = 0;  // of all arguments, each counted once

  bool operator==(const KernelRecord&) const = default;
};

struct TargetRecord {
  std::string target;
  uint64_t distinct_kernels = 0;
  uint64_t weights_bytes = 0;
  uint64_t activations_bytes = 0;
  std::vector<KernelRecord> kernels;

  bool operator==(const TargetRecord&) const = default;
};

/// "x86-64-v3", "x86-64-v4", "aarch64", "vulkan", "opengl", "sm_75", "sm_80", "sm_90".
std::span<const std::string_view> replayed_targets();

/// Schedules and lowers the graph. Errors: those of the stages.
Result<TargetRecord> record(const Graph& graph, const Target& target);

/// One file has all targets of a network. Errors: invalid_argument, with the line.
std::string to_text(std::span<const TargetRecord> records);
Result<std::vector<TargetRecord>> from_text(std::string_view text);

/// What changed, for a person: one line a kernel with the fields that differ, kernels that came and
/// went, memory. Empty when nothing did.
std::string difference(const TargetRecord& before, const TargetRecord& after);

}  // namespace leat::replay
