// KernelWriter, what lanes exchange: shuffles, dot products of bytes, asynchronous copies. Sources:
// PTX ISA 8.0, "shfl.sync", "dp4a" and "cp.async"; LLVM's User Guide for NVPTX Back-end.
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsNVPTX.h>

#include "leat/base/check.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

void KernelWriter::write_shuffle(const Instruction& instruction) {
  llvm::Value* value = operand(instruction, 0, 0);
  values_[instruction.first_result] = {features_.lane_is_thread
                                           ? shuffle_threads(instruction, value)
                                           : shuffle_lanes(instruction, splat(value))};
}

llvm::Value* KernelWriter::shuffle_lanes(const Instruction& instruction, llvm::Value* value) {
  const int lanes = static_cast<int>(lanes_), amount = static_cast<int>(instruction.imm);
  if (instruction.op != Opcode::shuffle) {
    llvm::SmallVector<int, 64> from;
    for (int lane = 0; lane < lanes; ++lane) {
      int other = lane ^ amount;
      if (instruction.op == Opcode::shuffle_up) other = lane < amount ? lane : lane - amount;
      if (instruction.op == Opcode::shuffle_down) {
        other = lane + amount < lanes ? lane + amount : lane;
      }
      from.push_back(other);
    }
    return build_.CreateShuffleVector(value, from);
  }
  const auto lane_at = [&](llvm::Value* index) {
    return build_.CreateExtractElement(value, build_.CreateAnd(index, build_.getInt32(lanes_ - 1)));
  };
  llvm::Value* index = operand(instruction, 1, 0);
  if (!program_.values[instruction.first_result].varying) return lane_at(index);
  index = splat(index);
  llvm::Value* result = llvm::PoisonValue::get(value->getType());
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    llvm::Value* other = lane_at(build_.CreateExtractElement(index, uint64_t{lane}));
    result = build_.CreateInsertElement(result, other, uint64_t{lane});
  }
  return result;
}

// The last operand: the highest lane that is read, for "up" the lowest.
llvm::Value* KernelWriter::shuffle_threads(const Instruction& instruction, llvm::Value* value) {
  llvm::Intrinsic::ID intrinsic = llvm::Intrinsic::nvvm_shfl_sync_idx_i32;
  if (instruction.op == Opcode::shuffle_xor) intrinsic = llvm::Intrinsic::nvvm_shfl_sync_bfly_i32;
  if (instruction.op == Opcode::shuffle_up) intrinsic = llvm::Intrinsic::nvvm_shfl_sync_up_i32;
  if (instruction.op == Opcode::shuffle_down) intrinsic = llvm::Intrinsic::nvvm_shfl_sync_down_i32;
  llvm::Value* lane = instruction.op == Opcode::shuffle
                          ? operand(instruction, 1, 0)
                          : build_.getInt32(static_cast<uint32_t>(instruction.imm));
  const uint32_t end = instruction.op == Opcode::shuffle_up ? 0 : lanes_ - 1;
  llvm::Value* bits = build_.CreateBitCast(value, build_.getInt32Ty());
  llvm::Value* other = build_.CreateIntrinsic(
      intrinsic, {}, {build_.getInt32(0xffffffffu), bits, lane, build_.getInt32(end)});
  return build_.CreateBitCast(other, value->getType());
}

// LLVM 19 has no intrinsic for it.
llvm::Value* KernelWriter::dot(Opcode op, llvm::ArrayRef<llvm::Value*> operands) {
  CHECK(features_.lane_is_thread);
  const char* a = op == Opcode::dot_ss ? "s32" : "u32";
  const char* b = op == Opcode::dot_uu ? "u32" : "s32";
  llvm::Type* i32 = build_.getInt32Ty();
  auto* signature = llvm::FunctionType::get(i32, {i32, i32, i32}, false);
  const std::string text = std::string("dp4a.") + a + "." + b + " $0, $1, $2, $3;";
  auto* product = llvm::InlineAsm::get(signature, text, "=r,r,r,r", false);
  llvm::CallInst* call = build_.CreateCall(signature, product, operands);
  call->setDoesNotAccessMemory();
  call->setDoesNotThrow();
  call->addFnAttr(llvm::Attribute::WillReturn);
  return call;
}

llvm::Value* KernelWriter::element_pointer(llvm::Value* base, ValueId index, DType storage) {
  Access access;
  access.element_bytes = static_cast<uint32_t>(size_bytes_of(storage));
  const std::optional<AffineIndex> affine = affine_.split(index);
  CHECK(affine.has_value());
  return thread_address(access, base, *affine);
}

// A masked-off lane copies no bytes, and the rest of its place becomes zeros; the address must be a
// mapped one all the same.
void KernelWriter::write_copy(const Instruction& instruction) {
  CHECK(features_.lane_is_thread);
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const DType storage = program_.locals[instruction.slot].storage;
  const uint32_t bytes_copied = static_cast<uint32_t>(size_bytes_of(storage) * instruction.imm);
  llvm::Value* target = element_pointer(locals_[instruction.slot], operands[0], storage);
  llvm::Value* base = parameters_[instruction.source];
  llvm::Value* source = element_pointer(base, operands[1], storage);
  llvm::Value* size = build_.getInt32(bytes_copied);
  if (instruction.masked) {
    llvm::Value* mask = values_[operands[2]][0];
    source = build_.CreateSelect(mask, source, base);
    size = build_.CreateSelect(mask, size, build_.getInt32(0));
  }
  llvm::Intrinsic::ID intrinsic = llvm::Intrinsic::nvvm_cp_async_ca_shared_global_4_s;
  if (bytes_copied == 8) intrinsic = llvm::Intrinsic::nvvm_cp_async_ca_shared_global_8_s;
  if (bytes_copied == 16) intrinsic = llvm::Intrinsic::nvvm_cp_async_cg_shared_global_16_s;
  build_.CreateIntrinsic(intrinsic, {}, {target, source, size});
}

void KernelWriter::write_copy_commit() {
  build_.CreateIntrinsic(llvm::Intrinsic::nvvm_cp_async_commit_group, {}, {});
}

void KernelWriter::write_copy_wait(const Instruction& instruction) {
  build_.CreateIntrinsic(llvm::Intrinsic::nvvm_cp_async_wait_group, {},
                         {build_.getInt32(static_cast<uint32_t>(instruction.imm))});
}

}  // namespace leat
