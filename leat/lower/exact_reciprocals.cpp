// exact_reciprocals: a quotient by a constant power of two is the product with its reciprocal, to
// the last bit, and a product is the shorter: averages of 4, 16 or 1024 numbers, scores of heads
// of 64. Before it, a program may hold any instruction; after it, no division of 32 bits by a
// constant power of two whose reciprocal is a normal number. Others stay: below the normal numbers
// a chip may take a reciprocal for 0.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

using ir::Opcode;
using ir::ValueId;

bool has_exact_reciprocal(float divisor) {
  int exponent = 0;  // |divisor| = mantissa * 2^exponent, mantissa in [0.5, 1)
  return std::abs(std::frexp(divisor, &exponent)) == 0.5f && std::isnormal(divisor) &&
         std::isnormal(1 / divisor);
}

/// The value, where it is a constant with an exact reciprocal; by ValueId, else 0.
std::vector<float> divisors_of(const ir::Program& program) {
  std::vector<float> divisors(program.values.size(), 0.0f);
  for (const ir::Instruction& instruction : program.instructions) {
    if (instruction.op != Opcode::constant) continue;
    if (program.values[instruction.first_result].scalar != ir::Scalar::f32) continue;
    const float value = std::bit_cast<float>(static_cast<uint32_t>(instruction.imm));
    if (has_exact_reciprocal(value)) divisors[instruction.first_result] = value;
  }
  return divisors;
}

}  // namespace

PassResult exact_reciprocals(const ir::Program& program, const Target&) {
  const std::vector<float> divisors = divisors_of(program);
  const auto divisor_of = [&](const ir::Instruction& instruction) {
    return instruction.op == Opcode::div_f ? divisors[program.operands_of(instruction)[1]] : 0.0f;
  };
  const bool has_work = std::ranges::any_of(
      program.instructions,
      [&](const ir::Instruction& instruction) { return divisor_of(instruction) != 0; });
  if (!has_work) return std::optional<ir::Program>();
  return std::optional(
      ir::rewrite(program,
                  [&](ir::Builder& b, const ir::Instruction& instruction,
                      std::span<const ValueId> operands) -> std::optional<ValueId> {
                    const float divisor = divisor_of(instruction);
                    if (divisor == 0) return std::nullopt;
                    return b.mul(operands[0], b.f32(1 / divisor));
                  }));
}

}  // namespace leat
