// expand_storage: see passes.h. A parameter of bf16 becomes one of u16 that lies in memory as
// before, with the conversion as arithmetic around each access. Narrow local memory becomes one of
// 32 bits: what is stored there is rounded to the narrow type first, so that what is read back is
// the same. In programs with fragments, which matrix units read as it is stored, f16 and bf16 stay
// what they are; what no emitter is asked to round is rounded all the same.
#include <algorithm>

#include "leat/ir/matrix_shape.h"
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

/// What stands in the place of a type.
struct Carriers {
  bool keeps_f16 = false, keeps_bf16 = false;

  bool keeps(DType storage) const {
    return (storage == DType::f16 && keeps_f16) || (storage == DType::bf16 && keeps_bf16);
  }
  DType of_parameter(DType storage) const {
    return storage == DType::bf16 && !keeps_bf16 ? DType::u16 : storage;
  }
  DType of_local(DType storage) const {
    if (size_bytes_of(storage) >= 4 || keeps(storage)) return storage;
    return is_float(storage) ? DType::f32 : DType::i32;
  }
};

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

class StorageExpander {
 public:
  StorageExpander(const ir::Program& program, Carriers carriers)
      : program_(program), carriers_(carriers), definitions_(program.values.size(), nullptr) {
    for (const Instruction& instruction : program.instructions) {
      for (uint32_t i = 0; i < instruction.result_count; ++i) {
        definitions_[instruction.first_result + i] = &instruction;
      }
    }
  }

  ir::Program with_carriers() const {
    ir::Program program = program_;
    for (ir::Parameter& parameter : program.parameters) {
      parameter.storage = carriers_.of_parameter(parameter.storage);
    }
    for (ir::LocalMemory& local : program.locals) {
      local.storage = carriers_.of_local(local.storage);
    }
    return program;
  }

  ir::Replaced replace(Builder& b, const Instruction& instruction,
                       std::span<const ValueId> operands) const {
    if (instruction.op == Opcode::store_local) return replace_local(b, instruction, operands);
    const bool is_load = instruction.op == Opcode::load;
    if (!is_load && instruction.op != Opcode::store) return std::nullopt;
    const DType storage = program_.parameters[instruction.slot].storage;
    const bool is_kept = carriers_.of_parameter(storage) == storage;
    if (is_kept && (is_load || storage != DType::bf16 || is_stored_so(instruction, storage))) {
      return std::nullopt;
    }
    const FloatLayout layout = layout_of(storage);
    const ValueId index = ir::full_index(b, instruction, operands[0]);
    const ValueId mask = instruction.masked ? operands.back() : kNone;
    if (is_load) {
      const uint8_t width = program_.values[instruction.first_result].width;
      return float_from_code(b, layout, b.load(instruction.slot, index, width, mask));
    }
    const ValueId stored =
        is_kept ? rounded(b, storage, operands[1]) : code_from_float(b, layout, operands[1]);
    b.store(instruction.slot, index, stored, mask);
    return kNone;
  }

 private:
  ir::Replaced replace_local(Builder& b, const Instruction& instruction,
                             std::span<const ValueId> operands) const {
    const DType storage = program_.locals[instruction.slot].storage;
    const bool is_kept = carriers_.of_local(storage) == storage;
    if (is_kept && (size_bytes_of(storage) >= 4 || is_stored_so(instruction, storage))) {
      return std::nullopt;
    }
    b.store_local(instruction.slot, operands[0], rounded(b, storage, operands[1]));
    return kNone;
  }

  /// Whether what is stored came from memory of the same type, so that rounding changes nothing.
  bool is_stored_so(const Instruction& store, DType storage) const {
    return comes_from(program_.operands_of(store)[1], storage);
  }
  bool comes_from(ValueId value, DType storage) const {
    const Instruction* definition = definitions_[value];
    if (definition == nullptr) return false;
    const Opcode op = definition->op;
    if (op == Opcode::load) return program_.parameters[definition->slot].storage == storage;
    if (op == Opcode::load_local) return program_.locals[definition->slot].storage == storage;
    if (op != Opcode::extract && op != Opcode::vector) return false;
    return std::ranges::all_of(program_.operands_of(*definition),
                               [&](ValueId operand) { return comes_from(operand, storage); });
  }

  const ir::Program& program_;
  Carriers carriers_;
  std::vector<const Instruction*> definitions_;  // by value, null for arguments
};

}  // namespace

ir::Program expand_storage(const ir::Program& program, const TargetFacts& facts) {
  if (facts.has_narrow_storage) return program;
  const Carriers carriers = {
      .keeps_f16 = ir::uses_fragments(program),
      .keeps_bf16 = ir::uses_fragments(program) && ir::multiplies(DType::bf16, facts)};
  const auto is_kept = [&](const ir::Parameter& parameter) {
    return carriers.of_parameter(parameter.storage) == parameter.storage;
  };
  const auto is_kept_local = [&](const ir::LocalMemory& local) {
    return carriers.of_local(local.storage) == local.storage;
  };
  if (!carriers.keeps_f16 && std::ranges::all_of(program.parameters, is_kept) &&
      std::ranges::all_of(program.locals, is_kept_local)) {
    return program;
  }
  const StorageExpander expander(program, carriers);
  return ir::rewrite(expander.with_carriers(), [&](Builder& b, const Instruction& instruction,
                                                   std::span<const ValueId> operands) {
    return expander.replace(b, instruction, operands);
  });
}

}  // namespace leat
