// expand_async_copy: see passes.h. The copy is done where it is issued; who waits for it or stands
// behind a barrier after that finds the same.
#include <algorithm>
#include <bit>

#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Instruction;
using ir::kNone;
using ir::Opcode;
using ir::ValueId;

bool is_copy(Opcode op) {
  return op == Opcode::copy_async || op == Opcode::copy_commit || op == Opcode::copy_wait;
}

// A load of zeros is what a masked-off lane copies. Indices are multiples of the count.
void copy_now(const ir::Program& program, Builder& b, const Instruction& instruction,
              std::span<const ValueId> operands) {
  const int count = static_cast<int>(instruction.imm);
  const uint8_t width = static_cast<uint8_t>(std::min(count, 4));
  const ValueId mask = instruction.masked ? operands[2] : kNone;
  const ValueId shift = b.i32(std::countr_zero(static_cast<uint32_t>(width)));
  for (int first = 0; first < count; first += width) {
    const ValueId source = b.add(operands[1], b.i32(first));
    const ValueId at = b.binary(Opcode::shr_s, source, shift);
    const ValueId loaded = b.load(instruction.source, at, width, mask);
    if (program.locals[instruction.slot].width == width && width > 1) {
      const ValueId place = b.add(operands[0], b.i32(first));
      b.store_local(instruction.slot, b.binary(Opcode::shr_s, place, shift), loaded);
      continue;
    }
    for (int i = 0; i < width; ++i) {
      const ValueId part = b.extract(loaded, i);
      b.store_local(instruction.slot, b.add(operands[0], b.i32(first + i)), part);
    }
  }
}

ir::Replaced replace_copy(const ir::Program& program, Builder& b, const Instruction& instruction,
                          std::span<const ValueId> operands) {
  if (!is_copy(instruction.op)) return std::nullopt;
  if (instruction.op == Opcode::copy_async) copy_now(program, b, instruction, operands);
  return kNone;
}

}  // namespace

ir::Program expand_async_copy(const ir::Program& program, const TargetFacts& facts) {
  const auto uses = [](const Instruction& instruction) { return is_copy(instruction.op); };
  if (facts.has_async_copy || std::ranges::none_of(program.instructions, uses)) return program;
  return ir::rewrite(
      program, [&](Builder& b, const Instruction& instruction, std::span<const ValueId> operands) {
        return replace_copy(program, b, instruction, operands);
      });
}

}  // namespace leat
