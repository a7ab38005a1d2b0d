// KernelWriter, what workgroups do together: atomic additions, and the counter that tells the last
// of them. On a CPU a workgroup is one wave on one thread. Sources: LLVM Language Reference,
// "atomicrmw" and "Atomic Memory Ordering Constraints"; PTX ISA 8.0, "Memory Consistency Model".
#include "leat/base/check.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

namespace {

llvm::AtomicRMWInst::BinOp addition_of(llvm::Value* value) {
  return value->getType()->isFloatTy() ? llvm::AtomicRMWInst::FAdd : llvm::AtomicRMWInst::Add;
}

}  // namespace

void KernelWriter::write_atomic_add(const Instruction& instruction) {
  const Access access = access_of(instruction);
  llvm::Value* added = operand(instruction, 1, 0);
  values_[instruction.first_result] = {features_.lane_is_thread() ? add_thread(access, added)
                                                                  : add_lanes(access, added)};
}

llvm::Value* KernelWriter::add_thread(const Access& access, llvm::Value* added) {
  const auto add = [&] {
    return build_.CreateAtomicRMW(addition_of(added), access.pointer, added, llvm::Align(4),
                                  llvm::AtomicOrdering::Monotonic);
  };
  if (access.mask == nullptr) return add();
  llvm::BasicBlock* before = build_.GetInsertBlock();
  llvm::BasicBlock* then = llvm::BasicBlock::Create(context_, "add", function_);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(context_, "after", function_);
  build_.CreateCondBr(access.mask, then, after);
  build_.SetInsertPoint(then);
  llvm::Value* old = add();
  build_.CreateBr(after);
  build_.SetInsertPoint(after);
  llvm::PHINode* result = build_.CreatePHI(added->getType(), 2);
  result->addIncoming(llvm::Constant::getNullValue(added->getType()), before);
  result->addIncoming(old, then);
  return result;
}

// A masked-off lane adds to a word of our own, which spares a branch for each lane.
llvm::Value* KernelWriter::add_lanes(const Access& access, llvm::Value* added) {
  llvm::Value* all = splat(added);
  llvm::Value* zero = llvm::Constant::getNullValue(access.element);
  llvm::Value* unread = nullptr;
  if (access.mask != nullptr) {
    llvm::IRBuilder<> at_entry(&function_->getEntryBlock(), function_->getEntryBlock().begin());
    unread = at_entry.CreateAlloca(access.element, nullptr, "unread");
  }
  llvm::Value* result = llvm::PoisonValue::get(all->getType());
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    llvm::Value* pointer = lane_pointer(access, lane, 0);
    llvm::Value* on = access.mask;
    if (access.masked_by_lane()) on = build_.CreateExtractElement(on, uint64_t{lane});
    if (on != nullptr) pointer = build_.CreateSelect(on, pointer, unread);
    llvm::Value* value = build_.CreateExtractElement(all, uint64_t{lane});
    llvm::Value* old = build_.CreateAtomicRMW(addition_of(value), pointer, value, llvm::Align(4),
                                              llvm::AtomicOrdering::Monotonic);
    if (on != nullptr) old = build_.CreateSelect(on, old, zero);
    result = build_.CreateInsertElement(result, old, uint64_t{lane});
  }
  return result;
}

// Counts up to limit = count - 1 and then back to 0; the answer is what was there before.
void KernelWriter::write_last_group(const Instruction& instruction) {
  const AffineIndex place = *affine_.split(program_.operands_of(instruction)[0]);
  Access access;
  access.slot = instruction.slot;
  access.element = build_.getInt32Ty();
  access.parameter = &program_.parameters[instruction.slot];
  llvm::Value* base = parameters_[instruction.slot];
  llvm::Value* limit = build_.CreateSub(operand(instruction, 1, 0), build_.getInt32(1));
  if (features_.lane_is_thread()) {
    llvm::Value* counter = thread_address(access, base, place);
    values_[instruction.first_result] = {last_of_threads(counter, limit)};
    return;
  }
  llvm::Value* before =
      build_.CreateAtomicRMW(llvm::AtomicRMWInst::UIncWrap, address(access, base, place), limit,
                             llvm::Align(4), llvm::AtomicOrdering::AcquireRelease);
  values_[instruction.first_result] = {build_.CreateICmpEQ(before, limit)};
}

// Each thread's stores are out of its own multiprocessor before the first thread counts, and the
// answer reaches all through a barrier with an "or"; what follows reads no copy from before it.
llvm::Value* KernelWriter::last_of_threads(llvm::Value* counter, llvm::Value* limit) {
  CHECK(features_.gpu->group_counter != nullptr);
  const GroupCounter& group_counter = *features_.gpu->group_counter;
  group_counter.fence(build_);
  write_barrier();
  llvm::BasicBlock* before = build_.GetInsertBlock();
  llvm::BasicBlock* first = llvm::BasicBlock::Create(context_, "count", function_);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(context_, "after", function_);
  llvm::Value* number = build_.CreateOr(lane_id_, wave_id_);
  build_.CreateCondBr(build_.CreateICmpEQ(number, build_.getInt32(0)), first, after);
  build_.SetInsertPoint(first);
  llvm::Value* before_it = group_counter.count(build_, counter, limit);
  llvm::Value* counted =
      build_.CreateZExt(build_.CreateICmpEQ(before_it, limit), build_.getInt32Ty());
  build_.CreateBr(after);
  build_.SetInsertPoint(after);
  llvm::PHINode* mine = build_.CreatePHI(build_.getInt32Ty(), 2);
  mine->addIncoming(build_.getInt32(0), before);
  mine->addIncoming(counted, first);
  llvm::Value* any = group_counter.any(build_, mine);
  group_counter.fence(build_);
  return build_.CreateICmpNE(any, build_.getInt32(0));
}

}  // namespace leat
