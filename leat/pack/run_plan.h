// RunPlan: a network as the run half takes it, all that is needed to run it and nothing of how it
// was made. Plain data: what a packed model holds for each of its targets (leat/pack).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "leat/base/kernel_binary.h"
#include "leat/schedule/plan.h"

namespace leat {

/// What people are shown of one launch.
struct LaunchFacts {
  std::string name;    // of its node
  std::string op;      // the operator that it came from
  std::string params;  // to_string(KernelParams)
  double flop = 0;
};

/// One launch of a run.
struct PlanLaunch {
  uint32_t kernel = 0;              // in RunPlan::kernels
  std::vector<TensorId> arguments;  // in the kernel's order; each has memory
  LaunchFacts facts;
};

/// A kernel, and its code beside it: several may share one.
struct PlanKernel {
  KernelBinary binary;              // without code
  std::span<const std::byte> code;  // somebody else's memory
};

struct RunPlan {
  /// Its tensors, inputs, outputs, checks, placements and memory: no constants, nodes and steps.
  Schedule schedule;
  std::vector<PlanKernel> kernels;
  std::vector<PlanLaunch> launches;    // in order of execution
  std::span<const std::byte> weights;  // the arena of Space::weights; somebody else's memory
};

}  // namespace leat
