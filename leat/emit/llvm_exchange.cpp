// KernelWriter, what lanes exchange: shuffles, dot products, asynchronous copies.
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>

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

llvm::Value* KernelWriter::dot(const Instruction& instruction) {
  llvm::SmallVector<llvm::Value*, 3> operands;
  for (size_t i = 0; i < 3; ++i) operands.push_back(operand(instruction, i, 0));
  if (features_.lane_is_thread()) {
    CHECK(features_.gpu->dot != nullptr);
    return features_.gpu->dot(build_, instruction.op, operands);
  }
  for (llvm::Value*& value : operands) value = splat(value);
  llvm::Value* sums = dot_lanes(instruction.op, operands);
  const bool varying = program_.values[instruction.first_result].varying;
  return varying ? sums : build_.CreateExtractElement(sums, uint64_t{0});
}

// An instruction takes 16 lanes. Those of other waves are moved one by one.
llvm::Value* KernelWriter::dot_lanes(Opcode op, llvm::ArrayRef<llvm::Value*> operands) {
  constexpr uint32_t kLanes = 16;
  CHECK(op == Opcode::dot_bf16 || op == Opcode::dot_us);
  const bool is_bytes = op == Opcode::dot_us;
  auto* parts = is_bytes ? llvm::FixedVectorType::get(build_.getInt32Ty(), kLanes)
                         : llvm::FixedVectorType::get(build_.getBFloatTy(), 2 * kLanes);
  const llvm::Intrinsic::ID intrinsic = is_bytes ? llvm::Intrinsic::x86_avx512_vpdpbusd_512
                                                 : llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512;
  const auto part = [&](llvm::Value* value, uint32_t first) -> llvm::Value* {
    if (lanes_ == kLanes) return value;
    auto* type = llvm::FixedVectorType::get(value->getType()->getScalarType(), kLanes);
    llvm::Value* result = llvm::PoisonValue::get(type);
    for (uint32_t i = 0; i < kLanes; ++i) {
      llvm::Value* lane = build_.CreateExtractElement(value, uint64_t{(first + i) % lanes_});
      result = build_.CreateInsertElement(result, lane, uint64_t{i});
    }
    return result;
  };
  llvm::Value* all = llvm::PoisonValue::get(operands[2]->getType());
  for (uint32_t first = 0; first < lanes_; first += kLanes) {
    llvm::Value* a = build_.CreateBitCast(part(operands[0], first), parts);
    llvm::Value* b = build_.CreateBitCast(part(operands[1], first), parts);
    llvm::Value* sums = build_.CreateIntrinsic(intrinsic, {}, {part(operands[2], first), a, b});
    if (lanes_ == kLanes) return sums;
    for (uint32_t lane = first; lane < std::min(first + kLanes, lanes_); ++lane) {
      llvm::Value* sum = build_.CreateExtractElement(sums, uint64_t{lane - first});
      all = build_.CreateInsertElement(all, sum, uint64_t{lane});
    }
  }
  return all;
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
  if (!features_.lane_is_thread()) return write_vector_copy(instruction);
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

// On a CPU it is done at once: one vector where the lanes follow each other on both sides and have
// one mask, else a copy for each lane.
void KernelWriter::write_vector_copy(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const DType storage = program_.locals[instruction.slot].storage;
  Access from;
  from.element_bytes = static_cast<uint32_t>(size_bytes_of(storage));
  Access to = from;
  from.is_load = true;
  from.parameter = &program_.parameters[instruction.source];
  from.slot = instruction.source;
  if (instruction.masked) {
    from.mask_value = operands[2];
    from.mask = values_[operands[2]][0];
  }
  set_place(from, parameters_[instruction.source], operands[1], kIndexed);
  set_place(to, locals_[instruction.slot], operands[0], kIndexed);
  const int64_t size = from.element_bytes * instruction.imm;
  const llvm::Align align(from.element_bytes);
  const auto move = [&](llvm::Value* target, llvm::Value* source, uint64_t count) {
    llvm::Type* type = llvm::FixedVectorType::get(build_.getInt8Ty(), static_cast<unsigned>(count));
    llvm::LoadInst* load = build_.CreateAlignedLoad(type, source, align);
    mark(load, from);
    build_.CreateAlignedStore(load, target, align);
  };
  const auto follows = [&](const Access& access) {
    return access.pointer != nullptr && access.lane_step_bytes == size;
  };
  if (follows(from) && follows(to) && !from.masked_by_lane()) {
    llvm::Value* source = from.pointer;
    if (from.mask != nullptr) source = build_.CreateSelect(from.mask, source, zeros());
    zeros_bytes_ = std::max(zeros_bytes_, size * lanes_);
    return move(to.pointer, source, static_cast<uint64_t>(size) * lanes_);
  }
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    llvm::Value* source = lane_pointer(from, lane, 0);
    if (from.mask != nullptr) {
      llvm::Value* bit = from.mask;
      if (from.masked_by_lane()) bit = build_.CreateExtractElement(bit, uint64_t{lane});
      source = build_.CreateSelect(bit, source, zeros());
    }
    move(lane_pointer(to, lane, 0), source, static_cast<uint64_t>(size));
  }
}

void KernelWriter::write_copy_commit() {
  if (features_.lane_is_thread()) async_copies().commit(build_);
}

void KernelWriter::write_copy_wait(const Instruction& instruction) {
  if (!features_.lane_is_thread()) return;
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
