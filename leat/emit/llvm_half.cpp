// bfloat16 <-> f32 and, for x86 chips without F16C, binary16 <-> f32 by integer and float
// arithmetic. A binary16 number moved to the exponent and mantissa places of an f32 is too small by
// 2^112, the difference of the exponents' biases (127 - 15); one multiplication mends that,
// subnormals included. Source of the layouts: IEEE 754-2008, section 3.4.
#include "leat/emit/llvm_writer.h"

namespace leat {

namespace {

llvm::Constant* bits_like(llvm::Value* value, uint32_t bits) {
  return llvm::ConstantInt::get(value->getType(), bits);
}

}  // namespace

llvm::Value* float_from_bfloat_bits(llvm::IRBuilder<>& build, llvm::Value* bits) {
  llvm::Type* i32 = bits->getType()->getWithNewType(build.getInt32Ty());
  llvm::Type* f32 = bits->getType()->getWithNewType(build.getFloatTy());
  // Said to lose nothing, so that taking the 16 bits out again is nothing.
  llvm::Value* moved = build.CreateShl(build.CreateZExt(bits, i32), 16, "", /*HasNUW=*/true);
  return build.CreateBitCast(moved, f32);
}

// Adds half of the last place, less one where the number below is even; a NaN stays one.
llvm::Value* bfloat_bits_from_float(llvm::IRBuilder<>& build, llvm::Value* value) {
  llvm::Type* i32 = value->getType()->getWithNewType(build.getInt32Ty());
  llvm::Type* i16 = value->getType()->getWithNewType(build.getInt16Ty());
  llvm::Value* bits = build.CreateBitCast(value, i32);
  llvm::Value* odd = build.CreateAnd(build.CreateLShr(bits, 16), bits_like(bits, 1));
  llvm::Value* rounded = build.CreateAdd(build.CreateAdd(bits, bits_like(bits, 0x7fff)), odd);
  llvm::Value* quiet = build.CreateOr(bits, bits_like(bits, 0x400000));
  llvm::Value* code = build.CreateSelect(build.CreateFCmpUNO(value, value), quiet, rounded);
  return build.CreateTrunc(build.CreateLShr(code, 16), i16);
}

llvm::Value* float_from_half_bits(llvm::IRBuilder<>& build, llvm::Value* bits) {
  llvm::Type* i32 = bits->getType()->getWithNewType(build.getInt32Ty());
  llvm::Type* f32 = bits->getType()->getWithNewType(build.getFloatTy());
  llvm::Value* wide = build.CreateZExt(bits, i32);
  llvm::Value* sign = build.CreateShl(build.CreateAnd(wide, bits_like(wide, 0x8000)), 16);
  llvm::Value* moved = build.CreateShl(build.CreateAnd(wide, bits_like(wide, 0x7fff)), 13);
  llvm::Value* scaled =
      build.CreateFMul(build.CreateBitCast(moved, f32), llvm::ConstantFP::get(f32, 0x1p112));
  llvm::Value* number = build.CreateBitCast(scaled, i32);
  llvm::Value* is_special = build.CreateICmpUGE(moved, bits_like(moved, 0x7c00u << 13));
  llvm::Value* exponent =
      build.CreateSelect(is_special, bits_like(moved, 0x7f800000), bits_like(moved, 0));
  return build.CreateBitCast(build.CreateOr(build.CreateOr(number, exponent), sign), f32);
}

llvm::Value* half_bits_from_float(llvm::IRBuilder<>& build, llvm::Value* value) {
  llvm::Type* i32 = value->getType()->getWithNewType(build.getInt32Ty());
  llvm::Type* i16 = value->getType()->getWithNewType(build.getInt16Ty());
  llvm::Type* f32 = value->getType();
  llvm::Value* all = build.CreateBitCast(value, i32);
  llvm::Value* size = build.CreateAnd(all, bits_like(all, 0x7fffffff));
  const auto pick = [&](llvm::Value* condition, llvm::Value* a, llvm::Value* b) {
    return build.CreateSelect(condition, a, b);
  };

  // Too small for a normal binary16: adding 0.5 puts the last bit of a subnormal (2^-24) at the
  // last bit of the f32, and the addition rounds to nearest even.
  llvm::Value* sum =
      build.CreateFAdd(build.CreateBitCast(size, f32), llvm::ConstantFP::get(f32, 0.5));
  llvm::Value* subnormal =
      build.CreateSub(build.CreateBitCast(sum, i32), bits_like(all, 0x3f000000));
  // Normal: move the bias, add half of the last place, less one where the number below is even.
  llvm::Value* odd = build.CreateAnd(build.CreateLShr(size, 13), bits_like(all, 1));
  llvm::Value* rounded = build.CreateAdd(build.CreateAdd(size, bits_like(all, 0xc8000fffu)), odd);
  llvm::Value* normal = build.CreateLShr(rounded, 13);
  llvm::Value* is_nan = build.CreateICmpUGT(size, bits_like(all, 0x7f800000));
  llvm::Value* too_large = pick(is_nan, bits_like(all, 0x7e00), bits_like(all, 0x7c00));

  llvm::Value* result =
      pick(build.CreateICmpULT(size, bits_like(all, 0x38800000)), subnormal, normal);
  result = pick(build.CreateICmpUGE(size, bits_like(all, 0x47800000)), too_large, result);
  llvm::Value* sign = build.CreateAnd(build.CreateLShr(all, 16), bits_like(all, 0x8000));
  return build.CreateTrunc(build.CreateOr(result, sign), i16);
}

}  // namespace leat
