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

using Operands = std::span<const ValueId>;

ValueId call(ValueId (*function)(Builder&, ValueId), Builder& b, Operands operands) {
  return function(b, operands[0]);
}
ValueId call(ValueId (*function)(Builder&, ValueId, ValueId), Builder& b, Operands operands) {
  return function(b, operands[0], operands[1]);
}

std::optional<ValueId> expand(Builder& b, const ir::Instruction& instruction, Operands operands) {
#define LEAT_IR_FUNCTION(name, count, version) \
  if (instruction.op == Opcode::name) return call(math_##name, b, operands);
#include "leat/ir/functions.def"
  return std::nullopt;
}

}  // namespace

PassResult expand_math(const ir::Program& program, const Target&) {
  return std::optional(ir::rewrite(program, expand));
}

}  // namespace leat
