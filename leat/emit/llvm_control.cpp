// KernelWriter, control flow: blocks, loops and branches.
// Loops are unrolled here rather than by LLVM: the copies are exactly those that the schedule asked
// for, and the counters of the copies differ by constants, which addresses fold.
// On a CPU a counter is kept in 64 bits for addresses and cut to 32 where the program calculates
// with it.
#include <algorithm>

#include "leat/base/check.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;
using llvm::Intrinsic::ID;

void KernelWriter::write_block(BlockId block) {
  for (InstructionId id : program_.blocks[block].instructions) {
    write_instruction(program_.instructions[id]);
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
    case exp:
    case log:
    case sin:
    case cos:
    case tan:
    case asin:
    case acos:
    case atan:
    case sinh:
    case cosh:
    case tanh:
    case asinh:
    case acosh:
    case atanh:
    case erf:
    case pow: CHECK(false);  // check_program refuses them
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
    case not_b: return lanewise([&](Operands v) { return build_.CreateNot(v[0]); });
    case lt_f: return compare(llvm::CmpInst::FCMP_OLT);
    case le_f: return compare(llvm::CmpInst::FCMP_OLE);
    case eq_f: return compare(llvm::CmpInst::FCMP_OEQ);
    case lt_i: return compare(llvm::CmpInst::ICMP_SLT);
    case le_i: return compare(llvm::CmpInst::ICMP_SLE);
    case lt_u: return compare(llvm::CmpInst::ICMP_ULT);
    case eq_i: return compare(llvm::CmpInst::ICMP_EQ);
    case select: return lanewise([&](Operands v) { return build_.CreateSelect(v[0], v[1], v[2]); });
    case int_from_float: return lanewise([&](Operands v) { return saturated(v[0]); });
    case float_from_int: return cast(llvm::Instruction::SIToFP);
    case int_from_bool: return cast(llvm::Instruction::ZExt);
    case bits_from_float:
    case float_from_bits: return cast(llvm::Instruction::BitCast);
    case vector: return write_vector(instruction);
    case extract: return set(operand(instruction, 0, static_cast<size_t>(instruction.imm)));
    case load:
    case load_local: return write_load(instruction);
    case store:
    case store_local: return write_store(instruction);
    case barrier: return write_barrier();
    case reduce_add:
    case reduce_min:
    case reduce_max: return set(reduce(instruction.op, operand(instruction, 0, 0)));
    case loop: return write_loop(instruction);
    case branch: return write_branch(instruction);
    case yield: return;  // write_rounds reads it
  }
}

void KernelWriter::write_group_id(const Instruction& instruction) {
  llvm::Value* id = group_ids_[instruction.imm];
  wide_[instruction.first_result] = {id, 0};
  values_[instruction.first_result] = {build_.CreateTrunc(id, build_.getInt32Ty())};
}

// On a CPU a workgroup is one wave and there is nobody to wait for.
void KernelWriter::write_barrier() {
  if (features_.lane_is_thread()) features_.gpu->barrier(build_);
}

// With constant bounds the rounds that do not fill a group of `imm` copies, and a group that runs
// once, are written without a loop; otherwise a second, rolled loop runs what is left.
void KernelWriter::write_loop(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  llvm::Value* lo = build_.CreateSExt(values_[operands[0]][0], counter_type_);
  llvm::Value* hi = build_.CreateSExt(values_[operands[1]][0], counter_type_);
  llvm::Value* step = build_.CreateSExt(values_[operands[2]][0], counter_type_);
  LoopState state = {step, initial_values(instruction, lo)};
  const int64_t copies = copies_of(instruction, state);

  const auto* known_lo = llvm::dyn_cast<llvm::ConstantInt>(lo);
  const auto* known_hi = llvm::dyn_cast<llvm::ConstantInt>(hi);
  const auto* known_step = llvm::dyn_cast<llvm::ConstantInt>(step);
  if (known_lo != nullptr && known_hi != nullptr && known_step != nullptr) {
    const int64_t distance = known_hi->getSExtValue() - known_lo->getSExtValue();
    const int64_t each = known_step->getSExtValue();
    const int64_t rounds = distance > 0 ? (distance + each - 1) / each : 0;
    const int64_t whole = rounds / copies * copies;
    llvm::Value* whole_hi = counter(known_lo->getSExtValue() + whole * each);
    if (whole > copies) {
      write_loop_part(instruction, state, whole_hi, copies);
      state.values[0] = whole_hi;
    } else {
      write_rounds(instruction, state, whole);
    }
    write_rounds(instruction, state, rounds - whole);
  } else {
    if (copies > 1) {
      llvm::Value* reach = build_.CreateMul(step, counter(copies - 1));
      write_loop_part(instruction, state, build_.CreateSub(hi, reach), copies);
    }
    write_loop_part(instruction, state, hi, 1);
  }

  size_t next = 1;
  for (uint32_t i = 0; i < instruction.result_count; ++i) {
    const ValueId result = instruction.first_result + i;
    const size_t width = program_.values[result].width;
    values_[result].assign(&state.values[next], &state.values[next] + width);
    next += width;
  }
}

// A body that keeps most registers busy is long enough as it is: unrolled, it gains nothing, and
// LLVM's scheduler mixes the copies until values spill (seen with 28 of 32 registers carried).
int64_t KernelWriter::copies_of(const Instruction& instruction, const LoopState& state) {
  const auto vectors = std::ranges::count_if(
      state.values, [](const llvm::Value* value) { return value->getType()->isVectorTy(); });
  const bool is_full = 2 * vectors > int64_t{features_.vector_registers};
  return is_full || instruction.imm < 1 ? 1 : instruction.imm;
}

// The counter and the carried values' components, in the types of the loop's arguments.
std::vector<llvm::Value*> KernelWriter::initial_values(const Instruction& instruction,
                                                       llvm::Value* lo) {
  const Block& body = program_.blocks[instruction.regions[0]];
  std::vector<llvm::Value*> values = {lo};
  append_carried(program_.operands_of(instruction).subspan(3), body, values);
  return values;
}

void KernelWriter::append_carried(std::span<const ValueId> from, const Block& body,
                                  std::vector<llvm::Value*>& to) {
  CHECK(from.size() + 1 == body.argument_count);
  for (uint32_t i = 0; i < from.size(); ++i) {
    const Type& type = program_.values[body.first_argument + 1 + i];
    const Components& components = values_[from[i]];
    for (size_t k = 0; k < type.width; ++k) {
      llvm::Value* value = components[components.size() == 1 ? 0 : k];
      to.push_back(type.varying ? splat(value) : value);
    }
  }
}

// while (counter < hi) { `copies` rounds }, written as a guard and a do-while.
void KernelWriter::write_loop_part(const Instruction& instruction, LoopState& state,
                                   llvm::Value* hi, int64_t copies) {
  llvm::BasicBlock* before = build_.GetInsertBlock();
  llvm::BasicBlock* body = llvm::BasicBlock::Create(context_, "loop", function_);
  llvm::BasicBlock* exit = llvm::BasicBlock::Create(context_, "next", function_);
  build_.CreateCondBr(build_.CreateICmpSLT(state.values[0], hi), body, exit);

  build_.SetInsertPoint(body);
  std::vector<llvm::PHINode*> phis;
  const std::vector<llvm::Value*> skipped = state.values;
  for (llvm::Value*& value : state.values) {
    phis.push_back(build_.CreatePHI(value->getType(), 2));
    phis.back()->addIncoming(value, before);
    value = phis.back();
  }
  write_rounds(instruction, state, copies);
  llvm::BasicBlock* last = build_.GetInsertBlock();
  build_.CreateCondBr(build_.CreateICmpSLT(state.values[0], hi), body, exit);

  build_.SetInsertPoint(exit);
  for (size_t i = 0; i < phis.size(); ++i) {
    phis[i]->addIncoming(state.values[i], last);
    llvm::PHINode* joined = build_.CreatePHI(state.values[i]->getType(), 2);
    joined->addIncoming(skipped[i], before);
    joined->addIncoming(state.values[i], last);
    state.values[i] = joined;
  }
}

// Copies of the body, one behind the other.
void KernelWriter::write_rounds(const Instruction& instruction, LoopState& state, int64_t count) {
  const Block& body = program_.blocks[instruction.regions[0]];
  llvm::Value* first = state.values[0];
  const auto* step = llvm::dyn_cast<llvm::ConstantInt>(state.step);
  const auto steps = [&](int64_t n) { return build_.CreateMul(state.step, counter(n)); };
  for (int64_t copy = 0; copy < count; ++copy) {
    llvm::Value* at = build_.CreateAdd(first, steps(copy), "", false, true);
    const ValueId argument = body.first_argument;
    wide_[argument] = step == nullptr ? Wide{at, 0} : Wide{first, copy * step->getSExtValue()};
    values_[argument] = {build_.CreateTrunc(at, build_.getInt32Ty())};
    size_t next = 1;
    for (uint32_t i = 1; i < body.argument_count; ++i) {
      const size_t width = program_.values[argument + i].width;
      values_[argument + i].assign(&state.values[next], &state.values[next] + width);
      next += width;
    }
    write_block(instruction.regions[0]);
    const Instruction& last = program_.instructions[body.instructions.back()];
    CHECK(last.op == Opcode::yield);
    state.values.resize(1);
    append_carried(program_.operands_of(last), body, state.values);
  }
  state.values[0] = build_.CreateAdd(first, steps(count), "", false, true);
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
