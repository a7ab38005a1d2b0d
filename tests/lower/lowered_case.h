// For tests: a graph with its inputs, run by the interpreter as lowered for several kinds of target
// and compared with the reference evaluator.
#pragma once

#include <string>
#include <vector>

#include "leat/schedule/schedule.h"

namespace leat::testing {

/// Numbers from -1 to 1.
HostTensor random_tensor(Shape shape, uint32_t seed);

Target cpu_target(uint32_t lanes);
/// A GPU of four multiprocessors.
Target gpu_target(uint32_t lanes);
/// A GPU API run by a CPU.
Target software_target(uint32_t lanes);

struct Case {
  Graph graph;
  std::vector<HostTensor> inputs;
  int64_t terms = 1;  // that the longest sum has, of numbers below 1; the tolerance follows from it
  double rounding = 0;    // relative, of the outputs' element type
  bool is_exact = false;  // nothing is rounded
};

void check(const Case& test, const Target& target, const ScheduleOptions& options,
           const std::string& what);
/// CPUs, a GPU and a software GPU, with graph inputs and outputs in either order.
void check_on_all_targets(const Case& test, const std::string& what);

}  // namespace leat::testing
