// Arithmetic: most instructions are one of SPIR-V's with the operands brought to one width. What
// SPIR-V does less exactly than the wave program says has been expanded by passes.
#include "leat/emit/spirv_emitter.h"

namespace leat::spirv {

// Without NoContraction drivers may also reorder: Mesa makes x - n a - n b of an argument reduction
// into x - n (a + b), and what the parts were for is lost.
static bool is_rounding(spv::Op op) {
  return op == spv::Op::OpFAdd || op == spv::Op::OpFSub || op == spv::Op::OpFMul ||
         op == spv::Op::OpFDiv;
}

void ProgramEmitter::emit_plain(const ir::Instruction& instruction, spv::Op op) {
  const ir::Type type = result_type(instruction);
  Words operands;
  for (const ir::ValueId value : program_.operands_of(instruction)) {
    operands.push_back(widened(value, type.width));
  }
  const Id result = writer_.value(op, type_of(type), operands);
  if (is_rounding(op)) writer_.decorate(result, spv::Decoration::NoContraction);
  set_result(instruction, result);
}

void ProgramEmitter::emit_by_type(const ir::Instruction& instruction, spv::Op on_float,
                                  spv::Op on_int) {
  const bool is_int = ir::is_int(result_type(instruction).scalar);
  emit_plain(instruction, is_int ? on_int : on_float);
}

void ProgramEmitter::emit_extended(const ir::Instruction& instruction, GLSLstd450 function) {
  const ir::Type type = result_type(instruction);
  if (function == GLSLstd450FAbs && ir::is_int(type.scalar)) function = GLSLstd450SAbs;
  Words operands;
  for (const ir::ValueId value : program_.operands_of(instruction)) {
    operands.push_back(widened(value, type.width));
  }
  const Id result = writer_.extended_value(function, type_of(type), operands);
  if (function == GLSLstd450Fma) writer_.decorate(result, spv::Decoration::NoContraction);
  set_result(instruction, result);
}

void ProgramEmitter::emit_constant(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  set_result(instruction, constant_of(type, static_cast<uint64_t>(instruction.imm)));
}

void ProgramEmitter::emit_int_from_bool(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const Id condition = id_of(program_.operands_of(instruction)[0]);
  const Words operands = {condition, constant_of(type, 1), zero_of(type)};
  set_result(instruction, writer_.value(spv::Op::OpSelect, type_of(type), operands));
}

// OpUConvert gives unsigned numbers, of which we have none else.
void ProgramEmitter::emit_widen_u(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const Id value = id_of(program_.operands_of(instruction)[0]);
  const Id whole = vector_type(writer_.type(spv::Op::OpTypeInt, {64, 0}), type.width);
  const Id number = writer_.value(spv::Op::OpUConvert, whole, {value});
  set_result(instruction, writer_.value(spv::Op::OpBitcast, type_of(type), {number}));
}

// A count beyond the number's bits is undefined in SPIR-V; ours has its low bits only, and NVIDIA's
// drivers shift all bits out. Zeros come into numbers without a sign only: NVIDIA's bring the sign
// in otherwise, of 32 bits in OpenGL and of 64 in Vulkan, though the specification says that zeros
// come in (found on an H200, 580.159.04).
void ProgramEmitter::emit_shift(const ir::Instruction& instruction, spv::Op op) {
  const ir::Type type = result_type(instruction);
  const uint32_t bits = 8 * ir::bytes_of(type.scalar);
  const bool has_sign = op != spv::Op::OpShiftRightLogical;
  const Id whole = has_sign ? type_of(type)
                            : vector_type(writer_.type(spv::Op::OpTypeInt, {bits, 0}), type.width);
  const auto operands = program_.operands_of(instruction);
  Id value = widened(operands[0], type.width);
  if (!has_sign) value = writer_.value(spv::Op::OpBitcast, whole, {value});
  const Words masked = {widened(operands[1], type.width), constant_of(type, bits - 1)};
  const Id count = writer_.value(spv::Op::OpBitwiseAnd, type_of(type), masked);
  Id shifted = writer_.value(op, whole, {value, count});
  if (!has_sign) shifted = writer_.value(spv::Op::OpBitcast, type_of(type), {shifted});
  set_result(instruction, shifted);
}

// Vulkan counts bits of 32-bit numbers only (VUID-RuntimeSpirv-None-10824 and before it
// VUID-StandaloneSpirv-Base-04781).
void ProgramEmitter::emit_popcount(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  if (type.scalar != ir::Scalar::i64) return emit_plain(instruction, spv::Op::OpBitCount);
  const ir::Type word{ir::Scalar::i32, type.width};
  const Id low = widened(program_.operands_of(instruction)[0], type.width);
  const Id word_bits = constant_of(type, 32);
  const Id high = writer_.value(spv::Op::OpShiftRightArithmetic, type_of(type), {low, word_bits});
  Words counts;
  for (const Id half : {low, high}) {
    const Id bits = writer_.value(spv::Op::OpSConvert, type_of(word), {half});
    counts.push_back(writer_.value(spv::Op::OpBitCount, type_of(word), {bits}));
  }
  const Id sum = writer_.value(spv::Op::OpIAdd, type_of(word), counts);
  set_result(instruction, writer_.value(spv::Op::OpSConvert, type_of(type), {sum}));
}

void ProgramEmitter::emit_vector(const ir::Instruction& instruction) {
  Words components;
  for (const ir::ValueId value : program_.operands_of(instruction)) {
    components.push_back(id_of(value));
  }
  set_result(instruction, writer_.value(spv::Op::OpCompositeConstruct,
                                        type_of(result_type(instruction)), components));
}

void ProgramEmitter::emit_extract(const ir::Instruction& instruction) {
  const ir::ValueId vector = program_.operands_of(instruction)[0];
  if (program_.values[vector].width == 1) return set_result(instruction, id_of(vector));
  set_result(instruction,
             writer_.value(spv::Op::OpCompositeExtract, type_of(result_type(instruction)),
                           {id_of(vector), static_cast<uint32_t>(instruction.imm)}));
}

}  // namespace leat::spirv
