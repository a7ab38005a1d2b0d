// Ways to compute a node as loops, and what the model thinks of them. Where waves hide latencies,
// what takes time is the number of rounds that one lane goes through, each with its way to memory
// and back; only where more waves run than keep a chip busy, or where they waste what memory
// brings, does a round take longer. So of the two forms the one with fewer rounds wins, and a
// reduction is split where both halves and a second launch take fewer.
#include <algorithm>

#include "leat/schedule/candidates.h"
#include "leat/schedule/model_constants.h"
#include "leat/schedule/reduction_strides.h"

namespace leat {

namespace {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// A reduction, whole or in parts, as the model sees it.
struct Work {
  int64_t outputs = 1;
  int64_t length = 1;  // of one output's reduction
  int64_t last = 1;    // of its lane axis
  // Distances of what neighbouring lanes read when they own outputs, and when they share one.
  int64_t output_stride = 0;
  int64_t reduce_stride = 0;
};

/// Rounds of one lane, the more the less of it the chip can run at once.
double time_of(int64_t rounds, int64_t waves, int64_t stride, const Target& target) {
  const int64_t waste = std::clamp<int64_t>(std::abs(stride), 1, kFloatsPerSector);
  const double load = static_cast<double>(waves * waste) /
                      static_cast<double>(kWavesOfReduction * target.compute_units);
  return static_cast<double>(rounds) * std::max(1.0, load);
}

double own_time(const Work& work, const Target& target) {
  const int64_t waves = ceil_div(work.outputs, target.wave_lanes);
  return time_of(work.length, waves, work.output_stride, target);
}

/// How many neighbours of a shared reduction a lane takes at once: as many as one load brings.
uint32_t stretch_of(const Work& work, const Target& target) {
  const bool is_long = work.last >= kStretch * int64_t{target.wave_lanes};
  return work.reduce_stride == 1 && is_long && work.last % kStretch == 0 ? kStretch : 1;
}

double shared_time(const Work& work, const Target& target) {
  const int64_t stretch = stretch_of(work, target);
  const int64_t rounds = work.length / work.last * ceil_div(work.last, target.wave_lanes * stretch);
  // A round of stretches brings so much more: fewer waves keep the memory busy.
  return time_of(rounds, work.outputs * stretch, work.reduce_stride, target);
}

/// Lanes share a reduction only where each has some rounds.
bool may_share(const Work& work, const Target& target) {
  return work.last >= kSharedRoundsMin * target.wave_lanes;
}

double least_time(const Work& work, const Target& target) {
  const double own = own_time(work, target);
  return may_share(work, target) ? std::min(own, shared_time(work, target)) : own;
}

Work work_of(const Schedule& schedule, const Node& node) {
  const Shape& reduce = node.reduce;
  const size_t rank = node.extents.size();
  Work work = {.outputs = element_count(node.extents),
               .length = element_count(reduce),
               .last = reduce[lane_axis_of(reduce)],
               .output_stride = kFloatsPerSector,
               .reduce_stride = kFloatsPerSector};
  const std::optional<std::vector<int64_t>> strides = widest_strides(schedule, node);
  if (!strides) return work;
  work.reduce_stride = (*strides)[rank + lane_axis_of(reduce)];
  // Lanes go along the axis whose outputs lie closest; see MapReduceLowering::sort_axes.
  const NodeResult& result = node.results[0];
  const Affine output = address_of(schedule.placements[result.output].strides, result.index, rank);
  int64_t closest = INT64_MAX;
  for (size_t i = 0; i < rank; ++i) {
    if (node.extents[i] == 1 || output.coefficients[i] >= closest) continue;
    closest = output.coefficients[i];
    work.output_stride = (*strides)[i];
  }
  return work;
}

/// What is left to reduce once there are so many parts of each axis, an output each.
Work part_of(const Work& whole, const Shape& reduce, const Shape& parts) {
  Work part = whole;
  const int64_t count = element_count(parts);
  part.outputs *= count;
  part.length /= count;
  part.last /= parts[lane_axis_of(reduce)];
  return part;
}

/// Every number of parts that the axes can be cut into, with the price of two kernels. The whole's
/// partial results lie in the order of what they read; see split_reduce.
void add_split_candidates(std::vector<Candidate>& found, const MapReduceParams& params,
                          const Work& whole, const Node& node, const std::vector<int64_t>& strides,
                          const Target& target) {
  const Shape& reduce = node.reduce;
  const size_t rank = node.extents.size();
  Work sorted = whole;
  int64_t closest = INT64_MAX;
  for (size_t d = 0; d < rank; ++d) {
    if (node.extents[d] > 1) closest = std::min(closest, std::abs(strides[d]));
  }
  sorted.output_stride = closest == INT64_MAX ? kFloatsPerSector : closest;
  const int64_t parts_max = std::min(whole.length / kPartOfReductionMin,
                                     2 * kWavesOfReduction * int64_t{target.compute_units});
  int64_t taken = 1;  // parts that the axes before make
  for (const int64_t extent : reduce) {
    for (int64_t cut = 2; cut <= extent && taken * cut <= parts_max; ++cut) {
      if (extent % cut != 0) continue;
      const int64_t parts = taken * cut;
      const Work part = part_of(sorted, reduce, *parts_of_axes(reduce, parts));
      const Work sum = {whole.outputs, parts, parts, 1, whole.outputs};
      MapReduceParams split = params;
      split.split = static_cast<uint32_t>(parts);
      found.push_back({split, least_time(part, target) + least_time(sum, target) + kLaunchRounds});
    }
    taken *= extent;
  }
}

uint32_t waves_for(int64_t outputs, const Target& target) {
  const int64_t lanes_busy = int64_t{target.wave_lanes} * target.compute_units;
  uint32_t waves = std::max(1u, std::min(8u, target.lanes_per_workgroup_max / target.wave_lanes));
  while (waves > 1 && outputs < lanes_busy * waves) waves /= 2;
  return waves;
}

/// Where a core hides its own latencies, few lanes with work are no loss, many rounds are.
std::vector<Candidate> candidates_of_core(const Node& node, const Target& target) {
  MapReduceParams params;
  const int64_t outputs = element_count(node.extents);
  const Shape& reduce = node.reduce;
  const int64_t lanes_busy = int64_t{target.wave_lanes} * target.compute_units;
  if (is_associative(node) && outputs < lanes_busy &&
      reduce[lane_axis_of(reduce)] >= kSharedRoundsMin * target.wave_lanes) {
    params.lanes_reduce = 1;
    return {{params, 0}};
  }
  // Software renderers leave loops after some 2^16 rounds in all; see emit/spirv_control.cpp.
  const int64_t reduced = std::max<int64_t>(element_count(reduce), 1);
  const int64_t most = std::clamp<int64_t>(16384 / reduced, 1, 64);
  if (is_reduction(node)) params.unroll = kCoreUnroll;
  params.per_lane = static_cast<uint32_t>(std::clamp<int64_t>(outputs / (lanes_busy * 8), 1, most));
  return {{params, 0}};
}

/// Where many waves hide each other's latencies: outputs a lane, lanes that share an output, and
/// either in parts.
std::vector<Candidate> candidates_of_waves(const Schedule& schedule, const Node& node,
                                           const Target& target, Splitting splitting) {
  const int64_t outputs = element_count(node.extents);
  MapReduceParams own = {.waves = waves_for(outputs, target)};
  if (is_reduction(node)) own.unroll = kReductionUnroll;
  if (!is_associative(node) || outputs == 0 || element_count(node.reduce) == 0) {
    return {{own, 0}};
  }
  const Work work = work_of(schedule, node);
  std::vector<Candidate> found = {{own, own_time(work, target)}};
  MapReduceParams shared = {.lanes_reduce = 1, .unroll = kReductionUnroll};
  if (may_share(work, target)) {
    shared.per_lane = stretch_of(work, target);
    found.push_back({shared, shared_time(work, target)});
  }
  const auto strides = reduced_strides(schedule, node);
  if (strides && splitting == Splitting::allowed && target.compute_units > 1 &&
      node.results.size() == 1 && node.inputs.size() + 2 <= target.buffer_bindings_max) {
    add_split_candidates(found, own, work, node, *strides, target);
  }
  return found;
}

}  // namespace

std::vector<Candidate> reduction_candidates(const Schedule& schedule, const Node& node,
                                            const Target& target, Splitting splitting) {
  return target.waves_hide_latency ? candidates_of_waves(schedule, node, target, splitting)
                                   : candidates_of_core(node, target);
}

}  // namespace leat
