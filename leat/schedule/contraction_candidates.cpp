// Ways to compute a contraction, and what the model thinks of them.
//
// Plain tiles, where nothing is gained by local memory: a row of the tile is one broadcast, a
// column one vector. With R vector registers, reg_m x reg_n accumulators, reg_n vectors of B and
// one broadcast must fit: 6x2 of 16 registers, 14x2 or 6x4 of 32. That also keeps the loads per
// multiply-add under what two load ports give. Staged tiles: 8x8 accumulators a lane repay their 16
// loads from local memory four times over; the best is the one whose rounds over the compute units
// waste least, and k is split when most of them would idle.
#include <algorithm>
#include <cmath>

#include "leat/base/target_facts.h"
#include "leat/schedule/byte_product.h"
#include "leat/schedule/candidates.h"
#include "leat/schedule/model_constants.h"

namespace leat {

namespace {

/// k of a dot product of bf16.
constexpr uint32_t kPairOfHalves = 2;

/// What the model sees of a node.
struct Product {
  int64_t m = 1, n = 1, k = 1, k_inner = 1, batch = 1;
  bool packed = false;        // b comes in whole vectors of columns
  bool may_split = false;     // k may be split
  bool is_plain = false;      // the factors are what is stored
  bool takes_tf32 = false;    // units may round them
  uint32_t k_dot = 1;         // k that are multiplied at once
  bool sums_columns = false;  // and what is summed beside, of bytes
  bool sums_rows = false;
  DType a = DType::f32, b = DType::f32;  // stored
};

int64_t workgroups(const ContractionParams& params, const Product& p) {
  const int64_t rows = (p.m + params.tile_m() - 1) / params.tile_m();
  const int64_t columns = (p.n + params.tile_n() - 1) / params.tile_n();
  return rows * columns * p.batch;
}

/// Rows that fit beside the vectors of B, what is summed of rows and columns, a row's bytes, and
/// two constants: ones, and the bits of signs.
uint32_t rows_of_bytes(const ContractionParams& params, const Product& p, uint32_t registers) {
  const uint32_t of_columns = params.reg_n * (p.sums_columns ? 2 : 1);
  return (registers - 3 - of_columns) / (params.reg_n + (p.sums_rows ? 1 : 0));
}

/// Rows of a register tile of reg_n vectors of columns.
uint32_t broadcast_rows(const ContractionParams& params, const Product& p, const Target& target) {
  if (params.by_bytes()) return rows_of_bytes(params, p, target.vector_registers);
  if (params.reg_n == 4) return 6;
  return (target.vector_registers >= 32 ? 14 : 6) * 2 / params.reg_n;
}

/// Of a tile of so many rows, in multiply-adds of a vector: a step of k costs its multiply-adds and
/// what is loaded for them, a row besides what finds and stores it.
double broadcast_price(uint32_t reg_n, uint32_t rows, const Product& p) {
  const auto steps = static_cast<double>(std::max<int64_t>(p.k / p.k_dot, 1));
  const double of_step = reg_n * (rows + kVectorLoadCost) + rows * kBroadcastCost;
  return steps * of_step + rows * kTileRowCost;
}

/// How many vectors of columns a tile has. Packed weights lie in its columns, so it hangs on them
/// alone and not on how many rows they are multiplied by.
uint32_t broadcast_columns(ContractionParams params, const Product& p, const Target& target) {
  const auto price_of_row = [&](uint32_t reg_n) {
    params.reg_n = reg_n;
    const uint32_t rows = broadcast_rows(params, p, target);
    const auto tiles = static_cast<double>((p.n + params.tile_n() - 1) / params.tile_n());
    return tiles * broadcast_price(reg_n, rows, p) / rows;
  };
  const int64_t vectors = (p.n + target.wave_lanes - 1) / target.wave_lanes;
  if (vectors == 1) return 1;
  // Columns of an activation may be one more at the next run, whose kernel they then change.
  if (target.vector_registers < 32 || vectors == 2 || !p.packed) return 2;
  return price_of_row(4) < price_of_row(2) ? 4 : 2;
}

/// Register tiles of half the rows that fit to all of them; the processors take them in rounds.
std::vector<Candidate> broadcast_tiles(const Product& p, const Target& target) {
  ContractionParams params;
  params.lane_m = 1;
  params.lane_n = target.wave_lanes;
  params.k_dot = p.k_dot;
  params.reg_n = broadcast_columns(params, p, target);
  // With 28 accumulators unrolling k makes LLVM keep more values alive than there are registers.
  params.k_step = target.vector_registers >= 32 ? 1 : 4;
  const uint32_t rows_max = broadcast_rows(params, p, target);
  const int64_t units = std::max(1u, target.compute_units);
  std::vector<Candidate> found;
  for (uint32_t rows = rows_max; rows >= std::max(1u, rows_max / 2); --rows) {
    params.reg_m = static_cast<uint32_t>(std::min<int64_t>(rows, p.m));
    const auto rounds = static_cast<double>((workgroups(params, p) + units - 1) / units);
    found.push_back({params, rounds * broadcast_price(params.reg_n, params.reg_m, p)});
  }
  return found;
}

/// Fragments of as many rows as columns, four sums: of the two operands each two are loaded for
/// four products. Rows beyond the last cost what others cost.
std::vector<Candidate> fragment_tiles(const Product& p, const Target& target) {
  constexpr uint32_t kSide = 2;
  ContractionParams params;
  params.lane_m = 1;
  params.lane_n = target.wave_lanes;
  params.reg_m = target.wave_lanes * (p.m > target.wave_lanes ? kSide : 1);
  params.reg_n = p.n > target.wave_lanes ? kSide : 1;
  params.k_step = 1;
  params.k_dot = p.k_dot;
  return {{params, 0}};
}

/// Where every load becomes a loop over the lanes, the tile is large, loads are vectors, and
/// spilled accumulators are the smaller evil.
std::vector<Candidate> vector_tiles(const Product& p, const Target& target) {
  ContractionParams params;
  params.lane_m = 1;
  params.lane_n = target.wave_lanes;
  params.reg_m = static_cast<uint32_t>(std::min<int64_t>(8, p.m));
  params.vec_n = p.n > 2 * int64_t{target.wave_lanes} ? 4 : 1;
  params.reg_n = params.vec_n;
  params.k_step = 4;
  return {{params, 0}};
}

/// Parts of k, while the workgroups are no more than `workgroups_max` and parts keep `part_min`.
uint32_t parts_of_k(const ContractionParams& params, const Product& p, int64_t workgroups_max,
                    int64_t part_min) {
  if (!p.may_split) return 1;
  uint32_t parts = 1;
  while (workgroups(params, p) * parts * 2 <= workgroups_max && p.k / (parts * 2) >= part_min &&
         p.k_inner % (parts * 2 * params.k_step) == 0) {
    parts *= 2;
  }
  return parts;
}

/// Few rows: what counts is how fast B comes. Every lane reads a vector of its row, the whole wave
/// one stretch of it, and takes the same element of A; k is split until enough waves read.
std::vector<Candidate> few_rows(const Product& p, const Target& target) {
  ContractionParams params;
  params.lane_m = 1;
  params.lane_n = target.wave_lanes;
  params.reg_m = static_cast<uint32_t>(p.m);
  params.vec_n = p.packed && p.n >= 4 * int64_t{target.wave_lanes} ? 4 : 1;
  params.reg_n = params.vec_n;
  params.k_step = 8;
  params.split_k = parts_of_k(params, p, kWavesOfFewRows * target.compute_units, kPartOfRowsMin);
  return {{params, 0}};
}

/// Few columns and many rows: a lane has rows of its own, whose k it reads in vectors, and all
/// lanes take the same elements of B. A step of 8 uses up the sectors of 32 bytes that it touches.
std::vector<Candidate> few_columns(const Product& p, const Target& target) {
  ContractionParams params;
  params.lane_m = target.wave_lanes;
  params.lane_n = 1;
  params.vec_n = !p.packed || p.n == 1 ? 1 : p.n == 2 ? 2 : 4;
  params.reg_n = (static_cast<uint32_t>(p.n) + params.vec_n - 1) / params.vec_n * params.vec_n;
  params.k_step = 8;
  // As high as repays, and no higher than the rows of one of the batch need.
  const auto is_too_high = [&] {
    return params.tile_m() / 2 >= p.m ||
           workgroups(params, p) < kWavesOfFewColumns * target.compute_units;
  };
  while (params.reg_m > 1 && is_too_high()) params.reg_m /= 2;
  return {{params, 0}};
}

/// Time of the compute unit that has the most work, in multiply-adds at full speed. Some waves
/// reach that; of fewer, as in the last round, each does more than its part. Parts of k are added
/// by another kernel. `resident` workgroups share a compute unit, and reach `share` of its speed.
double staged_price(const ContractionParams& params, uint32_t resident, double share,
                    const Product& p, const Target& target) {
  const int64_t units = std::max<int64_t>(1, target.compute_units);
  const int64_t tiles = (workgroups(params, p) * params.split_k + units - 1) / units;
  const int64_t rest = tiles % resident;
  const double waves = static_cast<double>(rest * params.waves_m * params.waves_n);
  const double speed = std::pow(std::min(1.0, waves / kFullSpeedWaves), kWavesExponent);
  const double rounds =
      static_cast<double>(tiles - rest) + (rest > 0 ? static_cast<double>(rest) / speed : 0);
  const double work = static_cast<double>(params.tile_m() * params.tile_n()) *
                      static_cast<double>(p.k) / params.split_k;
  const double adding = params.last_adds == 1 ? kJoiningParts : kAddingParts;
  return rounds * work / share + (params.split_k > 1 ? adding : 0);
}

/// Pairs of lanes on two rows read local memory in half as many passes: with a fold of 2 the lanes
/// i, i ^ 1 share a column vector and i, i ^ 2 a row vector, which the hardware joins (measured on
/// an H200, 2026-11-26, by the counter of its shared-memory wavefronts: 65 million against 94).
/// From SPIR-V the driver makes more of small tiles so, less of most large ones.
uint32_t lane_fold_of(const ContractionParams& params, const Target& target) {
  const bool pays = target.tile_rates == TileRates::ptxas || params.reg_m * params.reg_n <= 16;
  return pays && params.lane_m % 2 == 0 ? 2 : 1;
}

ContractionParams lane_grid(const Target& target) {
  ContractionParams params;
  params.lane_n = std::min(8u, target.wave_lanes);
  params.lane_m = target.wave_lanes / params.lane_n;
  params.reg_m = 1;
  params.reg_n = 1;
  params.k_step = 4;
  return params;
}

std::vector<Candidate> staged_tiles(const Product& p, const Target& target) {
  ContractionParams params = lane_grid(target);
  // Rows whose k is contiguous are staged in vectors along k; others in vectors of rows.
  params.vec_m = p.k_inner % 4 == 0 ? 1 : 4;
  params.vec_n = 4;
  params.k_step = 16;
  params.stages = 2;
  std::vector<Candidate> found;
  for (const TileRate& rate : tile_rates(target.tile_rates)) {
    params.waves_m = rate.waves_m;
    params.waves_n = rate.waves_n;
    params.reg_m = rate.reg_m;
    params.reg_n = rate.reg_n;
    params.split_k = 1;
    params.split_k = parts_of_k(params, p, target.compute_units, kPartOfTileMin);
    params.lane_fold = lane_fold_of(params, target);
    params.last_adds = 0;
    found.push_back({params, staged_price(params, rate.resident, rate.share, p, target)});
    if (params.split_k == 1 || !facts_of(target).joins_parts) continue;
    params.last_adds = 1;
    found.push_back({params, staged_price(params, rate.resident, rate.share, p, target)});
  }
  return found;
}

/// The same by matrix units.
double unit_price(const ContractionParams& params, const UnitTile& tile, const Product& p,
                  const Target& target) {
  const int64_t units = std::max<int64_t>(1, target.compute_units);
  const int64_t tiles = (workgroups(params, p) * params.split_k + units - 1) / units;
  const int64_t slabs = (p.k / params.split_k + params.k_step - 1) / params.k_step;
  const double slab_cost = p.takes_tf32 ? kWideSlabCost : 1;
  const auto round_ns = [&](int64_t count) {
    const auto q = static_cast<double>(count), n = static_cast<double>(slabs) * slab_cost;
    const double alone = n * tile.slab_ns + tile.end_ns;
    return count == 0 ? 0 : std::max(alone, q * (n * tile.busy_slab_ns + tile.busy_end_ns));
  };
  const double ns = static_cast<double>(tiles / tile.resident) * round_ns(tile.resident) +
                    round_ns(tiles % tile.resident);
  if (params.split_k == 1) return ns * kLaneMacsPerNs;
  const double moved = 2.0 * sizeof(float) * params.split_k * static_cast<double>(p.m * p.n);
  return (ns + moved / kPartsBytesPerNs) * kLaneMacsPerNs + kAddingParts;
}

/// By matrix units, where they multiply what the operands are stored as.
std::vector<Candidate> tiles_of_units(const Product& p, const Target& target) {
  std::vector<Candidate> found;
  const TargetFacts facts = facts_of(target);
  for (const MatrixShape& shape : facts.matrix_shapes) {
    if (shape.a != p.a || shape.b != p.b || shape.sum != DType::f32) continue;
    if (shape.tf32 != p.takes_tf32) continue;
    ContractionParams params;
    params.unit_m = shape.m;
    params.unit_n = shape.n;
    params.unit_k = shape.k;
    params.unit_waves = shape.waves;
    params.vec_n =
        facts.knows_sums && shape.n >= kUnitColumnsWide ? kUnitVectorWide : kUnitVectorNarrow;
    for (const UnitTile& tile : unit_tiles(target.tile_rates)) {
      if (tile.unit_m != shape.m || tile.unit_n != shape.n) continue;
      params.waves_m = tile.waves_m;
      params.waves_n = tile.waves_n;
      params.reg_m = tile.reg_m;
      params.reg_n = tile.reg_n;
      params.k_step = tile.k_step;
      params.stages = tile.stages;
      params.split_k = 1;
      found.push_back({params, unit_price(params, tile, p, target)});
      params.split_k = parts_of_k(params, p, target.compute_units, kPartOfTileMin);
      if (params.split_k == 1) continue;
      found.push_back({params, unit_price(params, tile, p, target)});
    }
  }
  return found;
}

/// The most k that may be multiplied at once: by matrix units, by dot products, or one.
uint32_t k_dot_of(const Schedule& schedule, const Node& node, const Target& target) {
  const uint32_t lanes = target.wave_lanes;
  const auto may = [&](uint32_t k_dot) {
    const ContractionParams params = {.lane_n = lanes, .reg_m = lanes, .reg_n = 1, .k_dot = k_dot};
    return is_legal(schedule, node, params, target).has_value();
  };
  for (const MatrixShape& shape : facts_of(target).matrix_shapes) {
    if (shape.k > ContractionParams::kDotBytes && may(shape.k)) return shape.k;
  }
  for (const uint32_t k_dot : {ContractionParams::kDotBytes, kPairOfHalves}) {
    if (may(k_dot)) return k_dot;
  }
  return 1;
}

/// One wave, a row and a column a lane: what remains where no tile above is legal.
std::vector<Candidate> smallest_tile(const Target& target) { return {{lane_grid(target), 0}}; }

std::vector<Candidate> tiles_of(const Product& p, const Target& target) {
  if (p.k_dot > ContractionParams::kDotBytes) return fragment_tiles(p, target);
  if (target.uniform_loads_broadcast) return broadcast_tiles(p, target);
  if (!target.local_memory_is_fast) return vector_tiles(p, target);
  if (p.m < kFew && p.n >= target.wave_lanes && p.k >= kFew) return few_rows(p, target);
  // Where rows are few as well, a lane grid of 8 columns leaves fewer lanes idle.
  const bool has_rows = kFew * p.m >= p.n * target.wave_lanes;
  const int64_t lanes_busy =
      kWavesOfFewColumnsMin * target.compute_units * int64_t{target.wave_lanes};
  if (p.n < kFew && has_rows && p.m * p.batch >= lanes_busy) return few_columns(p, target);
  if (p.k < kFew || p.m < kFew || p.n < kFew) return smallest_tile(target);
  std::vector<Candidate> found = staged_tiles(p, target);
  if (p.is_plain) std::ranges::move(tiles_of_units(p, target), std::back_inserter(found));
  return found;
}

}  // namespace

std::vector<Candidate> contraction_candidates(const Schedule& schedule, const Node& node,
                                              const Contraction& contraction, const Target& target,
                                              Splitting splitting) {
  Product product = {
      .m = element_count(contraction.m),
      .n = element_count(contraction.n),
      .k = element_count(contraction.k),
      .k_inner = contraction.k.empty() ? 1 : contraction.k.back(),
      .batch = element_count(contraction.batch),
      .packed = schedule.placements[node.inputs[contraction.b.input]].packed,
      // The kernel that adds binds the epilogue's inputs, the parts and the output.
      .may_split = splitting == Splitting::allowed && contraction.type == ScalarType::f32 &&
                   node.inputs.size() + 2 <= target.buffer_bindings_max,
      .is_plain = contraction.a.is_plain() && contraction.b.is_plain(),
      .takes_tf32 = takes_tf32(schedule, node, contraction),
      .a = schedule.placements[node.inputs[contraction.a.input]].storage,
      .b = schedule.placements[node.inputs[contraction.b.input]].storage,
  };
  if (target.uniform_loads_broadcast) product.k_dot = k_dot_of(schedule, node, target);
  if (product.k_dot == ContractionParams::kDotBytes) {
    const ByteProduct bytes = *byte_product(schedule, node, contraction);
    product.sums_columns = bytes.sums_columns;
    product.sums_rows = bytes.sums_rows;
  }
  std::vector<Candidate> found = tiles_of(product, target);
  std::erase_if(found, [&](const Candidate& candidate) {
    return !is_legal(schedule, node, candidate.params, target);
  });
  return found.empty() ? smallest_tile(target) : found;
}

}  // namespace leat
