// KernelWriter, values: what each arithmetic instruction becomes. Instructions exist with scalar
// and with vector operands alike, so one rule serves both uniform and varying values. Division by
// zero would trap on x86, where it must only be undefined: the divisor is replaced.
#include <cmath>

#include "leat/base/check.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

namespace {

llvm::Constant* int_like(llvm::Value* value, int64_t number) {
  return llvm::ConstantInt::get(value->getType(), static_cast<uint64_t>(number), true);
}

}  // namespace

llvm::Type* KernelWriter::type_of(Scalar scalar) {
  switch (scalar) {
    case Scalar::f32: return build_.getFloatTy();
    case Scalar::i32: return build_.getInt32Ty();
    case Scalar::b1: return build_.getInt1Ty();
    case Scalar::i64: return build_.getInt64Ty();
    case Scalar::f64: return build_.getDoubleTy();
  }
  return nullptr;
}

llvm::Type* KernelWriter::type_of(const Type& type) {
  llvm::Type* scalar = type_of(type.scalar);
  const bool is_vector = type.varying && !features_.lane_is_thread();
  return is_vector ? llvm::FixedVectorType::get(scalar, lanes_) : scalar;
}

llvm::Value* KernelWriter::splat(llvm::Value* value) {
  if (features_.lane_is_thread() || value->getType()->isVectorTy()) return value;
  return build_.CreateVectorSplat(lanes_, value);
}

llvm::Value* KernelWriter::constant_of(const Instruction& instruction) {
  llvm::Type* type = type_of(program_.values[instruction.first_result].scalar);
  const uint64_t bits = static_cast<uint64_t>(instruction.imm);
  if (type->isIntegerTy(1)) return build_.getInt1(bits != 0);
  llvm::Constant* integer = type->getScalarSizeInBits() == 64
                                ? build_.getInt64(bits)
                                : build_.getInt32(static_cast<uint32_t>(bits));
  return llvm::ConstantExpr::getBitCast(integer, type);
}

llvm::Value* KernelWriter::operand(const Instruction& instruction, size_t i, size_t component) {
  const Components& components = values_[program_.operands_of(instruction)[i]];
  return components[components.size() == 1 ? 0 : component];
}

void KernelWriter::set_lanewise(const Instruction& instruction, Lanewise rule) {
  const Type& type = program_.values[instruction.first_result];
  Components result;
  for (size_t component = 0; component < type.width; ++component) {
    llvm::SmallVector<llvm::Value*, 3> operands;
    for (size_t i = 0; i < instruction.operand_count; ++i) {
      llvm::Value* value = operand(instruction, i, component);
      const bool keep_scalar = instruction.op == Opcode::select && i == 0;
      operands.push_back(type.varying && !keep_scalar ? splat(value) : value);
    }
    result.push_back(rule(operands));
  }
  values_[instruction.first_result] = std::move(result);
}

void KernelWriter::write_vector(const Instruction& instruction) {
  const bool varying = program_.values[instruction.first_result].varying;
  Components components;
  for (size_t i = 0; i < instruction.operand_count; ++i) {
    llvm::Value* value = operand(instruction, i, 0);
    components.push_back(varying ? splat(value) : value);
  }
  values_[instruction.first_result] = std::move(components);
}

// LLVM 19 takes the intrinsic of vectors apart for x86, lane by lane. There what does not fit is
// held off by comparisons, all of which a NaN fails.
void KernelWriter::write_saturated(const Instruction& instruction) {
  llvm::Type* type = type_of(program_.values[instruction.first_result]);
  set_lanewise(instruction, [&](llvm::ArrayRef<llvm::Value*> v) -> llvm::Value* {
    llvm::Type* from = v[0]->getType();
    if (features_.saturates_vectors || !from->isVectorTy()) {
      return build_.CreateIntrinsic(llvm::Intrinsic::fptosi_sat, {type, from}, {v[0]});
    }
    const unsigned bits = type->getScalarSizeInBits();
    llvm::Value* limit = llvm::ConstantFP::get(from, std::ldexp(1.0, static_cast<int>(bits) - 1));
    llvm::Value* lowest = build_.CreateFNeg(limit);
    llvm::Value* above = build_.CreateFCmpOGE(v[0], limit);
    llvm::Value* bounded = build_.CreateSelect(build_.CreateFCmpOLT(v[0], lowest), lowest, v[0]);
    llvm::Value* fits = build_.CreateFCmpOLT(bounded, limit);
    llvm::Value* safe = build_.CreateSelect(fits, bounded, llvm::Constant::getNullValue(from));
    llvm::Value* most = llvm::ConstantInt::get(type, llvm::APInt::getSignedMaxValue(bits));
    return build_.CreateSelect(above, most, build_.CreateFPToSI(safe, type));
  });
}

// A GPU has one instruction for it, which of one NaN gives the other operand. On a CPU the
// comparison is exactly one minps or maxps.
llvm::Value* KernelWriter::smaller(llvm::Value* a, llvm::Value* b) {
  if (features_.lane_is_thread()) {
    return build_.CreateBinaryIntrinsic(llvm::Intrinsic::minnum, a, b);
  }
  return build_.CreateSelect(build_.CreateFCmpOLT(a, b), a, b);
}

llvm::Value* KernelWriter::larger(llvm::Value* a, llvm::Value* b) {
  if (features_.lane_is_thread()) {
    return build_.CreateBinaryIntrinsic(llvm::Intrinsic::maxnum, a, b);
  }
  return build_.CreateSelect(build_.CreateFCmpOGT(a, b), a, b);
}

// The low bits of the count, as many as tell the bits of its type apart.
llvm::Value* KernelWriter::shift_count(llvm::Value* count) {
  const int64_t bits = count->getType()->getScalarSizeInBits();
  return build_.CreateAnd(count, int_like(count, bits - 1));
}

// x / 0 = x % 0 = 0, x / -1 = -x and x % -1 = 0, as the interpreter has it. A constant divisor
// folds all of it.
KernelWriter::Divisor KernelWriter::safe_divisor(llvm::Value* b) {
  llvm::Value* is_zero = build_.CreateICmpEQ(b, int_like(b, 0));
  llvm::Value* is_minus_one = build_.CreateICmpEQ(b, int_like(b, -1));
  llvm::Value* special = build_.CreateOr(is_zero, is_minus_one);
  return {is_zero, is_minus_one, build_.CreateSelect(special, int_like(b, 1), b)};
}

llvm::Value* KernelWriter::quotient(llvm::Value* a, llvm::Value* b) {
  const Divisor divisor = safe_divisor(b);
  llvm::Value* result = build_.CreateSDiv(a, divisor.value);
  result = build_.CreateSelect(divisor.is_minus_one, build_.CreateNeg(a), result);
  return build_.CreateSelect(divisor.is_zero, int_like(a, 0), result);
}

llvm::Value* KernelWriter::remainder(llvm::Value* a, llvm::Value* b) {
  const Divisor divisor = safe_divisor(b);
  llvm::Value* result = build_.CreateSRem(a, divisor.value);
  return build_.CreateSelect(divisor.is_zero, int_like(a, 0), result);
}

// Without the instruction the sum is formed in f64, where the product is exact: the result is
// rounded twice, which differs from once only when the f64 sum lies halfway between two f32.
llvm::Value* KernelWriter::fused_multiply_add(llvm::Value* a, llvm::Value* b, llvm::Value* c) {
  if (features_.fma) {
    return build_.CreateIntrinsic(llvm::Intrinsic::fma, {a->getType()}, {a, b, c});
  }
  llvm::Type* wide_type = build_.getDoubleTy();
  if (a->getType()->isVectorTy()) wide_type = llvm::FixedVectorType::get(wide_type, lanes_);
  const auto extend = [&](llvm::Value* value) { return build_.CreateFPExt(value, wide_type); };
  llvm::Value* wide_b = extend(b);
  llvm::Value* product = build_.CreateFMul(extend(a), wide_b);
  return build_.CreateFPTrunc(build_.CreateFAdd(product, extend(c)), a->getType());
}

// The halving tree of ir.h: lane i joins lane i + n/2 until one is left.
llvm::Value* KernelWriter::reduce(Opcode op, llvm::Value* value) {
  return features_.lane_is_thread() ? reduce_threads(op, value) : reduce_lanes(op, splat(value));
}

llvm::Value* KernelWriter::joined(Opcode reduction, llvm::Value* a, llvm::Value* b) {
  const bool is_float = a->getType()->getScalarType()->isFloatTy();
  if (reduction == Opcode::reduce_add) {
    return is_float ? build_.CreateFAdd(a, b) : build_.CreateAdd(a, b);
  }
  if (reduction == Opcode::reduce_min) {
    return is_float ? smaller(a, b) : build_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b);
  }
  CHECK(reduction == Opcode::reduce_max);
  return is_float ? larger(a, b) : build_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, a, b);
}

llvm::Value* KernelWriter::reduce_lanes(Opcode reduction, llvm::Value* value) {
  for (uint32_t half = lanes_ / 2; half > 0; half /= 2) {
    llvm::SmallVector<int, 32> low;
    llvm::SmallVector<int, 32> high;
    for (uint32_t i = 0; i < half; ++i) {
      low.push_back(static_cast<int>(i));
      high.push_back(static_cast<int>(i + half));
    }
    llvm::Value* a = build_.CreateShuffleVector(value, low);
    llvm::Value* b = build_.CreateShuffleVector(value, high);
    value = joined(reduction, a, b);
  }
  return build_.CreateExtractElement(value, uint64_t{0});
}

}  // namespace leat
