// expand_dot: see passes.h.
#include <algorithm>

#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

bool is_dot(Opcode op) {
  return op == Opcode::dot_ss || op == Opcode::dot_us || op == Opcode::dot_uu;
}

/// Byte `number` of an i32, with its sign or without.
ValueId byte_of(Builder& b, ValueId word, int number, bool has_sign) {
  const ValueId on_top = b.binary(Opcode::shl_i, word, b.i32(24 - 8 * number));
  return b.binary(has_sign ? Opcode::shr_s : Opcode::shr_u, on_top, b.i32(24));
}

ir::Replaced sum_of_products(Builder& b, const ir::Instruction& instruction,
                             std::span<const ValueId> operands) {
  if (!is_dot(instruction.op)) return std::nullopt;
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
  const auto uses = [](const ir::Instruction& instruction) { return is_dot(instruction.op); };
  if (facts.has_dot || std::ranges::none_of(program.instructions, uses)) return program;
  return ir::rewrite(program, sum_of_products);
}

}  // namespace leat
