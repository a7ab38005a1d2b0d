// Schedule parameters: the few integers under which a family is lowered. Whatever they are, the
// kernel computes the same function; they only decide how fast.
#pragma once

#include <cstdint>
#include <string>

#include "leat/base/target.h"
#include "leat/tensor/graph.h"

namespace leat {

struct Schedule;

/// A workgroup computes a tile of (waves_m * lane_m * reg_m) rows by (waves_n * lane_n * reg_n)
/// columns.
struct ContractionParams {
  uint32_t lane_m = 1;  // lane grid; lane_m * lane_n = wave_lanes
  uint32_t lane_n = 8;
  uint32_t lane_fold = 1;  // so many rows of the lane grid take the lanes in turns; divides lane_m
  uint32_t waves_m = 1;    // waves of the workgroup
  uint32_t waves_n = 1;
  uint32_t reg_m = 4;  // register tile of one lane, in elements
  uint32_t reg_n = 2;
  uint32_t vec_m = 1;  // consecutive rows / columns a lane owns; divides reg_m / reg_n
  uint32_t vec_n = 1;
  uint32_t k_step = 4;    // k handled by one round of the inner loop, unrolled
  uint32_t stages = 0;    // buffers of local memory that tiles pass through: 0, 1 or 2
  uint32_t split_k = 1;   // parts of the innermost k axis computed apart and then added
  uint32_t group_m = 64;  // row tiles that run before the next column tile is taken (cache reuse)

  uint32_t tile_m() const { return waves_m * lane_m * reg_m; }
  uint32_t tile_n() const { return waves_n * lane_n * reg_n; }
  bool operator==(const ContractionParams&) const = default;
};

struct MapReduceParams {
  uint32_t waves = 1;         // waves of the workgroup
  uint32_t per_lane = 1;      // output elements of one lane
  bool lanes_reduce = false;  // lanes share one output's reduction instead of owning outputs
  uint32_t split = 1;         // parts of the reduction computed apart and then reduced themselves
  uint32_t unroll = 1;        // loads on their way at once: rounds of the innermost reduce axis
  bool operator==(const MapReduceParams&) const = default;
};

struct KernelParams {
  ContractionParams contraction;  // used by nodes of that family
  MapReduceParams map_reduce;
  bool operator==(const KernelParams&) const = default;
};

/// The analytic first choice: register tile from the number of registers, lane grid along the
/// channels, staging through local memory on GPUs when the tile is large enough to repay it. For a
/// map-reduce node the schedule's strides must be assigned.
KernelParams choose_params(const Schedule& schedule, const Node& node, const Target& target);

/// "tile 6x16 lanes 1x8 regs 6x2 k4 stages 0".
std::string to_string(const ContractionParams& params);

}  // namespace leat
