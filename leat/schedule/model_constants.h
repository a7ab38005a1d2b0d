// Constants of speed that the analytic model multiplies with what a Target tells of its chip. They
// stand here and nowhere else, each with where it comes from; most are estimates, or fitted by hand
// to one chip, and the place that calibration will fill.
#pragma once

#include <cstdint>
#include <span>

#include "leat/base/target.h"

namespace leat {

// --- Contractions
// ---------------------------------------------------------------------------------------------

/// A tile with staging that may be chosen. `resident` workgroups share a compute unit, by their
/// registers; `share` is the part of the full speed that they then reach together.
struct TileRate {
  uint32_t waves_m, waves_n, reg_m, reg_n;
  uint32_t resident;
  double share;
};

/// Where a driver compiles from SPIR-V. Fitted by hand to trial runs on an H200, 2026-11-22 and
/// 2026-11-26, whose samples were not kept; what the choices reach is in
/// bench/results/conv2d-h200-vulkan-*.json and conv2d-h200-opengl-*.json.
inline constexpr TileRate kDriverTiles[] = {
    {4, 2, 8, 8, 1, 1.0},  {4, 1, 8, 8, 2, 1.0}, {4, 2, 8, 4, 3, 0.88}, {2, 1, 8, 8, 4, 0.9},
    {4, 1, 4, 4, 6, 0.65}, {2, 1, 4, 4, 8, 0.5}, {1, 1, 4, 4, 8, 0.52},
};
/// By the registers that ptxas 13.0 gives. Fitted by hand to times of kernels on an H200,
/// 2026-11-26, of which no file was kept; what the choices reach is in
/// bench/results/conv2d-h200-direct-f32.json and conv2d-h200-cuda-f32.json.
inline constexpr TileRate kPtxasTiles[] = {
    {2, 2, 8, 8, 3, 1.0},  {4, 1, 8, 8, 3, 0.985}, {4, 2, 8, 8, 1, 0.96}, {2, 1, 8, 8, 5, 0.94},
    {4, 2, 8, 4, 2, 0.92}, {2, 2, 8, 4, 4, 0.91},  {2, 1, 8, 4, 8, 0.8},  {2, 2, 4, 4, 7, 0.9},
    {4, 1, 4, 4, 7, 0.8},  {2, 1, 4, 4, 14, 0.7},  {1, 1, 4, 4, 16, 0.6},
};

/// Tiles by matrix units, in fragments a wave. A round of q workgroups that share a compute unit
/// takes as long as one alone, slabs * slab_ns + end_ns, or as q in turns, q * (slabs *
/// busy_slab_ns
/// + busy_end_ns), whichever is longer.
struct UnitTile {
  uint32_t unit_m, unit_n;
  uint32_t waves_m, waves_n, reg_m, reg_n, k_step, stages;
  uint32_t resident;  // workgroups that share a compute unit
  double slab_ns, end_ns, busy_slab_ns, busy_end_ns;
};
/// Fitted to the fp16 convolutions of the suite on an H200 (direct, 2026-11-30,
/// bench/results/unit-tiles-h200.json), with 4 to 14 % of error (root mean square) each.
/// Those of 6 stages by hand, for few workgroups at batch 1 (unit-tiles-h200-batch1.json).
inline constexpr UnitTile kPtxasUnitTiles[] = {
    {64, 256, 12, 1, 1, 1, 64, 4, 1, 1035, 6050, 1035, 6050},
    {64, 256, 8, 1, 1, 1, 64, 4, 1, 627, 4080, 396, 1360},
    {64, 128, 8, 1, 1, 1, 64, 4, 1, 321, 2766, 452, 2144},
    {64, 128, 4, 1, 1, 1, 64, 4, 2, 341, 1259, 257, 1013},
    {64, 64, 8, 1, 1, 1, 64, 4, 2, 355, 1232, 299, 919},
    {64, 64, 8, 1, 1, 1, 64, 3, 2, 690, 1106, 180, 718},
    {64, 64, 4, 1, 1, 1, 64, 4, 3, 240, 444, 169, 414},
    {64, 64, 4, 1, 1, 1, 64, 6, 2, 231, 150, 180, 414},
    {64, 64, 4, 1, 1, 1, 128, 6, 1, 325, 600, 325, 600},
    {16, 8, 2, 2, 4, 8, 32, 3, 2, 700, 2400, 560, 1500},
    {16, 8, 4, 1, 2, 8, 32, 3, 3, 356, 999, 291, 497},
    {16, 8, 2, 2, 4, 4, 32, 3, 3, 357, 1097, 287, 538},
    {16, 8, 4, 1, 1, 8, 32, 3, 4, 239, 200, 207, 311},
};
/// Where a driver compiles from SPIR-V: by hand from four convolutions of the suite's kind on an
/// H200 (Vulkan, 580.159.04, 2026-11-30), bench/results/unit-tiles-h200-vulkan.json.
inline constexpr UnitTile kDriverUnitTiles[] = {
    {16, 16, 2, 2, 4, 4, 32, 2, 2, 980, 2000, 590, 1200},
    {16, 16, 4, 1, 2, 4, 32, 2, 3, 700, 1300, 440, 800},
    {16, 16, 2, 2, 2, 2, 32, 2, 4, 500, 650, 220, 420},
};
/// A slab of f32 beside one of 16 bits: twice the bytes, and units of TF32 have half the rate of
/// those of f16 (NVIDIA H100 Tensor Core GPU Architecture, table 2: 494.7 of 989.4 TFLOPS).
/// Estimate.
inline constexpr double kWideSlabCost = 2;
/// Results of 16 bits leave in vectors of so many columns: of a wide tile the longer ones cost 6 %
/// (epic_mid), of narrow ones they gain 2 % (r50_c2_b64), in the same run as the fit.
inline constexpr uint32_t kUnitVectorWide = 2, kUnitVectorNarrow = 4;
inline constexpr uint32_t kUnitColumnsWide = 256;
/// Multiply-adds of the lanes of a compute unit of that chip in a nanosecond: 128 at 1.98 GHz.
inline constexpr double kLaneMacsPerNs = 253;
/// What parts of k are written and read again with, in bytes a nanosecond: mostly in the cache.
inline constexpr double kPartsBytesPerNs = 6000;

inline std::span<const TileRate> tile_rates(TileRates rates) {
  switch (rates) {
    case TileRates::driver: return kDriverTiles;
    case TileRates::ptxas: return kPtxasTiles;
  }
  return {};
}

inline std::span<const UnitTile> unit_tiles(TileRates rates) {
  switch (rates) {
    case TileRates::driver: return kDriverUnitTiles;
    case TileRates::ptxas: return kPtxasUnitTiles;
  }
  return {};
}

/// Loading the vectors of B beside a row's multiply-adds, in rows. Estimate.
inline constexpr double kVectorLoadCost = 0.35;
/// What a row of a processor's register tile costs besides its multiply-adds, in those of a vector:
/// at each step of k, and beside all of them. Estimates, by which tiles of 6x4 are a little better
/// than 14x2 unless rows or columns are left over, as on a Zen 4 in f32 by two threads
/// (2026-11-30).
inline constexpr double kBroadcastCost = 0.15;
inline constexpr double kTileRowCost = 40;
/// Waves that reach a compute unit's full speed with staged tiles, and how the speed of fewer
/// falls. Fitted with the tiles above.
inline constexpr double kFullSpeedWaves = 8;
inline constexpr double kWavesExponent = 0.65;
/// Another kernel that adds the parts of k, in multiply-adds of one compute unit: 3 us.
inline constexpr double kAddingParts = 7.5e5;
/// What it costs where the workgroup that comes last adds them, after all others have written
/// theirs: measured on an H200 with CUDA graphs (2026-11-29, bench/results/node-h200-pairs.json),
/// ResNet-50 takes 13 % longer so, 2.5 us for each of its 35 split products, as another kernel's
/// start is hidden there and a fence and a counter are not.
inline constexpr double kJoiningParts = 1.4e6;
/// The least that a part of k is worth: of staged tiles, and of those whose rows are few.
inline constexpr int64_t kPartOfTileMin = 256;
inline constexpr int64_t kPartOfRowsMin = 128;
/// Waves a compute unit that keep loads on their way: where rows are few (each wave has k_step
/// vectors on its way), where columns are few, and the fewest that few columns are worth it for.
inline constexpr int64_t kWavesOfFewRows = 8;
inline constexpr int64_t kWavesOfFewColumns = 16;
inline constexpr int64_t kWavesOfFewColumnsMin = 4;
/// Rows or columns below this are few.
inline constexpr int64_t kFew = 8;

// --- Reductions
// -------------------------------------------------------------------------------------------------

/// Waves that keep a compute unit's share of the memory busy: half of what an NVIDIA chip holds
/// (64; CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
inline constexpr int64_t kWavesOfReduction = 32;
/// A part has no fewer elements than this: each wave has its own start and end. Estimate.
inline constexpr int64_t kPartOfReductionMin = 64;
/// What a second kernel costs, in rounds: about 3 us.
inline constexpr double kLaunchRounds = 64;
/// A wave that reads neighbours takes a sector of 32 bytes for 8 floats, one that reads afar takes
/// it for one.
inline constexpr int64_t kFloatsPerSector = 8;
/// Loads that a lane has on their way, where a loop has so many rounds. Estimate.
inline constexpr uint32_t kReductionUnroll = 8;
/// Neighbours that a lane takes at once where lanes share a reduction: a vector of 16 bytes.
inline constexpr uint32_t kStretch = 4;
/// The same of a core, which needs them less.
inline constexpr uint32_t kCoreUnroll = 4;
/// Lanes share a reduction whose innermost axis gives each so many rounds. Estimate.
inline constexpr int64_t kSharedRoundsMin = 4;

}  // namespace leat
