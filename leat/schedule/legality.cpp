// What lowering and the target take; see candidates.h.
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/target_facts.h"
#include "leat/schedule/byte_product.h"
#include "leat/schedule/candidates.h"
#include "leat/schedule/layout.h"
#include "leat/schedule/model_constants.h"
#include "leat/schedule/reduction_strides.h"
#include "leat/schedule/split_k.h"

namespace leat {

namespace {

/// Values that one loop carries: Instruction::operand_count is a byte, and three operands are the
/// loop's own (leat/ir/ir.h).
constexpr uint32_t kAccumulatorsMax = 252;
constexpr uint32_t kStagesMax = 2;
constexpr uint32_t kUnitStagesMax = 8;
constexpr uint32_t kLocalElementBytes = 4;
constexpr uint32_t kFragmentRowAlign = 16;

Error illegal(const Node& node, std::string_view field, uint64_t value, std::string_view rule) {
  return Error(ErrorKind::invalid_argument, fmt::format("Parameter {} ({}) of kernel \"{}\" {}.",
                                                        field, value, node.name, rule));
}

Result<void> check_divides(const Node& node, std::string_view field, uint32_t value,
                           std::string_view of, int64_t whole) {
  if (value > 0 && whole % value == 0) return {};
  return illegal(node, field, value, fmt::format("does not divide {} ({})", of, whole));
}

Result<void> check_at_most(const Node& node, std::string_view field, uint64_t value,
                           std::string_view of, uint64_t limit) {
  if (value <= limit) return {};
  return illegal(node, field, value, fmt::format("is larger than {} ({})", of, limit));
}

struct NamedValue {
  std::string_view field;
  uint32_t value;
};

Result<void> check_positive(const Node& node, std::initializer_list<NamedValue> values) {
  for (const auto& [field, value] : values) {
    if (value == 0) return illegal(node, field, value, "is not positive");
  }
  return {};
}

Result<void> check_width(const Node& node, std::string_view field, uint32_t value) {
  if (value == 1 || value == 2 || value == 4) return {};
  return illegal(node, field, value, "is not 1, 2 or 4");
}

Result<void> check_tile(const Node& node, const ContractionParams& p, const Target& target) {
  TRY(check_positive(node, {{"waves_m", p.waves_m},
                            {"waves_n", p.waves_n},
                            {"reg_m", p.reg_m},
                            {"reg_n", p.reg_n},
                            {"k", p.k_step},
                            {"group", p.group_m},
                            {"split", p.split_k}}));
  if (!p.by_units() && uint64_t{p.lane_m} * p.lane_n != target.wave_lanes) {
    return illegal(node, "lanes", uint64_t{p.lane_m} * p.lane_n,
                   fmt::format("is not the wave's ({})", target.wave_lanes));
  }
  const uint64_t lane_columns = p.by_units() ? uint64_t{p.reg_n} * p.unit_n : p.reg_n;
  TRY(check_divides(node, "fold", p.lane_fold, "lane_m", p.lane_m));
  TRY(check_divides(node, "vec_m", p.vec_m, "reg_m", p.reg_m));
  TRY(check_divides(node, "vec_n", p.vec_n, "reg_n", static_cast<int64_t>(lane_columns)));
  TRY(check_width(node, "vec_m", p.vec_m));
  TRY(check_width(node, "vec_n", p.vec_n));
  TRY(check_at_most(node, "regs", uint64_t{p.reg_m} * p.reg_n, "what a loop carries",
                    kAccumulatorsMax));
  return check_at_most(node, "waves", uint64_t{p.waves_m} * p.waves_n * target.wave_lanes,
                       "the lanes of a workgroup", target.lanes_per_workgroup_max);
}

Result<void> check_staging(const Node& node, const ContractionParams& p, const Target& target) {
  TRY(check_at_most(node, "stages", p.stages, "the limit", kStagesMax));
  const uint64_t elements = uint64_t{p.tile_m() + p.tile_n()} * p.k_step * p.stages;
  return check_at_most(node, "stages", elements * kLocalElementBytes, "the local memory",
                       target.local_memory_bytes_max);
}

/// The target's matrix units must multiply what the operands are stored as, and the tiles fit.
Result<void> check_units(const Schedule& schedule, const Node& node, const ContractionParams& p,
                         const Target& target) {
  const auto contraction = find_contraction(schedule.graph, node);
  if (!contraction || contraction->type != ScalarType::f32) {
    return illegal(node, "unit", p.unit_m, "takes sums of f32");
  }
  if (element_count(contraction->k) == 0) {
    return illegal(node, "unit", p.unit_m, "takes a k of one or more");
  }
  const auto storage = [&](const ContractionOperand& operand) {
    return schedule.placements[node.inputs[operand.input]].storage;
  };
  const MatrixShape shape = {.a = storage(contraction->a),
                             .b = storage(contraction->b),
                             .tf32 = takes_tf32(schedule, node, *contraction),
                             .m = static_cast<uint16_t>(p.unit_m),
                             .n = static_cast<uint16_t>(p.unit_n),
                             .k = static_cast<uint16_t>(p.unit_k),
                             .waves = static_cast<uint8_t>(p.unit_waves)};
  const TargetFacts facts = facts_of(target);
  if (std::ranges::find(facts.matrix_shapes, shape) == facts.matrix_shapes.end()) {
    return illegal(node, "unit", p.unit_m,
                   fmt::format("x{}x{} of {} and {} is no product of the target's matrix units",
                               p.unit_n, p.unit_k, name_of(shape.a), name_of(shape.b)));
  }
  if (!contraction->a.is_plain() || !contraction->b.is_plain()) {
    return illegal(node, "unit", p.unit_m, "takes factors as they are stored");
  }
  TRY(check_divides(node, "unit_k", p.unit_k, "k", p.k_step));
  TRY(check_divides(node, "unit_waves", p.unit_waves, "waves_m", p.waves_m));
  const int64_t element_bytes = size_bytes_of(shape.a);
  if (p.unit_waves > 1) {
    const auto panel = static_cast<uint32_t>(kUnitPanelBytes / element_bytes);
    TRY(check_divides(node, "panel", panel, "k", p.k_step));
    TRY(check_divides(node, "panel", panel, "the rows of a tile", p.tile_m()));
    TRY(check_divides(node, "panel", panel, "the columns of a tile", p.tile_n()));
  }
  const uint32_t stages_min = p.unit_waves > 1 ? 3 : 2;
  if (p.stages < stages_min) {
    return illegal(node, "stages", p.stages, fmt::format("is not {} or more", stages_min));
  }
  TRY(check_at_most(node, "stages", p.stages, "the limit", kUnitStagesMax));
  if (p.last_adds != 0) {
    return illegal(node, "last_adds", p.last_adds, "is not 0, the sums lie in fragments");
  }
  return check_at_most(node, "stages", units_local_bytes(p, element_bytes, !facts.knows_sums),
                       "the local memory", target.local_memory_bytes_max);
}

/// Rows of A are made of whole fragments, each an aligned vector.
Result<void> check_rows(const Node& node, const Contraction& contraction, const Placement& a,
                        const ContractionParams& p) {
  const size_t last = contraction.axes.size() - 1;
  const Affine address = address_of(a.strides, contraction.a.index, last + 1);
  const int64_t aligned = kFragmentRowAlign / size_bytes_of(a.storage);
  bool in_rows = address.coefficients[last] == 1 && address.constant % aligned == 0 &&
                 contraction.k.back() % p.k_dot == 0;
  for (size_t axis = 0; axis < last; ++axis) {
    in_rows = in_rows && address.coefficients[axis] % aligned == 0;
  }
  if (in_rows) return {};
  return illegal(node, "k_dot", p.k_dot, "takes rows of A in groups of so many k");
}

/// Whether the factors are what the target's dot products of so many k take.
bool has_dot_of(const Schedule& schedule, const Node& node, const Contraction& contraction,
                const ContractionParams& p, const Target& target) {
  const TargetFacts facts = facts_of(target);
  if (p.by_bytes()) {
    return facts.has_dot_us && target.uniform_loads_broadcast &&
           byte_product(schedule, node, contraction).has_value();
  }
  const MatrixShape shape = {.a = schedule.placements[node.inputs[contraction.a.input]].storage,
                             .b = schedule.placements[node.inputs[contraction.b.input]].storage,
                             .m = static_cast<uint16_t>(p.lane_n),
                             .n = static_cast<uint16_t>(p.lane_n),
                             .k = static_cast<uint16_t>(p.k_dot)};
  const bool are_halves = shape.a == DType::bf16 && shape.b == DType::bf16 &&
                          contraction.type == ScalarType::f32 && contraction.a.is_plain() &&
                          contraction.b.is_plain();
  if (!p.by_fragments()) return are_halves && p.k_dot == 2 && facts.has_dot_bf16;
  return are_halves && std::ranges::find(facts.matrix_shapes, shape) != facts.matrix_shapes.end();
}

/// The target must have the product, and all its k be inside of A together.
Result<void> check_dot(const Schedule& schedule, const Node& node, const ContractionParams& p,
                       const Target& target) {
  const auto contraction = find_contraction(schedule.graph, node);
  if (!contraction || contraction->k.empty()) {
    return illegal(node, "k_dot", p.k_dot, "takes a product of matrices with some k");
  }
  const TensorId a = node.inputs[contraction->a.input], b = node.inputs[contraction->b.input];
  const Placement &placed_a = schedule.placements[a], &placed_b = schedule.placements[b];
  if (!has_dot_of(schedule, node, *contraction, p, target)) {
    return illegal(node, "k_dot", p.k_dot,
                   fmt::format("of {} and {} is no dot product of the target",
                               name_of(placed_a.storage), name_of(placed_b.storage)));
  }
  if (p.by_units() || p.stages != 0 || p.split_k != 1 || p.lane_m != 1 ||
      element_count(contraction->k) == 0) {
    return illegal(node, "k_dot", p.k_dot, "takes a plain tile of all k, of which there are some");
  }
  const uint64_t sums = uint64_t{p.reg_m} * p.reg_n + p.reg_m + p.reg_n;
  if (p.by_bytes()) TRY(check_at_most(node, "regs", sums, "what a loop carries", kAccumulatorsMax));
  if (p.by_fragments() && (p.reg_m % p.lane_n != 0 || p.vec_n != 1)) {
    return illegal(node, "k_dot", p.k_dot, "takes rows in whole fragments");
  }
  const bool alone = std::ranges::count(node.inputs, a) == 1 &&
                     load_count(node, contraction->a.input) == 1 && placed_b.packed;
  if (!alone) return illegal(node, "k_dot", p.k_dot, "takes packed weights and an A read once");
  const size_t last = contraction->axes.size() - 1;
  for (size_t d = 0; d < contraction->a.index.size(); ++d) {
    const bool moves = contraction->a.index[d].coefficients[last] != 0;
    if (!contraction->a.bounded[d] || !moves) continue;
    return illegal(node, "k_dot", p.k_dot, "takes rows whose innermost k are inside of A together");
  }
  if (!p.by_fragments()) {
    return contraction->k.back() > 1 ? Result<void>()
                                     : illegal(node, "k_dot", p.k_dot, "takes two k or more");
  }
  return check_rows(node, *contraction, placed_a, p);
}

/// Workgroups must be able to tell who comes last, and the parts' sums be an argument.
Result<void> check_joining(const Schedule& schedule, const Node& node, const ContractionParams& p,
                           const Target& target) {
  if (!facts_of(target).has_atomic_add) {
    return illegal(node, "last_adds", p.last_adds,
                   "takes atomic additions, which the target lacks");
  }
  const auto contraction = find_contraction(schedule.graph, node);
  const auto elements = static_cast<uint64_t>(parts_element_count(*contraction, p));
  TRY(check_at_most(node, "last_adds", elements, "the elements of a buffer", kElementsMax));
  return check_at_most(node, "last_adds", elements * sizeof(float), "the bytes of an argument",
                       target.argument_bytes_max);
}

Result<void> check(const Schedule& schedule, const Node& node, const ContractionParams& p,
                   const Target& target) {
  TRY(check_tile(node, p, target));
  TRY(p.by_units() ? check_units(schedule, node, p, target) : check_staging(node, p, target));
  if (p.k_dot != 1) TRY(check_dot(schedule, node, p, target));
  TRY(check_at_most(node, "last_adds", p.last_adds, "the limit", 1));
  const auto contraction = find_contraction(schedule.graph, node);
  if (!contraction) {
    return illegal(node, "regs", uint64_t{p.reg_m} * p.reg_n, "is of a sum of products, not this");
  }
  if (p.split_k == 1) return {};
  if (contraction->type != ScalarType::f32) {
    return illegal(node, "split", p.split_k, "takes sums of f32");
  }
  if (p.last_adds == 1) TRY(check_joining(schedule, node, p, target));
  const Shape& k = node.reduce;
  TRY(check_divides(node, "split", p.split_k, "the innermost k", k.empty() ? 1 : k.back()));
  if (node.results[0].index.empty()) {
    return illegal(node, "split", p.split_k, "splits a single number");
  }
  return check_at_most(node, "split", node.inputs.size() + 2 + p.last_adds,
                       "the buffers of a kernel", target.buffer_bindings_max);
}

Result<void> check(const Schedule& schedule, const Node& node, const MapReduceParams& p,
                   const Target& target) {
  if (node.program) return illegal(node, "unroll", p.unroll, "is of loops, not of a program");
  for (const TensorId input : node.inputs) {
    if (!schedule.placements[input].packed) continue;
    return illegal(node, "unroll", p.unroll, "is of loops, which read no packed weights");
  }
  TRY(check_positive(
      node,
      {{"waves", p.waves}, {"per_lane", p.per_lane}, {"split", p.split}, {"unroll", p.unroll}}));
  TRY(check_at_most(node, "waves", uint64_t{p.waves} * target.wave_lanes,
                    "the lanes of a workgroup", target.lanes_per_workgroup_max));
  TRY(check_at_most(node, "lanes_reduce", p.lanes_reduce, "the limit", 1));
  if (p.lanes_reduce == 1 && p.waves > 1) {
    return illegal(node, "waves", p.waves, "is not 1, and one wave shares a reduction");
  }
  if (p.lanes_reduce == 1 && p.per_lane != 1 && p.per_lane != 2 && p.per_lane != kStretch) {
    return illegal(node, "per_lane", p.per_lane, "is no vector's width: 1, 2 or 4");
  }
  if ((p.lanes_reduce == 1 || p.split > 1) && !is_associative(node)) {
    return illegal(node, p.split > 1 ? "split" : "lanes_reduce", std::max(p.split, 1u),
                   "needs a sum, minimum or maximum of floats");
  }
  if (p.split == 1) return {};
  if (node.results.size() != 1) {
    return illegal(node, "split", p.split, "needs a node of one result");
  }
  const Shape& reduce = node.reduce;
  if (p.split >= element_count(reduce) || !parts_of_axes(reduce, p.split)) {
    return illegal(node, "split", p.split,
                   fmt::format("does not cut the reduction {}", to_string(reduce)));
  }
  return check_at_most(node, "split", node.inputs.size() + 2, "the buffers of a kernel",
                       target.buffer_bindings_max);
}

Result<void> check(const Schedule&, const Node& node, const ProgramParams& p, const Target&) {
  if (!node.program) return illegal(node, "lanes_row", p.lanes_row, "is of a program, not this");
  return check_at_most(node, "lanes_row", p.lanes_row, "the limit", 1);
}

std::vector<Candidate> program_candidates(const Schedule& schedule, const Node& node,
                                          const Target& target) {
  if (node.program->kernel) return {{ProgramParams{}, 0}};
  const int64_t lanes = int64_t{target.wave_lanes} * target.compute_units;
  const int64_t step = schedule.placements[node.inputs[0]].strides[node.program->axis];
  const bool is_few = element_count(node.extents) < lanes;
  const RowSharing sharing = facts_of(node.program->op).sharing;
  const bool shares =
      is_few || sharing == RowSharing::always || (step == 1 && sharing == RowSharing::side_by_side);
  return {{ProgramParams{.lanes_row = shares ? 1u : 0u}, 0}};
}

}  // namespace

bool takes_tf32(const Schedule& schedule, const Node& node, const Contraction& contraction) {
  const auto is_f32 = [&](const ContractionOperand& operand) {
    const TensorId id = node.inputs[operand.input];
    return schedule.graph.tensors[id].dtype == DType::f32 &&
           schedule.placements[id].storage == DType::f32;
  };
  return schedule.precision == Precision::tf32 && is_f32(contraction.a) && is_f32(contraction.b);
}

Result<void> is_legal(const Schedule& schedule, const Node& node, const KernelParams& params,
                      const Target& target) {
  return std::visit([&](const auto& p) { return check(schedule, node, p, target); }, params);
}

std::vector<Candidate> candidates(const Schedule& schedule, const Node& node, const Target& target,
                                  Splitting splitting) {
  if (node.program) return program_candidates(schedule, node, target);
  const auto contraction = find_contraction(schedule.graph, node);
  if (contraction && !takes_rows(schedule, node, *contraction, target) &&
      !is_one_row(schedule, node, *contraction, target)) {
    return contraction_candidates(schedule, node, *contraction, target, splitting);
  }
  return reduction_candidates(schedule, node, target, splitting);
}

}  // namespace leat
