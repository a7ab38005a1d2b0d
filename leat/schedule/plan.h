// The plan of a network on one Target, as plain data: which kernels run, in which order, with which
// parameters, and where every tensor lies. schedule.h makes it; lower/ and run/ read it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "leat/base/precision.h"
#include "leat/base/result.h"
#include "leat/tensor/contraction.h"

namespace leat {

// --- Parameters of a kernel
// -------------------------------------------------------------------------------------------
//
// The few integers under which a node is lowered. Whatever they are, the kernel computes the same
// function; they only decide how fast. Which are possible at all says is_legal() in candidates.h.

/// A workgroup computes a tile of (waves_m * lane_m * reg_m) rows by (waves_n * lane_n * reg_n)
/// columns. By matrix units, where unit_m is not 0, a wave has reg_m x reg_n fragments of sums
/// instead, and there is no grid of lanes.
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
  uint32_t k_step = 4;   // k handled by one round of the inner loop, unrolled
  uint32_t stages = 0;   // buffers of local memory that tiles pass through: 0, 1 or 2; units: 2..8
  uint32_t split_k = 1;  // parts of the innermost k axis computed apart and then added
  uint32_t last_adds = 0;  // 1: by the workgroup that comes last, else by another kernel
  uint32_t group_m = 64;   // row tiles that run before the next column tile is taken (cache reuse)
  uint32_t k_dot = 1;      // k that lie side by side and are multiplied at once, see below
  uint32_t unit_m = 0;     // one product of the target's matrix units; 0: not by them
  uint32_t unit_n = 0;
  uint32_t unit_k = 0;
  uint32_t unit_waves = 1;  // waves that share a product, one behind the other along m

  bool by_units() const { return unit_m != 0; }
  /// Whether a product of so many k is one of fragments, whose operands come from where they lie,
  /// of lane_n columns and as many rows, rather than one dot product a lane.
  bool by_fragments() const { return k_dot > kDotBytes; }
  /// Whether it is of four products of bytes (byte_product.h).
  bool by_bytes() const { return k_dot == kDotBytes; }
  static constexpr uint32_t kDotBytes = 4;
  uint32_t tile_m() const {
    return by_units() ? waves_m / unit_waves * reg_m * unit_m : waves_m * reg_m * lane_m;
  }
  uint32_t tile_n() const { return waves_n * reg_n * (by_units() ? unit_n : lane_n); }
  bool operator==(const ContractionParams&) const = default;
};

struct MapReduceParams {
  uint32_t waves = 1;         // waves of the workgroup
  uint32_t per_lane = 1;      // outputs of one lane; of a shared reduction, neighbours at once
  uint32_t lanes_reduce = 0;  // 1: lanes share one output's reduction instead of owning outputs
  uint32_t split = 1;         // parts of the reduction computed apart and then reduced themselves
  uint32_t unroll = 1;        // loads on their way at once: rounds of the innermost reduce axis
  bool operator==(const MapReduceParams&) const = default;
};

struct ProgramParams {
  uint32_t lanes_row = 0;  // 1: the lanes of a wave share a row instead of owning rows
  bool operator==(const ProgramParams&) const = default;
};

/// As what a node is lowered: as a product of matrices, which find_contraction must find in it, as
/// the loops that it is, or as its program.
using KernelParams = std::variant<ContractionParams, MapReduceParams, ProgramParams>;

/// "lanes 1x8 fold 1 waves 1x1 regs 6x2 vec 1x1 k 4 stages 0 split 1 group 64": every field, in an
/// order that parse_contraction_params reads back; by dot products "k_dot 2" behind them, by matrix
/// units "unit 16x8 unit_k 16 unit_waves 1".
std::string to_string(const ContractionParams& params);
/// "waves 1 per_lane 1 lanes_reduce 0 split 1 unroll 8".
std::string to_string(const MapReduceParams& params);
/// "lanes_row 1".
std::string to_string(const ProgramParams& params);
std::string to_string(const KernelParams& params);
/// Errors: invalid_argument, when the text is not one that to_string gives.
Result<ContractionParams> parse_contraction_params(std::string_view text);
Result<MapReduceParams> parse_map_reduce_params(std::string_view text);
Result<ProgramParams> parse_program_params(std::string_view text);

// --- Memory
// -------------------------------------------------------------------------------------------

/// Who owns the bytes of a tensor.
enum class Space : uint8_t {
  none,         // never in memory: fused away, or a constant only folded
  weights,      // one arena, written once at load
  activations,  // one arena, reused over the run
  external,     // graph inputs and outputs: a shared buffer each, row-major
  state,        // one arena, zero at load; a run finds there what the run before left
};

/// Where a tensor lies and in which order.
struct Placement {
  Space space = Space::none;
  DType storage = DType::f32;     // of an element in memory, see storage_on
  std::vector<int64_t> strides;   // elements, per logical dimension
  int64_t element_count = 0;      // elements to allocate (packed weights are padded)
  size_t offset_bytes = 0;        // in its arena, a multiple of kPlacementAlignment
  TensorId alias_of = kNoTensor;  // shares the bytes of this tensor (a reshape without a copy)
  bool packed = false;            // b operand of a contraction, in pack_b's order
  /// A type of less than 8 bits: storage is i32, and each word has as many elements as fit, the
  /// first in its lowest bits. f32: the elements lie one by one.
  DType words_of = DType::f32;

  bool is_in_words() const { return bits_of(words_of) < 8; }
  size_t size_bytes() const { return static_cast<size_t>(element_count * size_bytes_of(storage)); }
};
inline constexpr size_t kPlacementAlignment = 256;

/// Whether stored elements are the host's bytes; a bool is a byte, 0 or 1, and so are codes.
inline bool lies_as_it_is(DType dtype, DType storage) {
  const bool is_byte = storage == DType::u8 || storage == DType::i8;
  return dtype == storage || (is_byte && size_bytes_of(dtype) == 1);
}

struct MemoryPlan {
  size_t weights_bytes = 0;
  size_t activations_bytes = 0;  // planned arena
  size_t state_bytes = 0;
  size_t lower_bound_bytes = 0;  // largest sum of live activations over all steps
};

// --- The plan
// -------------------------------------------------------------------------------------------

struct Step {
  uint32_t node = 0;  // in Schedule::graph.nodes
  KernelParams params;
  /// Tensors that only this step's kernel reads and writes, which it takes behind the node's: where
  /// k is split, the parts' sums and how many workgroups have come (split_k.h).
  std::vector<TensorId> scratch;
};

/// Products of matrices in f32 that the graph has, and how many of them are rounded to what the
/// user allows.
struct ProductCounts {
  uint32_t all = 0;
  uint32_t rounded = 0;
};

struct Schedule {
  Graph graph;                        // after fusion and splitting
  std::vector<Step> steps;            // in order of execution
  std::vector<Placement> placements;  // by tensor id
  MemoryPlan memory;
  bool f64_as_f32 = false;               // the target has no f64, which the graph asks for
  Precision precision = Precision::f32;  // asked for
  ProductCounts products;
};

/// The tensor whose bytes `tensor` has, itself if it is no alias.
TensorId root_of(const Schedule& schedule, TensorId tensor);

/// Elements of the packed b operand: batch * column tiles * k * tile_n, padded with zeros.
int64_t packed_element_count(const Contraction& contraction, const ContractionParams& params);

/// Bytes behind each row in local memory, and elements behind each row of sums.
inline constexpr uint32_t kUnitRowPadBytes = 16;
inline constexpr uint32_t kUnitPatchPad = 8;
/// Where several waves share a product: rows of 128 bytes, swizzled, eight of which repeat.
inline constexpr uint32_t kUnitPanelBytes = 128;
inline constexpr uint32_t kUnitTileAlign = 8 * kUnitPanelBytes;
/// Local memory of a workgroup that multiplies by matrix units: the stages of both operands, whose
/// rows are padded or swizzled, and with `patches` those through which the sums come back.
uint64_t units_local_bytes(const ContractionParams& params, int64_t element_bytes, bool patches);
/// Fragments side by side whose sums come back at once: as many as divide reg_n and, with the
/// stages, fit into what drivers mostly offer.
uint32_t unit_patch_fragments(const ContractionParams& params, int64_t element_bytes);
/// maxComputeSharedMemorySize of NVIDIA's Vulkan driver (580.159.04, H200) and others.
inline constexpr uint64_t kUnitLocalBytesWanted = 49152;

/// What is decided so far: one line a node or step with its extents, parameters and where its
/// tensors lie; then the memory plan.
std::string to_string(const Schedule& schedule);

}  // namespace leat
