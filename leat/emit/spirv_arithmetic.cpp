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
  set_result(instruction, writer_.value(spv::Op::OpSelect, type_of(type),
                                        {condition, constant_of(type, 1), zero_of(type)}));
}

// OpUConvert gives unsigned numbers, of which we have none else.
void ProgramEmitter::emit_widen_u(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const Id value = id_of(program_.operands_of(instruction)[0]);
  const Id whole = vector_type(writer_.type(spv::Op::OpTypeInt, {64, 0}), type.width);
  const Id number = writer_.value(spv::Op::OpUConvert, whole, {value});
  set_result(instruction, writer_.value(spv::Op::OpBitcast, type_of(type), {number}));
}

// Of a number with a sign NVIDIA's drivers bring it in, of 32 bits those of OpenGL and of 64 those
// of Vulkan, though the specification says that zeros come in (found on an H200, 580.159.04).
void ProgramEmitter::emit_shr_u(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const uint32_t bits = 8 * ir::bytes_of(type.scalar);
  const Id whole = vector_type(writer_.type(spv::Op::OpTypeInt, {bits, 0}), type.width);
  const auto operands = program_.operands_of(instruction);
  const Id value = writer_.value(spv::Op::OpBitcast, whole, {widened(operands[0], type.width)});
  const Id shifted =
      writer_.value(spv::Op::OpShiftRightLogical, whole, {value, widened(operands[1], type.width)});
  set_result(instruction, writer_.value(spv::Op::OpBitcast, type_of(type), {shifted}));
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
