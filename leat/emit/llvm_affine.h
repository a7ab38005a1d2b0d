// Proves that a lane index is "uniform + lane * stride", so that the emitter for CPUs can use a
// broadcast or a vector load where the program only says "load at this index".
// It also takes uniform indices apart into loop counters, group ids and constants: addresses built
// from these parts, outermost loop first, hoist and fold without help from a general reassociation.
// The parts are summed in 64 bits, so an index that wraps around 32 bits would be another: lowered
// networks have none, and in kernels of others such an index stands behind two conversions, which
// are not taken apart (ir/access_ranges.h, lower/bound_accesses.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "leat/ir/ir.h"

namespace leat {

/// One uniform value times a constant.
struct AffineTerm {
  ir::ValueId leaf = ir::kNone;
  int64_t factor = 0;

  bool operator==(const AffineTerm&) const = default;
};

/// constant + sum of terms + lane * lane_stride. Terms stand by loop depth, outermost first.
struct AffineIndex {
  std::vector<AffineTerm> terms;
  int64_t constant = 0;
  int64_t lane_stride = 0;

  bool operator==(const AffineIndex&) const = default;
};

/// First and last value of a loop's counter.
struct CounterRange {
  int64_t first = 0;
  int64_t last = 0;
};

/// The affine indices of one program. Keeps a reference to the program.
class AffineIndices {
 public:
  /// `lane_is_thread`: values that differ by lane are terms like all others (lane_stride is 0), so
  /// that every index splits.
  explicit AffineIndices(const ir::Program& program, bool lane_is_thread = false);

  /// Splits an i32 index of width 1. A uniform index always splits; nullopt when the part that
  /// differs by lane is not a constant times the lane.
  std::optional<AffineIndex> split(ir::ValueId index);

  /// How many loops a value depends on: it can be computed outside of all deeper ones.
  uint32_t depth_of(ir::ValueId value) const { return depths_[value]; }
  /// The values that the counter of a loop with constant bounds takes; nullopt for other values.
  std::optional<CounterRange> counter_range_of(ir::ValueId value) const { return ranges_[value]; }

 private:
  void visit(ir::BlockId block, uint32_t depth);
  void visit_loop(const ir::Instruction& loop, uint32_t depth);
  std::optional<AffineIndex> compute(ir::ValueId value);
  std::optional<AffineIndex> sum(ir::ValueId a, ir::ValueId b, int64_t sign);
  std::optional<AffineIndex> scaled(ir::ValueId a, int64_t factor);
  std::optional<AffineIndex> quotient(ir::ValueId a, int64_t divisor);
  std::optional<AffineIndex> remainder(ir::ValueId a, int64_t divisor);
  std::optional<int64_t> lane_quotient(const AffineIndex& index, int64_t divisor) const;
  std::optional<int64_t> constant_of(ir::ValueId value) const;
  AffineIndex leaf(ir::ValueId value) const { return {{{value, 1}}, 0, 0}; }

  const ir::Program& program_;
  bool lane_is_thread_;
  std::vector<ir::InstructionId> definitions_;  // kNone for the arguments of loops
  std::vector<uint32_t> depths_;
  std::vector<bool> never_negative_;  // leaves known to be at least 0
  std::vector<std::optional<CounterRange>> ranges_;
  std::vector<std::optional<AffineIndex>> known_;  // filled on demand, see looked_at_
  std::vector<bool> looked_at_;
};

}  // namespace leat
