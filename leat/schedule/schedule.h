// The schedule: which kernels run, in which order, where every tensor lies in memory. Made from an
// op graph for one Target; plain data, printed by `leat dump --after schedule`.
//
// What is decided here, in this order: dead nodes go; element-wise nodes are fused into the node
// that computes their input (conv + batch-norm + activation + residual add become one kernel; a
// concat's copies become views of the producers); storage types; layouts (channels innermost for
// what convolutions read and write); contractions with a constant too large for the target are
// split; contractions and reductions that leave most of a GPU idle are split into parts; parameters
// of every kernel; memory: one arena for weights, one for activations, planned so that tensors
// whose lives do not overlap share bytes.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/schedule/params.h"
#include "leat/tensor/graph.h"

namespace leat {

/// Who owns the bytes of a tensor.
enum class Space : uint8_t {
  none,         // never in memory: fused away, or a constant only folded
  weights,      // one arena, written once at load
  activations,  // one arena, reused over the run
  external,     // graph inputs and outputs: a shared buffer each, row-major
};

/// Where a tensor lies and in which order.
struct Placement {
  Space space = Space::none;
  DType storage = DType::f32;     // f32, f16 or i32
  std::vector<int64_t> strides;   // elements, per logical dimension
  int64_t element_count = 0;      // elements to allocate (packed weights are padded)
  size_t offset_bytes = 0;        // in its arena, a multiple of kPlacementAlignment
  TensorId alias_of = kNoTensor;  // shares the bytes of this tensor (a reshape without a copy)
  bool packed = false;            // b operand of a contraction, in pack_b's order
};
inline constexpr size_t kPlacementAlignment = 256;

struct Step {
  uint32_t node = 0;  // in Schedule::graph.nodes
  KernelParams params;
};

struct MemoryPlan {
  size_t weights_bytes = 0;
  size_t activations_bytes = 0;  // planned arena
  size_t lower_bound_bytes = 0;  // largest sum of live activations over all steps
};

struct Schedule {
  Graph graph;                        // after fusion
  std::vector<Step> steps;            // in order of execution
  std::vector<Placement> placements;  // by tensor id
  MemoryPlan memory;
};

/// Chooses the parameters of one kernel; the tuner takes this seat.
using ChooseParams = KernelParams (*)(const Schedule& schedule, const Node& node,
                                      const Target& target);

struct ScheduleOptions {
  ChooseParams choose = choose_params;
  /// Graph inputs and outputs may be laid out like activations (channels innermost) instead of
  /// row-major; for one kernel measured as it runs inside a network.
  bool external_channels_last = false;
  /// Contractions are split at this size of a constant even where the Target takes a larger one.
  uint64_t argument_bytes_max = UINT64_MAX;
};

/// Errors: unsupported, when a tensor is too large for 32-bit indices or for an argument of a
/// kernel, or an input has a dtype no device computes.
Result<Schedule> make_schedule(const Graph& graph, const Target& target,
                               const ScheduleOptions& options);

/// One line a step: kernel, extents, parameters, where its tensors lie; then the memory plan.
std::string to_string(const Schedule& schedule);

}  // namespace leat
