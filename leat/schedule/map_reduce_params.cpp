// On GPUs a small model decides. What takes time is the number of rounds that one lane goes
// through, each with its way to memory and back; only where more waves run than keep a chip busy,
// or where they waste what memory brings, does a round take longer. So of the two forms the one
// with fewer rounds wins, and a reduction is split where both halves and a second launch take
// fewer. The constants are estimates.
#include "leat/schedule/map_reduce_params.h"

#include <algorithm>

#include "leat/tensor/scalar_math.h"

namespace leat {

namespace {

/// Waves that keep a multiprocessor's share of the memory busy: half of what an NVIDIA chip holds
/// (64; CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
constexpr int64_t kWavesPerUnit = 32;
/// A part has no fewer elements than this: each wave has its own start and end.
constexpr int64_t kPartMin = 64;
/// What a second kernel costs, in rounds: about 3 us.
constexpr double kLaunchRounds = 64;
/// A wave that reads neighbours takes a sector of 32 bytes for 8 floats, one that reads afar takes
/// it for one.
constexpr int64_t kFloatsPerSector = 8;
/// Loads that a lane has on their way, where a loop has so many rounds.
constexpr uint32_t kUnroll = 8;
/// Lanes share a reduction whose innermost axis gives each so many rounds.
constexpr int64_t kSharedRoundsMin = 4;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool is_reduction(const Node& node) {
  return node.family == Family::map_reduce && node.map_reduce.op != ReduceOp::none &&
         !node.map_reduce.reduce.empty();
}

/// Sums, maxima and minima of floats may be taken in any order and in parts.
bool is_associative(const Node& node) {
  return is_reduction(node) && node.map_reduce.op != ReduceOp::product &&
         node.exprs.type(node.map_reduce.element) == ScalarType::f32;
}

/// All expressions with these values of the axes; nothing for what loads. Arguments stand before
/// their users.
std::vector<std::optional<ScalarValue>> values_at(const ExprTree& tree,
                                                  const std::vector<int64_t>& axes) {
  std::vector<std::optional<ScalarValue>> values(tree.size());
  for (ExprId id = 0; id < tree.size(); ++id) {
    const ExprNode& expr = tree.node(id);
    if (expr.kind == ExprKind::constant) {
      values[id] = ScalarValue{expr.number, truncate_to_integer(expr.number)};
    } else if (expr.kind == ExprKind::axis) {
      values[id] = ScalarValue{0, axes[expr.index]};
    } else if (expr.kind == ExprKind::apply) {
      std::array<ScalarValue, 3> arguments;
      bool known = true;
      for (size_t i = 0; i < 3; ++i) {
        if (expr.arguments[i] == kNoExpr) continue;
        known = known && values[expr.arguments[i]].has_value();
        if (known) arguments[i] = *values[expr.arguments[i]];
      }
      const size_t typed = expr.op == ScalarOp::select ? 1 : 0;
      if (known) values[id] = apply_scalar(expr.op, tree.type(expr.arguments[typed]), arguments);
    }
  }
  return values;
}

/// Where in its tensor each load reads with these values of the axes.
std::vector<std::optional<int64_t>> addresses_at(const Schedule& schedule, const Node& node,
                                                 const std::vector<int64_t>& axes) {
  const std::vector<std::optional<ScalarValue>> values = values_at(node.exprs, axes);
  std::vector<std::optional<int64_t>> addresses(values.size());
  for (ExprId id = 0; id < values.size(); ++id) {
    const ExprNode& expr = node.exprs.node(id);
    if (expr.kind != ExprKind::load) continue;
    const std::vector<int64_t>& strides = schedule.placements[node.inputs[expr.index]].strides;
    addresses[id] = 0;
    for (size_t d = 0; d < expr.indices.size() && addresses[id]; ++d) {
      const std::optional<ScalarValue>& index = values[expr.indices[d]];
      addresses[id] =
          index ? std::optional(*addresses[id] + strides[d] * index->integer) : std::nullopt;
    }
  }
  return addresses;
}

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
                      static_cast<double>(kWavesPerUnit * target.compute_units);
  return static_cast<double>(rounds) * std::max(1.0, load);
}

double own_time(const Work& work, const Target& target) {
  const int64_t waves = ceil_div(work.outputs, target.wave_lanes);
  return time_of(work.length, waves, work.output_stride, target);
}

double shared_time(const Work& work, const Target& target) {
  const int64_t rounds = work.length / work.last * ceil_div(work.last, target.wave_lanes);
  return time_of(rounds, work.outputs, work.reduce_stride, target);
}

bool lanes_should_reduce(const Work& work, const Target& target) {
  return work.last >= kSharedRoundsMin * target.wave_lanes &&
         shared_time(work, target) < own_time(work, target);
}

double least_time(const Work& work, const Target& target) {
  return lanes_should_reduce(work, target) ? shared_time(work, target) : own_time(work, target);
}

Work work_of(const Schedule& schedule, const Node& node) {
  const Shape& reduce = node.map_reduce.reduce;
  const size_t rank = node.out_extents.size();
  Work work = {.outputs = element_count(node.out_extents),
               .length = element_count(reduce),
               .last = reduce[lane_axis_of(reduce)],
               .output_stride = kFloatsPerSector,
               .reduce_stride = kFloatsPerSector};
  const std::optional<std::vector<int64_t>> strides = reduced_strides(schedule, node);
  if (!strides) return work;
  work.reduce_stride = (*strides)[rank + lane_axis_of(reduce)];
  // Lanes go along the axis whose outputs lie closest; see MapReduceLowering::sort_axes.
  const Placement& placement = schedule.placements[node.output];
  int64_t closest = INT64_MAX;
  for (size_t d = 0; d < rank; ++d) {
    const int64_t distance = placement.strides[d] * node.view.step[d];
    if (node.out_extents[d] == 1 || distance >= closest) continue;
    closest = distance;
    work.output_stride = (*strides)[d];
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

/// The parts that make two kernels fastest, 1 when one kernel is faster.
int64_t choose_parts(const Work& whole, const Node& node, const std::vector<int64_t>& strides,
                     const Target& target) {
  const Shape& reduce = node.map_reduce.reduce;
  const size_t rank = node.out_extents.size();
  Work sorted = whole;
  int64_t closest = INT64_MAX;
  for (size_t d = 0; d < rank; ++d) {
    if (node.out_extents[d] > 1) closest = std::min(closest, std::abs(strides[d]));
  }
  sorted.output_stride = closest == INT64_MAX ? kFloatsPerSector : closest;
  const int64_t parts_max =
      std::min(whole.length / kPartMin, 2 * kWavesPerUnit * int64_t{target.compute_units});
  int64_t best_parts = 1;
  double fewest_rounds = least_time(whole, target);
  int64_t taken = 1;  // parts that the axes before make
  for (const int64_t extent : reduce) {
    for (int64_t cut = 2; cut <= extent && taken * cut <= parts_max; ++cut) {
      if (extent % cut != 0) continue;
      const int64_t parts = taken * cut;
      const Work part = part_of(sorted, reduce, *parts_of_axes(reduce, parts));
      const Work sum = {whole.outputs, parts, parts, 1, whole.outputs};
      const double rounds = least_time(part, target) + least_time(sum, target) + kLaunchRounds;
      if (rounds >= fewest_rounds) continue;
      fewest_rounds = rounds;
      best_parts = parts;
    }
    taken *= extent;
  }
  return best_parts;
}

/// A CPU, or a GPU API run by one: few lanes with work are no loss, many rounds are.
MapReduceParams choose_on_cpu(const Node& node, const Target& target) {
  MapReduceParams params;
  const int64_t outputs = element_count(node.out_extents);
  const Shape& reduce = node.map_reduce.reduce;
  const int64_t lanes_busy = int64_t{target.wave_lanes} * target.compute_units;
  if (is_associative(node) && outputs < lanes_busy &&
      reduce[lane_axis_of(reduce)] >= kSharedRoundsMin * target.wave_lanes) {
    params.lanes_reduce = true;
    return params;
  }
  // Software renderers leave loops after some 2^16 rounds in all; see emit/spirv_control.cpp.
  const int64_t reduced = std::max<int64_t>(element_count(reduce), 1);
  const int64_t most = std::clamp<int64_t>(16384 / reduced, 1, 64);
  params.per_lane = static_cast<uint32_t>(std::clamp<int64_t>(outputs / (lanes_busy * 8), 1, most));
  return params;
}

MapReduceParams choose_on_gpu(const Schedule& schedule, const Node& node, const Target& target) {
  MapReduceParams params;
  const int64_t outputs = element_count(node.out_extents);
  if (is_reduction(node)) params.unroll = kUnroll;
  if (is_associative(node) && outputs > 0 && element_count(node.map_reduce.reduce) > 0) {
    const Work work = work_of(schedule, node);
    params.lanes_reduce = lanes_should_reduce(work, target);
    const auto strides = reduced_strides(schedule, node);
    if (strides && target.compute_units > 1) {
      params.split = static_cast<uint32_t>(choose_parts(work, node, *strides, target));
    }
    if (params.lanes_reduce) return params;
  }
  const int64_t lanes_busy = int64_t{target.wave_lanes} * target.compute_units;
  params.waves = std::max(1u, std::min(8u, target.lanes_per_workgroup_max / target.wave_lanes));
  while (params.waves > 1 && outputs < lanes_busy * params.waves) params.waves /= 2;
  return params;
}

}  // namespace

size_t lane_axis_of(const Shape& reduce) {
  size_t axis = reduce.size() - 1;
  while (axis > 0 && reduce[axis] == 1) --axis;
  return axis;
}

std::optional<Shape> parts_of_axes(const Shape& reduce, int64_t parts) {
  Shape counts;
  for (int64_t extent : reduce) {
    const int64_t count = parts % extent == 0 ? extent : parts;
    if (extent % count != 0) return std::nullopt;
    counts.push_back(count);
    parts /= count;
  }
  return parts == 1 ? std::optional(counts) : std::nullopt;
}

std::optional<std::vector<int64_t>> reduced_strides(const Schedule& schedule, const Node& node) {
  const size_t rank = node.out_extents.size();
  const size_t axis_count = rank + node.map_reduce.reduce.size();
  const auto origin = addresses_at(schedule, node, std::vector<int64_t>(axis_count, 0));
  std::vector<std::vector<std::optional<int64_t>>> steps;
  for (size_t axis = 0; axis < axis_count; ++axis) {
    const bool is_output = axis < rank;
    const int64_t extent = is_output ? node.out_extents[axis] : node.map_reduce.reduce[axis - rank];
    std::vector<int64_t> axes(axis_count, 0);
    axes[axis] = extent > 1 ? 1 : 0;
    steps.push_back(addresses_at(schedule, node, axes));
  }
  for (ExprId id = 0; id < origin.size(); ++id) {
    if (!origin[id]) continue;
    std::vector<int64_t> strides;
    for (const auto& step : steps) strides.push_back(*step[id] - *origin[id]);
    const auto reduced = strides.begin() + static_cast<std::ptrdiff_t>(rank);
    if (std::any_of(reduced, strides.end(), [](int64_t stride) { return stride != 0; })) {
      return strides;
    }
  }
  return std::nullopt;
}

MapReduceParams choose_map_reduce(const Schedule& schedule, const Node& node,
                                  const Target& target) {
  return target.is_cpu || target.software ? choose_on_cpu(node, target)
                                          : choose_on_gpu(schedule, node, target);
}

}  // namespace leat
