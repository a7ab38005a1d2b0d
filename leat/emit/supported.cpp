// One switch over the instructions. What stands here needs a fact of the target; the rest every
// target has, or a pass has replaced it.
#include "leat/emit/supported.h"

#include <fmt/format.h>

#include "leat/base/target_facts.h"
#include "leat/ir/matrix_shape.h"

namespace leat {
namespace {

/// Whether kernels for the target read and write such elements in buffers. With fragments matrix
/// units read halves as they are stored.
bool is_stored(DType storage, const Target& target, const TargetFacts& facts, bool fragments) {
  switch (storage) {
    case DType::f32:
    case DType::i32:
    case DType::u32: return true;
    case DType::f16:
    case DType::i16:
    case DType::u16: return target.storage_f16 || facts.has_narrow_storage;
    case DType::bf16:  // else see lower/expand_storage
      return facts.has_narrow_storage || (fragments && ir::multiplies(DType::bf16, facts));
    case DType::i8:
    case DType::u8: return facts.has_narrow_storage;
    case DType::f64: return facts.has_f64;
    case DType::i64:
    case DType::u64: return facts.has_i64;
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: return false;
  }
  return false;
}

Result<void> check_types(const ir::Program& program, const Target& target,
                         const TargetFacts& facts) {
  const bool fragments = ir::uses_fragments(program);
  for (const ir::Parameter& parameter : program.parameters) {
    if (is_stored(parameter.storage, target, facts, fragments)) continue;
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" has a buffer of {}, which Target \"{}\" cannot access.",
                             program.name, name_of(parameter.storage), target.name));
  }
  for (const ir::LocalMemory& local : program.locals) {
    if (size_bytes_of(local.storage) >= 4 || facts.has_narrow_storage) continue;
    const bool is_half = local.storage == DType::f16 ||
                         (local.storage == DType::bf16 && ir::multiplies(DType::bf16, facts));
    if (fragments && is_half) continue;
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" has local memory of {}, which Target \"{}\" lacks.",
                             program.name, name_of(local.storage), target.name));
  }
  for (const ir::Type& type : program.values) {
    if (type.scalar == ir::Scalar::i64 ? facts.has_i64 : facts.has_f64) continue;
    if (ir::bytes_of(type.scalar) == 4) continue;
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" computes with numbers of 64 bits, which Target \"{}\" "
                             "lacks.",
                             program.name, target.name));
  }
  return {};
}

/// Whether local memory can be accessed so.
bool has_width(const ir::Program& program, const ir::Instruction& instruction,
               const TargetFacts& facts) {
  const bool is_load = instruction.op == ir::Opcode::load_local;
  const ir::ValueId value =
      is_load ? instruction.first_result : program.operands_of(instruction)[1];
  const uint8_t width = program.values[value].width;
  return facts.has_any_local_width || width == 1 || width == program.locals[instruction.slot].width;
}

bool is_supported(const ir::Program& program, const ir::Instruction& instruction,
                  const TargetFacts& facts) {
  using enum ir::Opcode;
  switch (instruction.op) {
    case load_local:
    case store_local: return has_width(program, instruction, facts);
    case atomic_add:
      return program.values[instruction.first_result].scalar == ir::Scalar::f32
                 ? facts.has_atomic_add_f32
                 : facts.has_atomic_add;
    case last_group: return facts.has_atomic_add;
    case reduce_add:
    case reduce_min:
    case reduce_max:
    case shuffle:
    case shuffle_xor:
    case shuffle_up:
    case shuffle_down: return facts.has_shuffle;
    case dot_ss:
    case dot_us:
    case dot_uu:
    case dot_bf16: return ir::has_dot(instruction.op, facts);
    case copy_async:
    case copy_commit:
    case copy_wait: return facts.has_async_copy;
    case prefetch: return facts.has_prefetch;
    case fragment_fill:
    case fragment_load:
    case fragment_load_local:
    case fragment_store:
    case fragment_store_local: return !facts.matrix_shapes.empty();
    case mma: return ir::has_product(program, instruction, facts);
    case mma_wait:
    case fragment_part:
    case fragment_row:
    case fragment_column: return facts.knows_sums;
    case constant:
    case lane_id:
    case wave_id:
    case group_id:
    case neg:
    case abs:
    case sqrt:
    case floor:
    case ceil:
    case round_even:
    case add_f:
    case sub_f:
    case mul_f:
    case div_f:
    case min_f:
    case max_f:
    case fma:
    case add_i:
    case sub_i:
    case mul_i:
    case div_i:
    case rem_i:
    case min_i:
    case max_i:
    case and_i:
    case or_i:
    case xor_i:
    case shl_i:
    case shr_s:
    case shr_u:
    case popcount:
    case and_b:
    case or_b:
    case xor_b:
    case not_b:
    case lt_f:
    case le_f:
    case eq_f:
    case lt_i:
    case le_i:
    case lt_u:
    case eq_i:
    case select:
    case int_from_float:
    case float_from_int:
    case int_from_bool:
    case widen_i:
    case widen_u:
    case narrow_i:
    case widen_f:
    case narrow_f:
    case bits_from_float:
    case float_from_bits:
    case vector:
    case extract:
    case load:
    case store:
    case barrier:
    case loop:
    case branch:
    case yield:
    case rounds:
#define LEAT_IR_FUNCTION(name, operands, version) case name:
#include "leat/ir/functions.def"
      return true;
  }
  return false;
}

}  // namespace

Result<void> check_supported(const ir::Program& program, const Target& target) {
  const TargetFacts facts = facts_of(target);
  TRY(check_types(program, target, facts));
  for (const ir::Block& block : program.blocks) {
    for (const ir::InstructionId id : block.instructions) {
      const ir::Instruction& instruction = program.instructions[id];
      if (is_supported(program, instruction, facts)) continue;
      return Error(ErrorKind::unsupported,
                   fmt::format("Kernel \"{}\" has an instruction ({}) that Target \"{}\" lacks for "
                               "its type.",
                               program.name, ir::name_of(instruction.op), target.name));
    }
  }
  return {};
}

}  // namespace leat
