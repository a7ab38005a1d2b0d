// Blocks, loops and branches. SPIR-V's control flow is structured: every loop header names its
// merge and continue blocks, every conditional branch its merge block. A loop is
//   before -> header (phis, test) -> body .. -> continue (counter + step) -> header;  header ->
//   merge
// and its results are the header's phis. Fragments go through variables of the function instead.
#include "leat/emit/spirv_emitter.h"

namespace leat::spirv {

void ProgramEmitter::start_block(Id label) {
  writer_.statement(spv::Op::OpLabel, {label});
  label_ = label;
}

void ProgramEmitter::jump(Id label) { writer_.statement(spv::Op::OpBranch, {label}); }

ProgramEmitter::OpenBranch ProgramEmitter::open_branch(Id condition) {
  const OpenBranch open = {.before = label_, .merge = writer_.new_id()};
  const Id then = writer_.new_id();
  writer_.statement(spv::Op::OpSelectionMerge, {open.merge, 0});
  writer_.statement(spv::Op::OpBranchConditional, {condition, then, open.merge});
  start_block(then);
  return open;
}

// Returns the label of the branch's last block, for a phi.
Id ProgramEmitter::close_branch(const OpenBranch& open) {
  const Id last = label_;
  jump(open.merge);
  start_block(open.merge);
  return last;
}

void ProgramEmitter::emit_block(ir::BlockId block) {
  for (const ir::InstructionId id : program_.blocks[block].instructions) {
    emit_instruction(program_.instructions[id]);
  }
}

void ProgramEmitter::emit_instruction(const ir::Instruction& instruction) {
  using ir::Opcode;
  using spv::Op;
  switch (instruction.op) {
    case Opcode::constant: return emit_constant(instruction);
    case Opcode::lane_id: return set_result(instruction, lane_id_);
    case Opcode::wave_id: return set_result(instruction, wave_id_);
    case Opcode::group_id:
      return set_result(instruction, group_ids_[static_cast<size_t>(instruction.imm)]);
    case Opcode::neg: return emit_by_type(instruction, Op::OpFNegate, Op::OpSNegate);
    case Opcode::abs: return emit_extended(instruction, GLSLstd450FAbs);
    case Opcode::sqrt: return emit_extended(instruction, GLSLstd450Sqrt);
    case Opcode::floor: return emit_extended(instruction, GLSLstd450Floor);
    case Opcode::ceil: return emit_extended(instruction, GLSLstd450Ceil);
    case Opcode::round_even: return emit_extended(instruction, GLSLstd450RoundEven);
#define LEAT_IR_FUNCTION(name, operands, version) case Opcode::name:
#include "leat/ir/functions.def"
      CHECK(false);  // find_uses refuses them
    case Opcode::add_f: return emit_plain(instruction, Op::OpFAdd);
    case Opcode::sub_f: return emit_plain(instruction, Op::OpFSub);
    case Opcode::mul_f: return emit_plain(instruction, Op::OpFMul);
    case Opcode::div_f: return emit_plain(instruction, Op::OpFDiv);
    case Opcode::min_f: return emit_extended(instruction, GLSLstd450FMin);
    case Opcode::max_f: return emit_extended(instruction, GLSLstd450FMax);
    case Opcode::fma: return emit_extended(instruction, GLSLstd450Fma);
    case Opcode::add_i: return emit_plain(instruction, Op::OpIAdd);
    case Opcode::sub_i: return emit_plain(instruction, Op::OpISub);
    case Opcode::mul_i: return emit_plain(instruction, Op::OpIMul);
    case Opcode::div_i: return emit_plain(instruction, Op::OpSDiv);
    case Opcode::rem_i: return emit_plain(instruction, Op::OpSRem);
    case Opcode::min_i: return emit_extended(instruction, GLSLstd450SMin);
    case Opcode::max_i: return emit_extended(instruction, GLSLstd450SMax);
    case Opcode::and_i: return emit_plain(instruction, Op::OpBitwiseAnd);
    case Opcode::or_i: return emit_plain(instruction, Op::OpBitwiseOr);
    case Opcode::xor_i: return emit_plain(instruction, Op::OpBitwiseXor);
    case Opcode::shl_i: return emit_shift(instruction, Op::OpShiftLeftLogical);
    case Opcode::shr_s: return emit_shift(instruction, Op::OpShiftRightArithmetic);
    case Opcode::shr_u: return emit_shift(instruction, Op::OpShiftRightLogical);
    case Opcode::popcount: return emit_popcount(instruction);
    case Opcode::and_b: return emit_plain(instruction, Op::OpLogicalAnd);
    case Opcode::or_b: return emit_plain(instruction, Op::OpLogicalOr);
    case Opcode::xor_b: return emit_plain(instruction, Op::OpLogicalNotEqual);
    case Opcode::not_b: return emit_plain(instruction, Op::OpLogicalNot);
    case Opcode::lt_f: return emit_plain(instruction, Op::OpFOrdLessThan);
    case Opcode::le_f: return emit_plain(instruction, Op::OpFOrdLessThanEqual);
    case Opcode::eq_f: return emit_plain(instruction, Op::OpFOrdEqual);
    case Opcode::lt_i: return emit_plain(instruction, Op::OpSLessThan);
    case Opcode::le_i: return emit_plain(instruction, Op::OpSLessThanEqual);
    case Opcode::lt_u: return emit_plain(instruction, Op::OpULessThan);
    case Opcode::eq_i: return emit_plain(instruction, Op::OpIEqual);
    case Opcode::select: return emit_plain(instruction, Op::OpSelect);
    case Opcode::int_from_float: return emit_plain(instruction, Op::OpConvertFToS);
    case Opcode::float_from_int: return emit_plain(instruction, Op::OpConvertSToF);
    case Opcode::int_from_bool: return emit_int_from_bool(instruction);
    case Opcode::widen_i:
    case Opcode::narrow_i: return emit_plain(instruction, Op::OpSConvert);
    case Opcode::widen_u: return emit_widen_u(instruction);
    case Opcode::widen_f:
    case Opcode::narrow_f: return emit_plain(instruction, Op::OpFConvert);
    case Opcode::bits_from_float:
    case Opcode::float_from_bits: return emit_plain(instruction, Op::OpBitcast);
    case Opcode::vector: return emit_vector(instruction);
    case Opcode::extract: return emit_extract(instruction);
    case Opcode::load: return emit_load(instruction);
    case Opcode::store: return emit_store(instruction);
    case Opcode::load_local: return emit_load_local(instruction);
    case Opcode::store_local: return emit_store_local(instruction);
    case Opcode::barrier: return emit_barrier();
    case Opcode::fragment_fill: return emit_fragment_fill(instruction);
    case Opcode::fragment_load:
    case Opcode::fragment_load_local: return emit_fragment_load(instruction);
    case Opcode::fragment_store:
    case Opcode::fragment_store_local: return emit_fragment_store(instruction);
    case Opcode::mma: return emit_mma(instruction);
    case Opcode::atomic_add: return emit_atomic_add(instruction);
    case Opcode::last_group: return emit_last_group(instruction);
    case Opcode::rounds:
      values_[instruction.first_result] = id_of(program_.operands_of(instruction)[0]);
      return;
    case Opcode::reduce_add:
    case Opcode::reduce_min:
    case Opcode::reduce_max:
    case Opcode::shuffle:
    case Opcode::shuffle_xor:
    case Opcode::shuffle_up:
    case Opcode::shuffle_down:
    case Opcode::dot_ss:
    case Opcode::dot_us:
    case Opcode::dot_uu:
    case Opcode::dot_bf16:
    case Opcode::copy_async:
    case Opcode::copy_commit:
    case Opcode::copy_wait:
    case Opcode::prefetch:
    case Opcode::mma_wait:
    case Opcode::fragment_part:
    case Opcode::fragment_row:
    case Opcode::fragment_column: CHECK(false);  // check_supported refuses them
    case Opcode::loop: return emit_loop(instruction);
    case Opcode::branch: return emit_branch(instruction);
    case Opcode::yield: return;  // emit_loop reads it
  }
}

void ProgramEmitter::emit_loop(const ir::Instruction& instruction) {
  const auto operands = program_.operands_of(instruction);
  const ir::Block& block = program_.blocks[instruction.regions[0]];
  const Id int_type = scalar_type(ir::Scalar::i32);
  const Id before = label_, header = writer_.new_id(), body = writer_.new_id();
  const Id next = writer_.new_id(), merge = writer_.new_id();
  const std::vector<CarriedFragment> carried = open_carried(instruction);
  jump(header);
  start_block(header);
  std::vector<size_t> open_words(block.argument_count, 0);  // each phi's value from `next`
  for (uint32_t i = 0; i < block.argument_count; ++i) {
    const ir::ValueId argument = block.first_argument + i;
    if (program_.values[argument].is_fragment()) continue;
    const Id first = id_of(operands[i == 0 ? 0 : i + 2]);
    values_[argument] =
        writer_.value(spv::Op::OpPhi, type_of(program_.values[argument]), {first, before, 0, next});
    open_words[i] = writer_.body_words() - 2;
  }
  const Id counter = id_of(block.first_argument);
  const Id more = writer_.value(spv::Op::OpSLessThan, scalar_type(ir::Scalar::b1),
                                {counter, id_of(operands[1])});
  writer_.statement(spv::Op::OpLoopMerge,
                    {merge, next, static_cast<uint32_t>(spv::LoopControlMask::DontUnroll)});
  writer_.statement(spv::Op::OpBranchConditional, {more, body, merge});
  start_block(body);
  load_carried(carried, block.first_argument + 1);
  emit_block(instruction.regions[0]);
  const ir::Instruction& yield = program_.instructions[block.instructions.back()];
  store_carried(carried, yield);
  jump(next);
  start_block(next);
  writer_.set_body_word(open_words[0],
                        writer_.value(spv::Op::OpIAdd, int_type, {counter, id_of(operands[2])}));
  jump(header);
  for (uint32_t i = 0; i < yield.operand_count; ++i) {
    if (open_words[i + 1] == 0) continue;  // a fragment
    writer_.set_body_word(open_words[i + 1], id_of(program_.operands_of(yield)[i]));
    values_[instruction.first_result + i] = values_[block.first_argument + 1 + i];
  }
  start_block(merge);
  load_carried(carried, instruction.first_result);
}

void ProgramEmitter::emit_branch(const ir::Instruction& instruction) {
  const Id condition = id_of(program_.operands_of(instruction)[0]);
  if (instruction.regions[1] == ir::kNone) {
    const OpenBranch open = open_branch(condition);
    emit_block(instruction.regions[0]);
    close_branch(open);
    return;
  }
  const Id then = writer_.new_id(), otherwise = writer_.new_id(), merge = writer_.new_id();
  writer_.statement(spv::Op::OpSelectionMerge, {merge, 0});
  writer_.statement(spv::Op::OpBranchConditional, {condition, then, otherwise});
  start_block(then);
  emit_block(instruction.regions[0]);
  jump(merge);
  start_block(otherwise);
  emit_block(instruction.regions[1]);
  jump(merge);
  start_block(merge);
}

}  // namespace leat::spirv
