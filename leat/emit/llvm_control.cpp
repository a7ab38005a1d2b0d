// KernelWriter, control flow: the function's frame, the loop over workgroups, loops and branches.
// Loops are unrolled here rather than by LLVM: the copies are exactly those that the schedule asked
// for, and the counters of the copies differ by constants, which addresses fold.
// A counter is kept in 64 bits for addresses and cut to 32 where the program calculates with it.
#include <llvm/IR/MDBuilder.h>

#include <algorithm>

#include "leat/base/check.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

KernelWriter::KernelWriter(const Program& program, const CpuFeatures& features,
                           const llvm::AttrBuilder& attributes, llvm::Module& module)
    : program_(program),
      features_(features),
      attributes_(attributes),
      module_(module),
      context_(module.getContext()),
      build_(context_),
      affine_(program),
      lanes_(program.wave_lanes),
      values_(program.values.size()),
      wide_(program.values.size()) {}

void KernelWriter::write(const std::string& entry) {
  write_entry(entry);
  write_group_loop();
  build_.CreateRetVoid();
  size_zeros();
}

void KernelWriter::write_entry(const std::string& entry) {
  llvm::Type* i32 = build_.getInt32Ty();
  auto* type = llvm::FunctionType::get(build_.getVoidTy(), {build_.getPtrTy(), i32, i32}, false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, entry, module_);
  function_->addFnAttrs(attributes_);
  function_->addParamAttr(0, llvm::Attribute::NoAlias);
  function_->addParamAttr(0, llvm::Attribute::ReadOnly);
  build_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", function_));

  make_alias_scopes();
  for (uint32_t i = 0; i < program_.parameters.size(); ++i) {
    llvm::Value* place = build_.CreateConstGEP1_32(build_.getPtrTy(), function_->getArg(0), i);
    llvm::LoadInst* base = build_.CreateLoad(build_.getPtrTy(), place, program_.parameters[i].name);
    base->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
    parameters_.push_back(base);
  }
  for (const LocalMemory& local : program_.locals) {
    llvm::Type* array =
        llvm::ArrayType::get(type_of(local.scalar), uint64_t{local.count} * local.width);
    llvm::AllocaInst* memory = build_.CreateAlloca(array, nullptr, local.name);
    memory->setAlignment(llvm::Align(64));
    locals_.push_back(memory);
  }
}

// A written buffer overlaps no other buffer of the same launch, so accesses through one parameter
// never depend on those through another.
void KernelWriter::make_alias_scopes() {
  llvm::MDBuilder metadata(context_);
  llvm::MDNode* domain = metadata.createAnonymousAliasScopeDomain("buffers");
  std::vector<llvm::Metadata*> all;
  for (const Parameter& parameter : program_.parameters) {
    all.push_back(metadata.createAnonymousAliasScope(domain, parameter.name));
  }
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<llvm::Metadata*> others = all;
    others.erase(others.begin() + static_cast<ptrdiff_t>(i));
    scopes_.push_back(llvm::MDNode::get(context_, {all[i]}));
    other_scopes_.push_back(llvm::MDNode::get(context_, others));
  }
}

void KernelWriter::write_group_loop() {
  llvm::Type* i64 = build_.getInt64Ty();
  llvm::Value* first = build_.CreateZExt(function_->getArg(1), i64);
  llvm::Value* end = build_.CreateZExt(function_->getArg(2), i64);
  llvm::BasicBlock* entry = build_.GetInsertBlock();
  llvm::BasicBlock* body = llvm::BasicBlock::Create(context_, "group", function_);
  llvm::BasicBlock* exit = llvm::BasicBlock::Create(context_, "done", function_);
  build_.CreateCondBr(build_.CreateICmpULT(first, end), body, exit);

  build_.SetInsertPoint(body);
  llvm::PHINode* flat = build_.CreatePHI(i64, 2);
  flat->addIncoming(first, entry);
  write_group_ids(flat);
  write_block(0);
  llvm::Value* next = build_.CreateAdd(flat, build_.getInt64(1), "", true, true);
  flat->addIncoming(next, build_.GetInsertBlock());
  build_.CreateCondBr(build_.CreateICmpULT(next, end), body, exit);
  build_.SetInsertPoint(exit);
}

// Divisions by 1 fold to nothing, those by other constants to multiplications.
void KernelWriter::write_group_ids(llvm::Value* flat) {
  llvm::Value* rest = build_.CreateTrunc(flat, build_.getInt32Ty());
  for (int axis = 0; axis < 3; ++axis) {
    const uint32_t extent = program_.grid[static_cast<size_t>(axis)];
    llvm::Value* id = rest;
    if (extent == 1) {
      id = build_.getInt32(0);
    } else if (axis < 2) {
      id = build_.CreateURem(rest, build_.getInt32(extent));
      rest = build_.CreateUDiv(rest, build_.getInt32(extent));
    }
    group_ids_[axis] = build_.CreateZExt(id, build_.getInt64Ty());
  }
}

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
    case OpClass::other: write_other(instruction); break;
  }
}

void KernelWriter::write_other(const Instruction& instruction) {
  const auto result = [&]() -> Components& { return values_[instruction.first_result]; };
  const Opcode op = instruction.op;
  if (op == Opcode::constant) {
    result() = {constant_of(instruction)};
  } else if (op == Opcode::lane_id) {
    result() = {build_.CreateStepVector(llvm::FixedVectorType::get(build_.getInt32Ty(), lanes_))};
  } else if (op == Opcode::wave_id) {
    result() = {build_.getInt32(0)};
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
  } else if (op != Opcode::barrier && op != Opcode::yield) {
    set_lanewise(instruction);
  }
}

// With constant bounds the rounds that do not fill a group of `imm` copies, and a group that runs
// once, are written without a loop; otherwise a second, rolled loop runs what is left.
void KernelWriter::write_loop(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  llvm::Type* i64 = build_.getInt64Ty();
  llvm::Value* lo = build_.CreateSExt(values_[operands[0]][0], i64);
  llvm::Value* hi = build_.CreateSExt(values_[operands[1]][0], i64);
  llvm::Value* step = build_.CreateSExt(values_[operands[2]][0], i64);
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
    llvm::Value* whole_hi =
        build_.getInt64(static_cast<uint64_t>(known_lo->getSExtValue() + whole * each));
    if (whole > copies) {
      write_loop_part(instruction, state, whole_hi, copies);
      state.values[0] = whole_hi;
    } else {
      write_rounds(instruction, state, whole);
    }
    write_rounds(instruction, state, rounds - whole);
  } else {
    if (copies > 1) {
      llvm::Value* reach =
          build_.CreateMul(step, build_.getInt64(static_cast<uint64_t>(copies - 1)));
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
  llvm::Value* counter = state.values[0];
  const auto* step = llvm::dyn_cast<llvm::ConstantInt>(state.step);
  const auto steps = [&](int64_t n) {
    return build_.CreateMul(state.step, build_.getInt64(static_cast<uint64_t>(n)));
  };
  for (int64_t copy = 0; copy < count; ++copy) {
    llvm::Value* at = build_.CreateAdd(counter, steps(copy), "", false, true);
    const ValueId argument = body.first_argument;
    wide_[argument] = step == nullptr ? Wide{at, 0} : Wide{counter, copy * step->getSExtValue()};
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
  state.values[0] = build_.CreateAdd(counter, steps(count), "", false, true);
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
