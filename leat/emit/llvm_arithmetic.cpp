// KernelWriter, values: what each arithmetic instruction becomes. Instructions exist with scalar
// and with vector operands alike, so one rule serves both uniform and varying values. Division by
// zero would trap on x86, where it must only be undefined: the divisor is replaced.
#include "leat/base/check.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;
using llvm::Intrinsic::ID;

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
  }
  return nullptr;
}

llvm::Type* KernelWriter::type_of(const Type& type) {
  llvm::Type* scalar = type_of(type.scalar);
  const bool is_vector = type.varying && !features_.lane_is_thread;
  return is_vector ? llvm::FixedVectorType::get(scalar, lanes_) : scalar;
}

llvm::Value* KernelWriter::splat(llvm::Value* value) {
  if (features_.lane_is_thread || value->getType()->isVectorTy()) return value;
  return build_.CreateVectorSplat(lanes_, value);
}

llvm::Constant* KernelWriter::counter(int64_t number) {
  return llvm::ConstantInt::get(counter_type_, static_cast<uint64_t>(number), true);
}

llvm::Value* KernelWriter::constant_of(const Instruction& instruction) {
  llvm::Type* type = type_of(program_.values[instruction.first_result].scalar);
  const uint64_t bits = static_cast<uint64_t>(instruction.imm);
  if (type->isIntegerTy(1)) return build_.getInt1(bits != 0);
  llvm::Constant* integer = build_.getInt32(static_cast<uint32_t>(bits));
  return llvm::ConstantExpr::getBitCast(integer, type);
}

llvm::Value* KernelWriter::operand(const Instruction& instruction, size_t i, size_t component) {
  const Components& components = values_[program_.operands_of(instruction)[i]];
  return components[components.size() == 1 ? 0 : component];
}

void KernelWriter::set_lanewise(const Instruction& instruction) {
  const Type& type = program_.values[instruction.first_result];
  Components result;
  for (size_t component = 0; component < type.width; ++component) {
    llvm::SmallVector<llvm::Value*, 3> operands;
    for (size_t i = 0; i < instruction.operand_count; ++i) {
      llvm::Value* value = operand(instruction, i, component);
      const bool keep_scalar = instruction.op == Opcode::select && i == 0;
      operands.push_back(type.varying && !keep_scalar ? splat(value) : value);
    }
    result.push_back(lanewise(instruction, operands));
  }
  values_[instruction.first_result] = std::move(result);
}

llvm::Value* KernelWriter::lanewise(const Instruction& instruction,
                                    llvm::ArrayRef<llvm::Value*> operands) {
  const Opcode op = instruction.op;
  switch (class_of(op)) {
    case OpClass::unary_float: return unary_float(op, operands[0]);
    case OpClass::binary_float: return binary_float(op, operands[0], operands[1]);
    case OpClass::binary_int: return binary_int(op, operands[0], operands[1]);
    case OpClass::compare: return compare(op, operands[0], operands[1]);
    case OpClass::binary_bool:
      if (op == Opcode::and_b) return build_.CreateAnd(operands[0], operands[1]);
      if (op == Opcode::or_b) return build_.CreateOr(operands[0], operands[1]);
      return build_.CreateXor(operands[0], operands[1]);
    case OpClass::function: CHECK(false);  // check_program refuses them
    case OpClass::other: return other(instruction, operands);
  }
  return nullptr;
}

llvm::Value* KernelWriter::unary_float(Opcode op, llvm::Value* a) {
  if (op == Opcode::neg) return build_.CreateFNeg(a);
  ID intrinsic = llvm::Intrinsic::not_intrinsic;
  if (op == Opcode::abs) intrinsic = llvm::Intrinsic::fabs;
  if (op == Opcode::sqrt) intrinsic = llvm::Intrinsic::sqrt;
  if (op == Opcode::floor) intrinsic = llvm::Intrinsic::floor;
  if (op == Opcode::ceil) intrinsic = llvm::Intrinsic::ceil;
  if (op == Opcode::round_even) intrinsic = llvm::Intrinsic::roundeven;
  CHECK(intrinsic != llvm::Intrinsic::not_intrinsic);
  return build_.CreateUnaryIntrinsic(intrinsic, a);
}

llvm::Value* KernelWriter::binary_float(Opcode op, llvm::Value* a, llvm::Value* b) {
  if (op == Opcode::add_f) return build_.CreateFAdd(a, b);
  if (op == Opcode::sub_f) return build_.CreateFSub(a, b);
  if (op == Opcode::mul_f) return build_.CreateFMul(a, b);
  if (op == Opcode::div_f) return build_.CreateFDiv(a, b);
  CHECK(op == Opcode::min_f || op == Opcode::max_f);
  if (features_.lane_is_thread) {  // one instruction there; of one NaN it gives the other operand
    return build_.CreateBinaryIntrinsic(
        op == Opcode::min_f ? llvm::Intrinsic::minnum : llvm::Intrinsic::maxnum, a, b);
  }
  // This form is exactly one minps or maxps.
  llvm::Value* first =
      op == Opcode::min_f ? build_.CreateFCmpOLT(a, b) : build_.CreateFCmpOGT(a, b);
  return build_.CreateSelect(first, a, b);
}

llvm::Value* KernelWriter::binary_int(Opcode op, llvm::Value* a, llvm::Value* b) {
  const auto count = [&] { return build_.CreateAnd(b, int_like(b, 31)); };
  if (op == Opcode::add_i) return build_.CreateAdd(a, b);
  if (op == Opcode::sub_i) return build_.CreateSub(a, b);
  if (op == Opcode::mul_i) return build_.CreateMul(a, b);
  if (op == Opcode::min_i) return build_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b);
  if (op == Opcode::max_i) return build_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, a, b);
  if (op == Opcode::and_i) return build_.CreateAnd(a, b);
  if (op == Opcode::or_i) return build_.CreateOr(a, b);
  if (op == Opcode::xor_i) return build_.CreateXor(a, b);
  if (op == Opcode::shl_i) return build_.CreateShl(a, count());
  if (op == Opcode::shr_s) return build_.CreateAShr(a, count());
  if (op == Opcode::shr_u) return build_.CreateLShr(a, count());
  return divide(op, a, b);
}

// x / 0 = x % 0 = 0, x / -1 = -x and x % -1 = 0, as the interpreter has it. A constant divisor
// folds all of it.
llvm::Value* KernelWriter::divide(Opcode op, llvm::Value* a, llvm::Value* b) {
  CHECK(op == Opcode::div_i || op == Opcode::rem_i);
  const bool is_quotient = op == Opcode::div_i;
  llvm::Value* is_zero = build_.CreateICmpEQ(b, int_like(b, 0));
  llvm::Value* is_minus_one = build_.CreateICmpEQ(b, int_like(b, -1));
  llvm::Value* special = build_.CreateOr(is_zero, is_minus_one);
  llvm::Value* divisor = build_.CreateSelect(special, int_like(b, 1), b);
  llvm::Value* result = is_quotient ? build_.CreateSDiv(a, divisor) : build_.CreateSRem(a, divisor);
  if (is_quotient) result = build_.CreateSelect(is_minus_one, build_.CreateNeg(a), result);
  return build_.CreateSelect(is_zero, int_like(a, 0), result);
}

llvm::Value* KernelWriter::compare(Opcode op, llvm::Value* a, llvm::Value* b) {
  if (op == Opcode::lt_f) return build_.CreateFCmpOLT(a, b);
  if (op == Opcode::le_f) return build_.CreateFCmpOLE(a, b);
  if (op == Opcode::eq_f) return build_.CreateFCmpOEQ(a, b);
  if (op == Opcode::lt_i) return build_.CreateICmpSLT(a, b);
  if (op == Opcode::le_i) return build_.CreateICmpSLE(a, b);
  if (op == Opcode::lt_u) return build_.CreateICmpULT(a, b);
  CHECK(op == Opcode::eq_i);
  return build_.CreateICmpEQ(a, b);
}

llvm::Value* KernelWriter::other(const Instruction& instruction,
                                 llvm::ArrayRef<llvm::Value*> operands) {
  const Opcode op = instruction.op;
  llvm::Type* type = type_of(program_.values[instruction.first_result]);
  if (op == Opcode::fma) return fused_multiply_add(operands[0], operands[1], operands[2]);
  if (op == Opcode::select) return build_.CreateSelect(operands[0], operands[1], operands[2]);
  if (op == Opcode::not_b) return build_.CreateNot(operands[0]);
  if (op == Opcode::int_from_float) {
    return build_.CreateIntrinsic(llvm::Intrinsic::fptosi_sat, {type, operands[0]->getType()},
                                  {operands[0]});
  }
  if (op == Opcode::float_from_int) return build_.CreateSIToFP(operands[0], type);
  if (op == Opcode::int_from_bool) return build_.CreateZExt(operands[0], type);
  CHECK(op == Opcode::bits_from_float || op == Opcode::float_from_bits);
  return build_.CreateBitCast(operands[0], type);
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
  llvm::Value* product = build_.CreateFMul(extend(a), extend(b));
  return build_.CreateFPTrunc(build_.CreateFAdd(product, extend(c)), a->getType());
}

// The halving tree of ir.h: lane i joins lane i + n/2 until one is left.
llvm::Value* KernelWriter::reduce(Opcode op, llvm::Value* value) {
  const bool is_float = value->getType()->getScalarType()->isFloatTy();
  Opcode pair = is_float ? Opcode::add_f : Opcode::add_i;
  if (op == Opcode::reduce_min) pair = is_float ? Opcode::min_f : Opcode::min_i;
  if (op == Opcode::reduce_max) pair = is_float ? Opcode::max_f : Opcode::max_i;
  return features_.lane_is_thread ? reduce_threads(pair, value) : reduce_lanes(pair, splat(value));
}

llvm::Value* KernelWriter::joined(Opcode pair, llvm::Value* a, llvm::Value* b) {
  return class_of(pair) == OpClass::binary_float ? binary_float(pair, a, b)
                                                 : binary_int(pair, a, b);
}

llvm::Value* KernelWriter::reduce_lanes(Opcode pair, llvm::Value* value) {
  for (uint32_t half = lanes_ / 2; half > 0; half /= 2) {
    llvm::SmallVector<int, 32> low;
    llvm::SmallVector<int, 32> high;
    for (uint32_t i = 0; i < half; ++i) {
      low.push_back(static_cast<int>(i));
      high.push_back(static_cast<int>(i + half));
    }
    llvm::Value* a = build_.CreateShuffleVector(value, low);
    llvm::Value* b = build_.CreateShuffleVector(value, high);
    value = joined(pair, a, b);
  }
  return build_.CreateExtractElement(value, uint64_t{0});
}

}  // namespace leat
