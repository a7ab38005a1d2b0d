// KernelWriter, what lanes exchange: shuffles, dot products of bytes, asynchronous copies.
#include "leat/base/check.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

void KernelWriter::write_shuffle(const Instruction& instruction) {
  llvm::Value* value = operand(instruction, 0, 0);
  values_[instruction.first_result] = {features_.lane_is_thread()
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

llvm::Value* KernelWriter::shuffle_threads(const Instruction& instruction, llvm::Value* value) {
  llvm::Value* amount = instruction.op == Opcode::shuffle
                            ? operand(instruction, 1, 0)
                            : build_.getInt32(static_cast<uint32_t>(instruction.imm));
  llvm::Value* other =
      features_.gpu->shuffle(build_, {.op = instruction.op,
                                      .bits = build_.CreateBitCast(value, build_.getInt32Ty()),
                                      .lane = lane_id_,
                                      .amount = amount,
                                      .lanes = lanes_});
  return build_.CreateBitCast(other, value->getType());
}

llvm::Value* KernelWriter::dot(Opcode op, llvm::ArrayRef<llvm::Value*> operands) {
  CHECK(features_.lane_is_thread() && features_.gpu->dot != nullptr);
  return features_.gpu->dot(build_, op, operands);
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
  const AsyncCopies& copies = async_copies();
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
  copies.copy(build_, target, source, size, bytes_copied);
}

void KernelWriter::write_copy_commit() { async_copies().commit(build_); }

void KernelWriter::write_copy_wait(const Instruction& instruction) {
  async_copies().wait(build_, static_cast<uint32_t>(instruction.imm));
}

void KernelWriter::write_prefetch(const Instruction& instruction) {
  CHECK(features_.lane_is_thread() && features_.gpu->prefetch != nullptr);
  const DType storage = program_.parameters[instruction.slot].storage;
  const int64_t bytes = size_bytes_of(storage) * instruction.imm;
  llvm::Value* first =
      element_pointer(parameters_[instruction.slot], program_.operands_of(instruction)[0], storage);
  features_.gpu->prefetch(build_, first, static_cast<uint32_t>(bytes));
}

const AsyncCopies& KernelWriter::async_copies() const {
  CHECK(features_.lane_is_thread() && features_.gpu->async_copies != nullptr);
  return *features_.gpu->async_copies;
}

}  // namespace leat
