// The analytic first choice of schedule parameters.
//
// CPU: a row of the tile is one broadcast, a column one vector. With R vector registers, reg_m x
// reg_n accumulators, reg_n vectors of B and one broadcast must fit: 6x2 of 16 registers, 14x2
// of 32. That also keeps the loads per multiply-add under what two load ports give. GPU: 8x8
// accumulators a lane repay their 16 loads from local memory four times over; the tile is the one
// whose rounds over the multiprocessors waste least, and k is split when most of them would idle.
#include "leat/schedule/params.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "leat/schedule/map_reduce_params.h"

namespace leat {

namespace {

/// Rows of the register tile: the most that fit, or fewer when they divide m better. A row's
/// multiply-adds cost 1, the vectors of B loaded beside them about a third of a row.
uint32_t choose_rows(int64_t m, uint32_t rows_max) {
  constexpr double kLoadCost = 0.35;
  uint32_t best = 1;
  double best_cost = 1e300;
  for (uint32_t rows = std::max(1u, rows_max / 2); rows <= rows_max; ++rows) {
    const double tiles = static_cast<double>((m + rows - 1) / rows);
    const double cost = tiles * (rows + kLoadCost);
    if (cost <= best_cost) {
      best_cost = cost;
      best = rows;
    }
  }
  return static_cast<uint32_t>(std::min<int64_t>(best, m));
}

ContractionParams choose_cpu(int64_t m, int64_t n, const Target& target) {
  ContractionParams params;
  params.lane_m = 1;
  params.lane_n = target.wave_lanes;
  params.reg_n = n > target.wave_lanes ? 2 : 1;
  const uint32_t rows_max = target.vector_registers >= 32 ? 14 : 6;
  params.reg_m = choose_rows(m, rows_max * 2 / params.reg_n);
  // With 28 accumulators unrolling k makes LLVM keep more values alive than there are registers.
  params.k_step = target.vector_registers >= 32 ? 1 : 4;
  params.group_m = 64;
  return params;
}

int64_t workgroups(const ContractionParams& params, int64_t m, int64_t n, int64_t batch) {
  const int64_t rows = (m + params.tile_m() - 1) / params.tile_m();
  const int64_t columns = (n + params.tile_n() - 1) / params.tile_n();
  return rows * columns * batch;
}

/// A software renderer turns every load into a loop over the lanes, so the tile is large, loads are
/// vectors, and spilled accumulators are the smaller evil.
ContractionParams choose_software(int64_t m, int64_t n, const Target& target) {
  ContractionParams params;
  params.lane_m = 1;
  params.lane_n = target.wave_lanes;
  params.reg_m = static_cast<uint32_t>(std::min<int64_t>(8, m));
  params.vec_n = n > 2 * int64_t{target.wave_lanes} ? 4 : 1;
  params.reg_n = params.vec_n;
  params.k_step = 4;
  return params;
}

/// A GPU tile that may be chosen. `resident` workgroups share a multiprocessor, by their registers;
/// `share` is the part of the full speed that they then reach together. Fitted by hand to trial
/// runs on an H200, 2026-11-22 and 2026-11-26, whose samples were not kept; what the choices reach
/// is in bench/results/conv2d-h200-*.json.
struct GpuTile {
  uint32_t waves_m, waves_n, reg_m, reg_n;
  uint32_t resident;
  double share;
};
constexpr GpuTile kGpuTiles[] = {
    {4, 2, 8, 8, 1, 1.0},  {4, 1, 8, 8, 2, 1.0}, {4, 2, 8, 4, 3, 0.88}, {2, 1, 8, 8, 4, 0.9},
    {4, 1, 4, 4, 6, 0.65}, {2, 1, 4, 4, 8, 0.5}, {1, 1, 4, 4, 8, 0.52},
};

/// The same for cubins, by the registers that ptxas 13.0 gives them. Fitted by hand to times of
/// kernels on an H200, 2026-11-26, of which no file was kept; what the choices reach is in
/// bench/results.
constexpr GpuTile kCubinTiles[] = {
    {2, 2, 8, 8, 3, 1.0},  {4, 1, 8, 8, 3, 0.985}, {4, 2, 8, 8, 1, 0.96}, {2, 1, 8, 8, 5, 0.94},
    {4, 2, 8, 4, 2, 0.92}, {2, 2, 8, 4, 4, 0.91},  {2, 1, 8, 4, 8, 0.8},  {2, 2, 4, 4, 7, 0.9},
    {4, 1, 4, 4, 7, 0.8},  {2, 1, 4, 4, 14, 0.7},  {1, 1, 4, 4, 16, 0.6},
};

ContractionParams with_tile(ContractionParams params, const GpuTile& tile) {
  params.waves_m = tile.waves_m;
  params.waves_n = tile.waves_n;
  params.reg_m = tile.reg_m;
  params.reg_n = tile.reg_n;
  return params;
}

/// Both slabs, in f32, as often as there are stages.
int64_t local_bytes(const ContractionParams& params) {
  return int64_t{params.tile_m() + params.tile_n()} * params.k_step * params.stages * 4;
}

/// Splits k while the workgroups are no more than `workgroups_max` and parts keep `part_min` of k.
uint32_t choose_split(const ContractionParams& params, int64_t m, int64_t n, int64_t k,
                      int64_t k_inner, int64_t batch, int64_t workgroups_max, int64_t part_min) {
  uint32_t parts = 1;
  while (workgroups(params, m, n, batch) * parts * 2 <= workgroups_max &&
         k / (parts * 2) >= part_min && k_inner % (parts * 2 * params.k_step) == 0) {
    parts *= 2;
  }
  return parts;
}

/// Time of one multiprocessor that has the most work, in multiply-adds at full speed. Eight waves
/// reach that; of fewer, as in the last round, each does more than its part. Parts of k are added
/// by another kernel.
double gpu_cost(const ContractionParams& params, const GpuTile& tile, int64_t m, int64_t n,
                int64_t k, int64_t batch, const Target& target) {
  constexpr double kFullSpeedWaves = 8;
  constexpr double kWavesExponent = 0.65;
  constexpr double kAddingParts = 7.5e5;  // multiply-adds in 3 us
  const int64_t units = std::max<int64_t>(1, target.compute_units);
  const int64_t tiles = (workgroups(params, m, n, batch) * params.split_k + units - 1) / units;
  const int64_t rest = tiles % tile.resident;
  const double waves = static_cast<double>(rest * params.waves_m * params.waves_n);
  const double speed = std::pow(std::min(1.0, waves / kFullSpeedWaves), kWavesExponent);
  const double rounds =
      static_cast<double>(tiles - rest) + (rest > 0 ? static_cast<double>(rest) / speed : 0);
  const double work = static_cast<double>(params.tile_m() * params.tile_n()) *
                      static_cast<double>(k) / params.split_k;
  return rounds * work / tile.share + (params.split_k > 1 ? kAddingParts : 0);
}

/// Few rows: what counts is how fast B comes. Every lane reads a vector of its row, the whole wave
/// one stretch of it, and takes the same element of A; k is split until enough waves read.
ContractionParams choose_few_rows(int64_t m, int64_t n, int64_t k, int64_t k_inner, int64_t batch,
                                  bool is_packed, const Target& target) {
  constexpr int64_t kWavesPerUnit = 8;  // each with k_step vectors on their way
  constexpr int64_t kPartMin = 128;
  ContractionParams params;
  params.lane_m = 1;
  params.lane_n = target.wave_lanes;
  params.reg_m = static_cast<uint32_t>(m);
  params.vec_n = is_packed && n >= 4 * int64_t{target.wave_lanes} ? 4 : 1;
  params.reg_n = params.vec_n;
  params.k_step = 8;
  params.split_k =
      choose_split(params, m, n, k, k_inner, batch, kWavesPerUnit * target.compute_units, kPartMin);
  return params;
}

/// Few columns and many rows: a lane has rows of its own, whose k it reads in vectors, and all
/// lanes take the same elements of B. A step of 8 uses up the sectors of 32 bytes that it touches.
ContractionParams choose_few_columns(int64_t m, int64_t n, int64_t batch, bool is_packed,
                                     const Target& target) {
  constexpr int64_t kWavesPerUnit = 16;
  ContractionParams params;
  params.lane_m = target.wave_lanes;
  params.lane_n = 1;
  params.vec_n = !is_packed || n == 1 ? 1 : n == 2 ? 2 : 4;
  params.reg_n = (static_cast<uint32_t>(n) + params.vec_n - 1) / params.vec_n * params.vec_n;
  params.k_step = 8;
  // As high as repays, and no higher than the rows of one of the batch need.
  const auto is_too_high = [&] {
    return params.tile_m() / 2 >= m ||
           workgroups(params, m, n, batch) < kWavesPerUnit * target.compute_units;
  };
  while (params.reg_m > 1 && is_too_high()) params.reg_m /= 2;
  return params;
}

ContractionParams choose_gpu(int64_t m, int64_t n, int64_t k, int64_t k_inner, int64_t batch,
                             bool is_packed, const Target& target) {
  constexpr int64_t kFew = 8;
  if (m < kFew && n >= target.wave_lanes && k >= kFew) {
    return choose_few_rows(m, n, k, k_inner, batch, is_packed, target);
  }
  constexpr int64_t kRowWavesPerUnit = 4;  // fewer leave the chip idle
  const int64_t lanes_busy = kRowWavesPerUnit * target.compute_units * target.wave_lanes;
  // Where rows are few as well, a lane grid of 8 columns leaves fewer lanes idle.
  const bool has_rows = 8 * m >= n * target.wave_lanes;
  if (n < kFew && has_rows && m * batch >= lanes_busy) {
    return choose_few_columns(m, n, batch, is_packed, target);
  }
  ContractionParams params;
  params.lane_n = std::min(8u, target.wave_lanes);
  params.lane_m = target.wave_lanes / params.lane_n;
  if (k < 8 || m < 8 || n < 8) {
    params.reg_m = 1;
    params.reg_n = 1;
    params.k_step = 4;
    return params;
  }
  // Rows whose k is contiguous are staged in vectors along k; others in vectors of rows.
  params.vec_m = k_inner % 4 == 0 ? 1 : 4;
  params.vec_n = 4;
  params.k_step = 16;
  params.stages = 2;
  constexpr int64_t kPartMin = 256;
  const bool is_cubin = target.format == CodeFormat::cubin;
  double best_cost = 1e300;
  ContractionParams best = params;
  for (const GpuTile& tile : is_cubin ? std::span<const GpuTile>(kCubinTiles) : kGpuTiles) {
    ContractionParams candidate = with_tile(params, tile);
    if (tile.waves_m * tile.waves_n * target.wave_lanes > target.lanes_per_workgroup_max) continue;
    if (local_bytes(candidate) > target.local_memory_bytes_max) continue;
    candidate.split_k =
        choose_split(candidate, m, n, k, k_inner, batch, target.compute_units, kPartMin);
    const double cost = gpu_cost(candidate, tile, m, n, k, batch, target);
    if (cost >= best_cost) continue;
    best_cost = cost;
    best = candidate;
  }
  // Pairs of lanes on two rows read local memory in half as many passes: with a fold of 2 the lanes
  // i, i ^ 1 share a column vector and i, i ^ 2 a row vector, which the hardware joins (measured on
  // an H200, 2026-11-26, by the counter of its shared-memory wavefronts: 65 million against 94).
  // From SPIR-V the driver makes more of small tiles so, less of most large ones.
  const bool is_small = best.reg_m * best.reg_n <= 16;
  if ((is_cubin || is_small) && best.lane_m % 2 == 0) best.lane_fold = 2;
  return best;
}

}  // namespace

KernelParams choose_params(const Schedule& schedule, const Node& node, const Target& target) {
  KernelParams params;
  if (node.family == Family::map_reduce) {
    params.map_reduce = choose_map_reduce(schedule, node, target);
    return params;
  }
  const Graph& graph = schedule.graph;
  const int64_t m = element_count(node.contraction.m);
  const int64_t n = element_count(node.contraction.n);
  const int64_t k = element_count(node.contraction.k);
  const int64_t k_inner = node.contraction.k.empty() ? 1 : node.contraction.k.back();
  const int64_t batch = element_count(node.contraction.batch);
  const bool is_packed =
      graph.tensors[node.inputs[node.contraction.b.input]].constant != nullptr;  // mostly
  params.contraction = target.is_cpu     ? choose_cpu(m, n, target)
                       : target.software ? choose_software(m, n, target)
                                         : choose_gpu(m, n, k, k_inner, batch, is_packed, target);
  const TensorId a = node.inputs[node.contraction.a.input];
  if (!is_float(graph.tensors[a].dtype)) {
    params.contraction.stages = 0;  // local memory holds f32
    params.contraction.split_k = 1;
  }
  return params;
}

std::string to_string(const ContractionParams& p) {
  auto pair = [](uint32_t a, uint32_t b) { return std::to_string(a) + "x" + std::to_string(b); };
  return "tile " + pair(p.tile_m(), p.tile_n()) + " waves " + pair(p.waves_m, p.waves_n) +
         " lanes " + pair(p.lane_m, p.lane_n) +
         (p.lane_fold > 1 ? " fold " + std::to_string(p.lane_fold) : "") + " regs " +
         pair(p.reg_m, p.reg_n) + " vec " + pair(p.vec_m, p.vec_n) + " k" +
         std::to_string(p.k_step) + " stages " + std::to_string(p.stages);
}

}  // namespace leat
