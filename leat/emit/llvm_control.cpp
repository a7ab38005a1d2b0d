// KernelWriter, control flow: blocks, loops and branches.
// On a CPU a counter is kept in 64 bits for addresses and cut to 32 where the program calculates
// with it.
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/ConstantRange.h>

#include "leat/base/check.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_writer.h"
#include "leat/ir/scalar_ops.h"

namespace leat {

using namespace ir;
using llvm::Intrinsic::ID;

void KernelWriter::write_block(BlockId block) {
  for (InstructionId id : program_.blocks[block].instructions) {
    const Instruction& instruction = program_.instructions[id];
    const bool goes_on = is_pure(instruction.op) || instruction.op == Opcode::mma ||
                         instruction.op == Opcode::fragment_load_local;
    if (!goes_on) end_products();
    write_instruction(instruction);
  }
}

void KernelWriter::write_instruction(const Instruction& instruction) {
  using enum Opcode;
  using Operands = llvm::ArrayRef<llvm::Value*>;
  const auto set = [&](llvm::Value* value) { values_[instruction.first_result] = {value}; };
  const auto lanewise = [&](auto rule) { set_lanewise(instruction, rule); };
  const auto intrinsic = [&](ID id) {
    lanewise([&](Operands v) { return build_.CreateIntrinsic(id, {v[0]->getType()}, v); });
  };
  const auto binary = [&](llvm::Instruction::BinaryOps op) {
    lanewise([&](Operands v) { return build_.CreateBinOp(op, v[0], v[1]); });
  };
  const auto shift = [&](llvm::Instruction::BinaryOps op) {
    lanewise([&](Operands v) { return build_.CreateBinOp(op, v[0], shift_count(v[1])); });
  };
  const auto compare = [&](llvm::CmpInst::Predicate predicate) {
    lanewise([&](Operands v) { return build_.CreateCmp(predicate, v[0], v[1]); });
  };
  const auto cast = [&](llvm::Instruction::CastOps op) {
    llvm::Type* type = type_of(program_.values[instruction.first_result]);
    lanewise([&](Operands v) { return build_.CreateCast(op, v[0], type); });
  };
  const bool is_of_fragments = is_fragment_access(instruction.op) ||
                               instruction.op == fragment_fill || instruction.op == mma ||
                               instruction.op == mma_wait;
  if (is_of_fragments && uses_tiles()) return write_tile(instruction);
  switch (instruction.op) {
    case constant: return set(constant_of(instruction));
    case lane_id: return set(lane_id_);
    case wave_id: return set(wave_id_);
    case group_id: return write_group_id(instruction);
    case neg: return lanewise([&](Operands v) { return build_.CreateFNeg(v[0]); });
    case abs: return intrinsic(llvm::Intrinsic::fabs);
    case sqrt: return intrinsic(llvm::Intrinsic::sqrt);
    case floor: return intrinsic(llvm::Intrinsic::floor);
    case ceil: return intrinsic(llvm::Intrinsic::ceil);
    case round_even: return intrinsic(llvm::Intrinsic::roundeven);
#define LEAT_IR_FUNCTION(name, operands, version) case name:
#include "leat/ir/functions.def"
      CHECK(false);  // check_program refuses them
    case add_f: return binary(llvm::Instruction::FAdd);
    case sub_f: return binary(llvm::Instruction::FSub);
    case mul_f: return binary(llvm::Instruction::FMul);
    case div_f: return binary(llvm::Instruction::FDiv);
    case min_f: return lanewise([&](Operands v) { return smaller(v[0], v[1]); });
    case max_f: return lanewise([&](Operands v) { return larger(v[0], v[1]); });
    case fma: return lanewise([&](Operands v) { return fused_multiply_add(v[0], v[1], v[2]); });
    case add_i: return binary(llvm::Instruction::Add);
    case sub_i: return binary(llvm::Instruction::Sub);
    case mul_i: return binary(llvm::Instruction::Mul);
    case div_i: return lanewise([&](Operands v) { return quotient(v[0], v[1]); });
    case rem_i: return lanewise([&](Operands v) { return remainder(v[0], v[1]); });
    case min_i: return intrinsic(llvm::Intrinsic::smin);
    case max_i: return intrinsic(llvm::Intrinsic::smax);
    case and_i:
    case and_b: return binary(llvm::Instruction::And);
    case or_i:
    case or_b: return binary(llvm::Instruction::Or);
    case xor_i:
    case xor_b: return binary(llvm::Instruction::Xor);
    case shl_i: return shift(llvm::Instruction::Shl);
    case shr_s: return shift(llvm::Instruction::AShr);
    case shr_u: return shift(llvm::Instruction::LShr);
    case popcount: return intrinsic(llvm::Intrinsic::ctpop);
    case not_b: return lanewise([&](Operands v) { return build_.CreateNot(v[0]); });
    case lt_f: return compare(llvm::CmpInst::FCMP_OLT);
    case le_f: return compare(llvm::CmpInst::FCMP_OLE);
    case eq_f: return compare(llvm::CmpInst::FCMP_OEQ);
    case lt_i: return compare(llvm::CmpInst::ICMP_SLT);
    case le_i: return compare(llvm::CmpInst::ICMP_SLE);
    case lt_u: return compare(llvm::CmpInst::ICMP_ULT);
    case eq_i: return compare(llvm::CmpInst::ICMP_EQ);
    case select: return lanewise([&](Operands v) { return build_.CreateSelect(v[0], v[1], v[2]); });
    case int_from_float: return write_saturated(instruction);
    case float_from_int: return cast(llvm::Instruction::SIToFP);
    case int_from_bool:
    case widen_u: return cast(llvm::Instruction::ZExt);
    case widen_i: return cast(llvm::Instruction::SExt);
    case narrow_i: return cast(llvm::Instruction::Trunc);
    case widen_f: return cast(llvm::Instruction::FPExt);
    case narrow_f: return cast(llvm::Instruction::FPTrunc);
    case bits_from_float:
    case float_from_bits: return cast(llvm::Instruction::BitCast);
    case vector: return write_vector(instruction);
    case extract: return set(operand(instruction, 0, static_cast<size_t>(instruction.imm)));
    case load:
    case load_local: return write_load(instruction);
    case store:
    case store_local: return write_store(instruction);
    case barrier: return write_barrier();
    case atomic_add: return write_atomic_add(instruction);
    case last_group: return write_last_group(instruction);
    case reduce_add:
    case reduce_min:
    case reduce_max: return set(reduce(instruction.op, operand(instruction, 0, 0)));
    case rounds: return set(rounds_of(operand(instruction, 0, 0)));
    case shuffle:
    case shuffle_xor:
    case shuffle_up:
    case shuffle_down: return write_shuffle(instruction);
    case dot_ss:
    case dot_us:
    case dot_uu:
    case dot_bf16: return set(dot(instruction));
    case copy_async: return write_copy(instruction);
    case copy_commit: return write_copy_commit();
    case copy_wait: return write_copy_wait(instruction);
    case prefetch: return write_prefetch(instruction);
    case fragment_fill: return write_fragment_fill(instruction);
    case fragment_load:
    case fragment_load_local: return write_fragment_load(instruction);
    case fragment_store:
    case fragment_store_local: return write_fragment_store(instruction);
    case mma: return write_mma(instruction);
    case mma_wait: return write_mma_wait(instruction);
    case fragment_part:
    case fragment_row:
    case fragment_column: return write_fragment_element(instruction);
    case loop: return write_loop(instruction);
    case branch: return write_branch(instruction);
    case yield: return;  // write_round reads it
  }
}

void KernelWriter::write_group_id(const Instruction& instruction) {
  llvm::Value* id = group_ids_[instruction.imm];
  wide_[instruction.first_result] = id;
  values_[instruction.first_result] = {build_.CreateTrunc(id, build_.getInt32Ty())};
}

// On a CPU a workgroup is one wave and there is nobody to wait for.
void KernelWriter::write_barrier() {
  if (!features_.lane_is_thread()) return;
  if (has_tile_products(program_)) features_.gpu->tile_unit->fence(build_);
  features_.gpu->barrier(build_);
}

void KernelWriter::write_loop(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const auto bound = [&](size_t i) {
    return build_.CreateSExt(values_[operands[i]][0], counter_type_);
  };
  // The counter and the carried values' components, in the types of the loop's arguments.
  std::vector<llvm::Value*> state = {bound(0)};
  append_carried(operands.subspan(3), program_.blocks[instruction.regions[0]], state);
  llvm::Value* step = bound(2);
  write_rounds(instruction, state, bound(1), step);
  size_t next = 1;
  for (uint32_t i = 0; i < instruction.result_count; ++i) {
    const ValueId result = instruction.first_result + i;
    const size_t width = component_count(program_.values[result]);
    values_[result].assign(state.data() + next, state.data() + next + width);
    next += width;
  }
}

void KernelWriter::append_carried(std::span<const ValueId> from, const Block& body,
                                  std::vector<llvm::Value*>& to) {
  CHECK(from.size() + 1 == body.argument_count);
  for (uint32_t i = 0; i < from.size(); ++i) {
    const Type& type = program_.values[body.first_argument + 1 + i];
    const Components& components = values_[from[i]];
    for (size_t k = 0; k < component_count(type); ++k) {
      llvm::Value* value = components[components.size() == 1 ? 0 : k];
      to.push_back(type.varying ? splat(value) : value);
    }
  }
}

// while (counter < hi) { body }, written as a guard and a do-while. `state` is the counter and the
// carried values' components, before and after.
void KernelWriter::write_rounds(const Instruction& instruction, std::vector<llvm::Value*>& state,
                                llvm::Value* hi, llvm::Value* step) {
  llvm::BasicBlock* before = build_.GetInsertBlock();
  llvm::BasicBlock* body = llvm::BasicBlock::Create(context_, "loop", function_);
  llvm::BasicBlock* exit = llvm::BasicBlock::Create(context_, "next", function_);
  build_.CreateCondBr(build_.CreateICmpSLT(state[0], hi), body, exit);

  build_.SetInsertPoint(body);
  std::vector<llvm::PHINode*> phis;
  const std::vector<llvm::Value*> skipped = state;
  for (llvm::Value*& value : state) {
    phis.push_back(build_.CreatePHI(value->getType(), 2));
    phis.back()->addIncoming(value, before);
    value = phis.back();
  }
  write_round(instruction, state, hi, step);
  llvm::BasicBlock* last = build_.GetInsertBlock();
  build_.CreateCondBr(build_.CreateICmpSLT(state[0], hi), body, exit);

  build_.SetInsertPoint(exit);
  for (size_t i = 0; i < phis.size(); ++i) {
    phis[i]->addIncoming(state[i], last);
    llvm::PHINode* joined = build_.CreatePHI(state[i]->getType(), 2);
    joined->addIncoming(skipped[i], before);
    joined->addIncoming(state[i], last);
    state[i] = joined;
  }
}

// Where a counter has 32 bits, the one behind the last round fits if the end leaves room for it.
bool KernelWriter::counter_fits(llvm::Value* hi, llvm::Value* step) {
  if (counter_type_->isIntegerTy(64)) return true;
  const auto* added = llvm::dyn_cast<llvm::ConstantInt>(step);
  if (added == nullptr) return false;
  const int64_t most = llvm::computeConstantRange(hi, true).getSignedMax().getSExtValue();
  return most - 1 + added->getSExtValue() <= INT32_MAX;
}

void KernelWriter::write_round(const Instruction& instruction, std::vector<llvm::Value*>& state,
                               llvm::Value* hi, llvm::Value* step) {
  const Block& body = program_.blocks[instruction.regions[0]];
  llvm::Value* counter = state[0];
  const ValueId argument = body.first_argument;
  wide_[argument] = counter;
  values_[argument] = {build_.CreateTrunc(counter, build_.getInt32Ty())};
  size_t next = 1;
  for (uint32_t i = 1; i < body.argument_count; ++i) {
    const size_t width = component_count(program_.values[argument + i]);
    values_[argument + i].assign(state.data() + next, state.data() + next + width);
    next += width;
  }
  write_block(instruction.regions[0]);
  const Instruction& last = program_.instructions[body.instructions.back()];
  CHECK(last.op == Opcode::yield);
  state = {build_.CreateAdd(counter, step, "", false, counter_fits(hi, step))};
  append_carried(program_.operands_of(last), body, state);
}

llvm::Value* KernelWriter::rounds_of(llvm::Value* own) {
  if (features_.lane_is_thread()) return own;
  // Of truths that is whether one holds, which is one test of a mask.
  if (auto* flag = llvm::dyn_cast<llvm::ZExtInst>(own); flag != nullptr) {
    llvm::Value* truths = flag->getOperand(0);
    if (truths->getType()->isVectorTy() && truths->getType()->isIntOrIntVectorTy(1)) {
      return build_.CreateZExt(build_.CreateOrReduce(truths), build_.getInt32Ty());
    }
  }
  return build_.CreateIntMaxReduce(splat(own), true);
}

void KernelWriter::write_branch(const Instruction& instruction) {
  llvm::BasicBlock* then = llvm::BasicBlock::Create(context_, "then", function_);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(context_, "after", function_);
  llvm::BasicBlock* otherwise = after;
  const bool has_else = instruction.regions[1] != kNone;
  if (has_else) otherwise = llvm::BasicBlock::Create(context_, "else", function_);
  build_.CreateCondBr(operand(instruction, 0, 0), then, otherwise);

  build_.SetInsertPoint(then);
  write_block(instruction.regions[0]);
  build_.CreateBr(after);
  if (has_else) {
    build_.SetInsertPoint(otherwise);
    write_block(instruction.regions[1]);
    build_.CreateBr(after);
  }
  build_.SetInsertPoint(after);
}

}  // namespace leat
