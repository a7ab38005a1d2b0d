// expand_reductions: reductions over a wave through local memory, for targets whose lanes cannot
// reach each other's registers (no wave_reductions: SPIR-V and WGSL without subgroups). After it,
// such a program has no reduce_add, reduce_min or reduce_max, and at most two local memories more.
// It stands behind all passes that compute, so that they see a reduction as one instruction.
//
// Each step, lane i takes lane i ^ n in, n = half of the wave, a quarter, ..: as the operations
// commute, every lane ends with the bits of the halving tree. In the last step all lanes read lanes
// 0 and 1, which makes the result uniform. Steps alternate between the halves of the scratch
// memory, so that one barrier a step is enough; the first barrier keeps off the memory's last use.
// So all waves of a workgroup must reach a reduction, as they must a barrier.
#include <algorithm>
#include <array>

#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

bool is_reduction(Opcode op) {
  return op == Opcode::reduce_add || op == Opcode::reduce_min || op == Opcode::reduce_max;
}

ValueId joined(Builder& b, Opcode reduction, ValueId a, ValueId c) {
  const bool is_float = b.type(a).scalar == ir::Scalar::f32;
  if (reduction == Opcode::reduce_add) return b.add(a, c);
  if (reduction == Opcode::reduce_min) {
    return b.binary(is_float ? Opcode::min_f : Opcode::min_i, a, c);
  }
  return b.binary(is_float ? Opcode::max_f : Opcode::max_i, a, c);
}

class ReductionExpander {
 public:
  explicit ReductionExpander(const ir::Program& program)
      : lanes_(program.wave_lanes), all_lanes_(program.wave_lanes * program.waves_per_workgroup) {}

  ValueId expand(Builder& b, Opcode reduction, ValueId value) {
    const uint32_t scratch = scratch_of(b, b.type(value).scalar);
    const ValueId first = b.mul(b.wave_id(), b.i32(lanes_));
    const ValueId mine = b.add(first, b.lane_id());
    int64_t half = 0;
    const auto publish = [&] {
      b.store_local(scratch, b.add(mine, b.i32(half)), value);
      b.barrier();
    };
    b.barrier();
    for (uint32_t n = lanes_ / 2; n > 1; n /= 2) {
      publish();
      const ValueId other = b.binary(Opcode::xor_i, mine, b.i32(n));
      value = joined(b, reduction, value, b.load_local(scratch, b.add(other, b.i32(half))));
      half = all_lanes_ - half;
    }
    publish();
    const ValueId at = b.add(first, b.i32(half));
    const ValueId result = b.load_local(scratch, at);
    if (lanes_ == 1) return result;
    return joined(b, reduction, result, b.load_local(scratch, b.add(at, b.i32(1))));
  }

 private:
  uint32_t scratch_of(Builder& b, ir::Scalar scalar) {
    uint32_t& scratch = scratch_[scalar == ir::Scalar::f32 ? 0 : 1];
    if (scratch == ir::kNone) scratch = b.local("scratch", scalar, 1, 2 * all_lanes_);
    return scratch;
  }

  uint32_t lanes_;
  uint32_t all_lanes_;
  std::array<uint32_t, 2> scratch_ = {ir::kNone, ir::kNone};  // for f32 and i32
};

}  // namespace

PassResult expand_reductions(const ir::Program& program, const Target& target) {
  const auto reduces = [](const ir::Instruction& instruction) {
    return is_reduction(instruction.op);
  };
  const bool has_work = std::ranges::any_of(program.instructions, reduces);
  if (target.wave_reductions || !has_work) return std::nullopt;
  ReductionExpander expander(program);
  return ir::rewrite(
      program,
      [&](Builder& b, const ir::Instruction& instruction,
          std::span<const ValueId> operands) -> std::optional<ValueId> {
        // A uniform operand is the builder's to fold.
        const bool expands = is_reduction(instruction.op) && b.type(operands[0]).varying;
        return expands ? std::optional(expander.expand(b, instruction.op, operands[0]))
                       : std::nullopt;
      });
}

}  // namespace leat
