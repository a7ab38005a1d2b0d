// Arithmetic: most instructions are one of SPIR-V's with the operands brought to one width. The
// rest are conversions, whose results SPIR-V leaves undefined where the wave program defines them,
// and reductions over the wave, which go through workgroup memory so that no subgroup feature is
// needed.
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
  const bool is_int = result_type(instruction).scalar == ir::Scalar::i32;
  emit_plain(instruction, is_int ? on_int : on_float);
}

void ProgramEmitter::emit_extended(const ir::Instruction& instruction, GLSLstd450 function) {
  const ir::Type type = result_type(instruction);
  if (function == GLSLstd450FAbs && type.scalar == ir::Scalar::i32) function = GLSLstd450SAbs;
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
  Value& result = values_[instruction.first_result];
  result = {constant_of(type, static_cast<uint32_t>(instruction.imm)), std::nullopt};
  if (type.scalar == ir::Scalar::i32 && type.width == 1) {
    result.known = static_cast<int32_t>(instruction.imm);
  }
}

// Indices become constants again where a loop was unrolled here; the fewer instructions a driver
// has to look through, the sooner it is done.
static std::optional<int32_t> folded(spv::Op op, int64_t a, int64_t b) {
  if ((op == spv::Op::OpSDiv || op == spv::Op::OpSRem) && b <= 0) return std::nullopt;
  if (op == spv::Op::OpIAdd) return static_cast<int32_t>(a + b);
  if (op == spv::Op::OpISub) return static_cast<int32_t>(a - b);
  if (op == spv::Op::OpIMul) return static_cast<int32_t>(a * b);
  if (op == spv::Op::OpSDiv) return static_cast<int32_t>(a / b);
  if (op == spv::Op::OpSRem) return static_cast<int32_t>(a % b);
  return std::nullopt;
}

void ProgramEmitter::emit_binary_int(const ir::Instruction& instruction, spv::Op op) {
  const auto operands = program_.operands_of(instruction);
  const Value a = values_[operands[0]], b = values_[operands[1]];
  Value& result = values_[instruction.first_result];
  if (result_type(instruction).width == 1) {
    if (a.known && b.known) result.known = folded(op, *a.known, *b.known);
    if (a.known && b.known && result.known) {
      result.id = int_constant(*result.known);
      return;
    }
    if (op == spv::Op::OpIAdd && a.known == 0) {
      result = b;
      return;
    }
    if ((op == spv::Op::OpIAdd || op == spv::Op::OpISub) && b.known == 0) {
      result = a;
      return;
    }
  }
  emit_plain(instruction, op);
}

// Where SPIR-V's conversion is undefined the result is chosen by comparisons; NaN fails all of
// them.
void ProgramEmitter::emit_int_from_float(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const ir::Type float_type = {ir::Scalar::f32, type.width, type.varying};
  const Id bools = type_of({ir::Scalar::b1, type.width, type.varying});
  const Id ints = type_of(type), floats = type_of(float_type);
  const Id value = id_of(program_.operands_of(instruction)[0]);
  const Id zero = zero_of(float_type);
  const Id limit = constant_of(float_type, 0x4f000000);   // 2^31
  const Id lowest = constant_of(float_type, 0xcf000000);  // -2^31
  const Id magnitude = writer_.extended_value(GLSLstd450FAbs, floats, {value});
  const Id fits = writer_.value(spv::Op::OpFOrdLessThan, bools, {magnitude, limit});
  const Id above = writer_.value(spv::Op::OpFOrdGreaterThanEqual, bools, {value, limit});
  const Id below = writer_.value(spv::Op::OpFOrdLessThanEqual, bools, {value, lowest});
  const Id safe = writer_.value(spv::Op::OpSelect, floats, {fits, value, zero});
  const Id converted = writer_.value(spv::Op::OpConvertFToS, ints, {safe});
  const Id low =
      writer_.value(spv::Op::OpSelect, ints, {below, constant_of(type, 0x80000000u), converted});
  set_result(instruction,
             writer_.value(spv::Op::OpSelect, ints, {above, constant_of(type, 0x7fffffffu), low}));
}

void ProgramEmitter::emit_int_from_bool(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const Id condition = id_of(program_.operands_of(instruction)[0]);
  set_result(instruction, writer_.value(spv::Op::OpSelect, type_of(type),
                                        {condition, constant_of(type, 1), zero_of(type)}));
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

void ProgramEmitter::emit_reduce(const ir::Instruction& instruction) {
  const ir::ValueId operand = program_.operands_of(instruction)[0];
  const ir::Type type = program_.values[operand];
  if (type.width == 1) {
    set_result(instruction, reduce_component(instruction.op, type.scalar, id_of(operand)));
    return;
  }
  Words components;
  for (uint32_t i = 0; i < type.width; ++i) {
    const Id component =
        writer_.value(spv::Op::OpCompositeExtract, scalar_type(type.scalar), {id_of(operand), i});
    components.push_back(reduce_component(instruction.op, type.scalar, component));
  }
  set_result(instruction, writer_.value(spv::Op::OpCompositeConstruct, type_of(type), components));
}

// Each step, lane i takes lane i ^ n in, n = half of the wave, a quarter, ...: as the operations
// commute, every lane ends with the bits of the halving tree. Steps alternate between the halves of
// the scratch array, so that one barrier a step is enough; the first barrier keeps off the array's
// last use. All waves of the workgroup must reach a reduction, as they must a barrier.
Id ProgramEmitter::reduce_component(ir::Opcode op, ir::Scalar scalar, Id value) {
  const Id type = scalar_type(scalar), int_type = scalar_type(ir::Scalar::i32);
  const Id pointer = pointer_type(spv::StorageClass::Workgroup, type);
  const Id scratch = scratch_.at(scalar);
  const uint32_t lanes = lanes_per_workgroup(program_);
  const auto element = [&](Id index) {
    return writer_.value(spv::Op::OpAccessChain, pointer, {scratch, index});
  };
  Id mine = local_index_, mine_next = 0;
  if (program_.wave_lanes > 1) {
    emit_barrier();
    mine_next = add_int(local_index_, int_constant(lanes));
  }
  for (uint32_t n = program_.wave_lanes / 2; n > 0; n /= 2) {
    writer_.statement(spv::Op::OpStore, {element(mine), value});
    emit_barrier();
    // lanes may be any multiple of the wave: the exchange is within the first half's numbering.
    Id theirs = writer_.value(spv::Op::OpBitwiseXor, int_type, {local_index_, int_constant(n)});
    if (mine != local_index_) theirs = add_int(theirs, int_constant(lanes));
    value = reduce_step(op, scalar, value, writer_.value(spv::Op::OpLoad, type, {element(theirs)}));
    std::swap(mine, mine_next);
  }
  return value;
}

Id ProgramEmitter::reduce_step(ir::Opcode op, ir::Scalar scalar, Id a, Id b) {
  const bool is_float = scalar == ir::Scalar::f32;
  const Id type = scalar_type(scalar);
  if (op == ir::Opcode::reduce_add) {
    return writer_.value(is_float ? spv::Op::OpFAdd : spv::Op::OpIAdd, type, {a, b});
  }
  if (op == ir::Opcode::reduce_min) {
    return writer_.extended_value(is_float ? GLSLstd450FMin : GLSLstd450SMin, type, {a, b});
  }
  return writer_.extended_value(is_float ? GLSLstd450FMax : GLSLstd450SMax, type, {a, b});
}

}  // namespace leat::spirv
