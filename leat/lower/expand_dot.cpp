// expand_dot: see passes.h.
#include <algorithm>

#include "leat/ir/matrix_shape.h"
#include "leat/ir/rewrite.h"
#include "leat/ir/scalar_ops.h"
#include "leat/lower/passes.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

/// Byte `number` of an i32, with its sign or without.
ValueId byte_of(Builder& b, ValueId word, int number, bool has_sign) {
  const ValueId on_top = b.binary(Opcode::shl_i, word, b.i32(24 - 8 * number));
  return b.binary(has_sign ? Opcode::shr_s : Opcode::shr_u, on_top, b.i32(24));
}

/// One half of a pair of bf16.
ValueId float_of(Builder& b, ValueId pair, bool is_high) {
  const ValueId bits = is_high ? b.binary(Opcode::and_i, pair, b.i32(-65536))
                               : b.binary(Opcode::shl_i, pair, b.i32(16));
  return b.convert(Opcode::float_from_bits, bits);
}

ValueId sum_of_pairs(Builder& b, std::span<const ValueId> operands) {
  ValueId sum = operands[2];
  for (const bool is_high : {false, true}) {
    const ValueId right = float_of(b, operands[1], is_high);
    sum = b.fma(float_of(b, operands[0], is_high), right, sum);
  }
  return sum;
}

ValueId sum_of_bytes(Builder& b, const ir::Instruction& instruction,
                     std::span<const ValueId> operands) {
  ValueId sum = operands[2];
  for (int i = 0; i < 4; ++i) {
    const ValueId left = byte_of(b, operands[0], i, instruction.op == Opcode::dot_ss);
    const ValueId right = byte_of(b, operands[1], i, instruction.op != Opcode::dot_uu);
    sum = b.add(sum, b.mul(left, right));
  }
  return sum;
}

}  // namespace

ir::Program expand_dot(const ir::Program& program, const TargetFacts& facts) {
  const auto lacks = [&](const ir::Instruction& instruction) {
    return ir::is_dot(instruction.op) && !ir::has_dot(instruction.op, facts);
  };
  if (std::ranges::none_of(program.instructions, lacks)) return program;
  return ir::rewrite(program,
                     [&](Builder& b, const ir::Instruction& instruction,
                         std::span<const ValueId> operands) -> ir::Replaced {
                       if (!lacks(instruction)) return std::nullopt;
                       return instruction.op == Opcode::dot_bf16
                                  ? sum_of_pairs(b, operands)
                                  : sum_of_bytes(b, instruction, operands);
                     });
}

}  // namespace leat
