// expand_storage: see passes.h. A parameter of bf16 becomes one of u16 that lies in memory as
// before, with the conversion as arithmetic around each access. Narrow local memory becomes one of
// 32 bits: what is stored there is rounded to the narrow type first, so that what is read back is
// the same.
#include <algorithm>

#include "leat/ir/rewrite.h"
#include "leat/lower/narrow_floats.h"
#include "leat/lower/passes.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Instruction;
using ir::kNone;
using ir::Opcode;
using ir::ValueId;

/// What stands in the place of a parameter's type.
DType carrier_of(DType storage) { return storage == DType::bf16 ? DType::u16 : storage; }

/// What stands in the place of a local memory's type.
DType local_carrier_of(DType storage) {
  if (size_bytes_of(storage) >= 4) return storage;
  return is_float(storage) ? DType::f32 : DType::i32;
}

/// `value` as the narrow type would give it back.
ValueId rounded(Builder& b, DType storage, ValueId value) {
  if (is_float(storage)) {
    const FloatLayout layout = layout_of(storage);
    return float_from_code(b, layout, code_from_float(b, layout, value));
  }
  const ValueId unused = b.i32(32 - 8 * size_bytes_of(storage));
  const bool has_sign = storage == DType::i8 || storage == DType::i16;
  return b.binary(has_sign ? Opcode::shr_s : Opcode::shr_u, b.binary(Opcode::shl_i, value, unused),
                  unused);
}

ir::Program with_carriers(ir::Program program) {
  for (ir::Parameter& parameter : program.parameters) {
    parameter.storage = carrier_of(parameter.storage);
  }
  for (ir::LocalMemory& local : program.locals) local.storage = local_carrier_of(local.storage);
  return program;
}

ir::Replaced replace_access(const ir::Program& program, Builder& b, const Instruction& instruction,
                            std::span<const ValueId> operands) {
  if (instruction.op == Opcode::store_local) {
    const DType storage = program.locals[instruction.slot].storage;
    if (local_carrier_of(storage) == storage) return std::nullopt;
    b.store_local(instruction.slot, operands[0], rounded(b, storage, operands[1]));
    return kNone;
  }
  const bool is_load = instruction.op == Opcode::load;
  if (!is_load && instruction.op != Opcode::store) return std::nullopt;
  const DType storage = program.parameters[instruction.slot].storage;
  if (carrier_of(storage) == storage) return std::nullopt;
  const FloatLayout layout = layout_of(storage);
  const ValueId index = ir::full_index(b, instruction, operands[0]);
  const ValueId mask = instruction.masked ? operands.back() : kNone;
  if (is_load) {
    const uint8_t width = program.values[instruction.first_result].width;
    return float_from_code(b, layout, b.load(instruction.slot, index, width, mask));
  }
  b.store(instruction.slot, index, code_from_float(b, layout, operands[1]), mask);
  return kNone;
}

}  // namespace

ir::Program expand_storage(const ir::Program& program, const TargetFacts& facts) {
  if (facts.has_narrow_storage) return program;
  const auto is_kept = [](const ir::Parameter& parameter) {
    return carrier_of(parameter.storage) == parameter.storage;
  };
  const auto is_kept_local = [](const ir::LocalMemory& local) {
    return local_carrier_of(local.storage) == local.storage;
  };
  if (std::ranges::all_of(program.parameters, is_kept) &&
      std::ranges::all_of(program.locals, is_kept_local)) {
    return program;
  }
  return ir::rewrite(with_carriers(program), [&](Builder& b, const Instruction& instruction,
                                                 std::span<const ValueId> operands) {
    return replace_access(program, b, instruction, operands);
  });
}

}  // namespace leat
