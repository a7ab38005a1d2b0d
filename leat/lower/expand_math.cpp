// expand_math: before it, a program may use every instruction; after it, none of the class
// function, so that every target computes the same bits and no emitter needs a math library. It
// stands first: what it writes is arithmetic, for which the other passes care.
#include "leat/ir/rewrite.h"
#include "leat/lower/math_kernels.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

ValueId math_tan(Builder& b, ValueId x) {
  return b.binary(Opcode::div_f, math_sin(b, x), math_cos(b, x));
}

struct Expansion {
  Opcode op;
  ValueId (*function)(Builder&, ValueId);
};
constexpr Expansion kExpansions[] = {
    {Opcode::exp, math_exp},     {Opcode::log, math_log},     {Opcode::sin, math_sin},
    {Opcode::cos, math_cos},     {Opcode::tan, math_tan},     {Opcode::asin, math_asin},
    {Opcode::acos, math_acos},   {Opcode::atan, math_atan},   {Opcode::sinh, math_sinh},
    {Opcode::cosh, math_cosh},   {Opcode::tanh, math_tanh},   {Opcode::asinh, math_asinh},
    {Opcode::acosh, math_acosh}, {Opcode::atanh, math_atanh}, {Opcode::erf, math_erf},
};

std::optional<ValueId> expand(Builder& b, const ir::Instruction& instruction,
                              std::span<const ValueId> operands) {
  if (instruction.op == Opcode::pow) return math_pow(b, operands[0], operands[1]);
  for (const Expansion& expansion : kExpansions) {
    if (expansion.op == instruction.op) return expansion.function(b, operands[0]);
  }
  return std::nullopt;
}

}  // namespace

PassResult expand_math(const ir::Program& program, const Target&) {
  return std::optional(ir::rewrite(program, expand));
}

}  // namespace leat
