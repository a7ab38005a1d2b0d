// See bound_accesses.h.
#include "leat/lower/bound_accesses.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/ir/rewrite.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Instruction;
using ir::kNone;
using ir::Opcode;
using ir::ValueId;

uint8_t width_of(const ir::Program& program, const Instruction& instruction) {
  if (instruction.op == Opcode::atomic_add) return 1;
  const bool has_result = instruction.result_count > 0;
  const ValueId value = has_result ? instruction.first_result : program.operands_of(instruction)[1];
  return program.values[value].width;
}

/// The mask looks at an index in 32 bits, emitters add its parts in 64. Where that may differ they
/// get it without parts: neither they nor the folding of masks look through two conversions.
ValueId without_parts(Builder& b, ValueId index) {
  return b.convert(Opcode::narrow_i, b.convert(Opcode::widen_i, index));
}

ir::Replaced bound_local(const ir::Program& program, Builder& b, const Instruction& instruction,
                         std::span<const ValueId> operands, bool may_wrap) {
  const uint8_t width = width_of(program, instruction);
  const ir::LocalMemory& local = program.locals[instruction.slot];
  const int64_t last = int64_t{local.count} * local.width / width - 1;
  const ValueId whole = may_wrap ? without_parts(b, operands[0]) : operands[0];
  const ValueId zero = b.i32(0);
  const ValueId index = b.binary(Opcode::max_i, b.binary(Opcode::min_i, whole, b.i32(last)), zero);
  if (instruction.op == Opcode::load_local) return b.load_local(instruction.slot, index, width);
  b.store_local(instruction.slot, index, operands[1]);
  return kNone;
}

/// Without sign an index below 0 is a large one.
ir::Replaced bound_global(const ir::Program& program, Builder& b, const Instruction& instruction,
                          std::span<const ValueId> operands, bool may_wrap) {
  const uint8_t width = width_of(program, instruction);
  ValueId index = ir::full_index(b, instruction, operands[0]);
  if (may_wrap) index = without_parts(b, index);
  const int64_t count = program.parameters[instruction.slot].element_count / width;
  const ValueId is_inside = b.binary(Opcode::lt_u, index, b.i32(count));
  const ValueId mask = instruction.masked ? b.logical_and(operands.back(), is_inside) : is_inside;
  if (instruction.op == Opcode::load) return b.load(instruction.slot, index, width, mask);
  if (instruction.op == Opcode::atomic_add) {
    return b.atomic_add(instruction.slot, index, operands[1], mask);
  }
  b.store(instruction.slot, index, operands[1], mask);
  return kNone;
}

}  // namespace

bool can_be_bound(Opcode op) {
  return op == Opcode::load || op == Opcode::store || op == Opcode::atomic_add ||
         op == Opcode::load_local || op == Opcode::store_local;
}

Result<ir::Program> bound_accesses(const ir::Program& program,
                                   std::span<const ir::OpenAccess> open) {
  for (const ir::OpenAccess& access : open) {
    if (can_be_bound(program.instructions[access.instruction].op)) continue;
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" has an instruction that cannot be masked: {}.",
                             program.name, ir::text_of(program, access)));
  }
  const auto find_open = [&](const Instruction& instruction) {
    const auto id = static_cast<ir::InstructionId>(&instruction - program.instructions.data());
    return std::ranges::find(open, id, &ir::OpenAccess::instruction);
  };
  return ir::rewrite(program,
                     [&](Builder& b, const Instruction& instruction,
                         std::span<const ValueId> operands) -> ir::Replaced {
                       const auto found = find_open(instruction);
                       if (found == open.end()) return std::nullopt;
                       return ir::is_local_access(instruction.op)
                                  ? bound_local(program, b, instruction, operands, found->may_wrap)
                                  : bound_global(program, b, instruction, operands,
                                                 found->may_wrap);
                     });
}

}  // namespace leat
