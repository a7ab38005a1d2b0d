// expand_exchanges: reductions over a wave and shuffles through local memory, for targets whose
// lanes cannot reach each other's registers (no has_shuffle: SPIR-V and WGSL without subgroups).
// After it, such a program has no reduce_* and no shuffle*, and at most two local memories more. It
// stands behind all passes that compute, so that they see an exchange as one instruction.
//
// In each step of a reduction, lane i takes lane i ^ n in, n = half of the wave, a quarter, ..: as
// the operations commute, every lane ends with the bits of the halving tree. In the last step all
// lanes read lanes 0 and 1, which makes the result uniform. Steps alternate between the halves of
// the scratch memory, so that one barrier a step is enough; the first barrier keeps off the
// memory's last use. So all waves of a workgroup must reach an exchange, as they must a barrier.
#include <algorithm>
#include <array>

#include "leat/base/check.h"
#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

using ir::Builder;
using ir::Instruction;
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

class ExchangeExpander {
 public:
  explicit ExchangeExpander(const ir::Program& program)
      : lanes_(program.wave_lanes), all_lanes_(program.wave_lanes * program.waves_per_workgroup) {}

  ValueId expand(Builder& b, const Instruction& instruction, std::span<const ValueId> operands) {
    if (is_reduction(instruction.op)) return reduced(b, instruction.op, operands[0]);
    const ValueId from = lane_read(b, instruction, operands);
    const uint32_t scratch = scratch_of(b, b.type(operands[0]).scalar);
    b.barrier();
    const ValueId lane = b.lane_id();
    b.store_local(scratch, b.add(first_lane(b), lane), operands[0]);
    b.barrier();
    return b.load_local(scratch, b.add(first_lane(b), from));
  }

 private:
  /// The wave's first lane, counted in the workgroup.
  ValueId first_lane(Builder& b) const {
    const ValueId lanes = b.i32(lanes_);
    return b.mul(b.wave_id(), lanes);
  }

  /// The lane of the wave whose value a shuffle gives.
  ValueId lane_read(Builder& b, const Instruction& instruction,
                    std::span<const ValueId> operands) const {
    const ValueId lane = b.lane_id(), amount = b.i32(instruction.imm);
    if (instruction.op == Opcode::shuffle) {
      return b.binary(Opcode::and_i, operands[1], b.i32(int64_t{lanes_} - 1));
    }
    if (instruction.op == Opcode::shuffle_xor) return b.binary(Opcode::xor_i, lane, amount);
    if (instruction.op == Opcode::shuffle_up) {
      const ValueId before = b.sub(lane, amount);
      return b.select(b.binary(Opcode::lt_i, lane, amount), lane, before);
    }
    CHECK(instruction.op == Opcode::shuffle_down);
    const ValueId other = b.add(lane, amount);
    return b.select(b.binary(Opcode::lt_i, other, b.i32(lanes_)), other, lane);
  }

  ValueId reduced(Builder& b, Opcode reduction, ValueId value) {
    const uint32_t scratch = scratch_of(b, b.type(value).scalar);
    const ValueId first = first_lane(b);
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

  uint32_t scratch_of(Builder& b, ir::Scalar scalar) {
    uint32_t& scratch = scratch_[scalar == ir::Scalar::f32 ? 0 : 1];
    if (scratch == ir::kNone) {
      const DType storage = scalar == ir::Scalar::f32 ? DType::f32 : DType::i32;
      scratch = b.local("scratch", storage, 1, 2 * all_lanes_);
    }
    return scratch;
  }

  uint32_t lanes_;
  uint32_t all_lanes_;
  std::array<uint32_t, 2> scratch_ = {ir::kNone, ir::kNone};  // for f32 and i32
};

}  // namespace

PassResult expand_exchanges(const ir::Program& program, const Target& target) {
  const auto exchanges = [](const Instruction& instruction) {
    return is_reduction(instruction.op) || ir::is_shuffle(instruction.op);
  };
  const bool has_work = std::ranges::any_of(program.instructions, exchanges);
  if (!has_work || facts_of(target).has_shuffle) return std::optional<ir::Program>();
  ExchangeExpander expander(program);
  return std::optional(ir::rewrite(
      program,
      [&](Builder& b, const Instruction& instruction,
          std::span<const ValueId> operands) -> std::optional<ValueId> {
        // A uniform operand is the builder's to fold.
        const bool expands = exchanges(instruction) && b.type(operands[0]).varying;
        return expands ? std::optional(expander.expand(b, instruction, operands)) : std::nullopt;
      }));
}

}  // namespace leat
