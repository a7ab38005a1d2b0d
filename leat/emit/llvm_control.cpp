// KernelWriter, control flow: blocks, loops and branches.
// Loops are unrolled here rather than by LLVM: the copies are exactly those that the schedule asked
// for, and the counters of the copies differ by constants, which addresses fold.
// On a CPU a counter is kept in 64 bits for addresses and cut to 32 where the program calculates
// with it.
#include <llvm/IR/IntrinsicsNVPTX.h>

#include <algorithm>

#include "leat/base/check.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

void KernelWriter::write_block(BlockId block) {
  for (InstructionId id : program_.blocks[block].instructions) {
    write_instruction(program_.instructions[id]);
  }
}

void KernelWriter::write_instruction(const Instruction& instruction) {
  switch (class_of(instruction.op)) {
    case OpClass::unary_float:
    case OpClass::binary_float:
    case OpClass::binary_int:
    case OpClass::binary_bool:
    case OpClass::compare: set_lanewise(instruction); break;
    case OpClass::function: CHECK(false);  // check_program refuses them
    case OpClass::other: write_other(instruction); break;
  }
}

void KernelWriter::write_other(const Instruction& instruction) {
  const auto result = [&]() -> Components& { return values_[instruction.first_result]; };
  const Opcode op = instruction.op;
  if (op == Opcode::constant) {
    result() = {constant_of(instruction)};
  } else if (op == Opcode::lane_id) {
    result() = {lane_id_};
  } else if (op == Opcode::wave_id) {
    result() = {wave_id_};
  } else if (op == Opcode::group_id) {
    llvm::Value* id = group_ids_[instruction.imm];
    wide_[instruction.first_result] = {id, 0};
    result() = {build_.CreateTrunc(id, build_.getInt32Ty())};
  } else if (op == Opcode::vector) {
    const bool varying = program_.values[instruction.first_result].varying;
    Components components;
    for (size_t i = 0; i < instruction.operand_count; ++i) {
      llvm::Value* value = operand(instruction, i, 0);
      components.push_back(varying ? splat(value) : value);
    }
    result() = std::move(components);
  } else if (op == Opcode::extract) {
    result() = {operand(instruction, 0, static_cast<size_t>(instruction.imm))};
  } else if (op == Opcode::load || op == Opcode::load_local) {
    write_load(instruction);
  } else if (op == Opcode::store || op == Opcode::store_local) {
    write_store(instruction);
  } else if (op == Opcode::reduce_add || op == Opcode::reduce_min || op == Opcode::reduce_max) {
    result() = {reduce(op, operand(instruction, 0, 0))};
  } else if (op == Opcode::loop) {
    write_loop(instruction);
  } else if (op == Opcode::branch) {
    write_branch(instruction);
  } else if (op == Opcode::barrier) {
    // On a CPU a workgroup is one wave and there is nobody to wait for.
    if (features_.lane_is_thread) build_.CreateIntrinsic(llvm::Intrinsic::nvvm_barrier0, {}, {});
  } else if (op != Opcode::yield) {
    set_lanewise(instruction);
  }
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
