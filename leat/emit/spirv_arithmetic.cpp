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

// OpSRem is undefined for negative operands in Vulkan's and OpenGL's environments (an H200 takes
// them for unsigned ones), OpSDiv is not.
void ProgramEmitter::emit_remainder(const ir::Instruction& instruction) {
  const auto operands = program_.operands_of(instruction);
  const ir::Type type = result_type(instruction);
  const Value known_a = values_[operands[0]], known_b = values_[operands[1]];
  if (type.width == 1 && known_a.known && known_b.known &&
      folded(spv::Op::OpSRem, *known_a.known, *known_b.known)) {
    return emit_binary_int(instruction, spv::Op::OpSRem);
  }
  const Id ints = type_of(type);
  const Id a = widened(operands[0], type.width), b = widened(operands[1], type.width);
  const Id quotient = writer_.value(spv::Op::OpSDiv, ints, {a, b});
  const Id product = writer_.value(spv::Op::OpIMul, ints, {quotient, b});
  set_result(instruction, writer_.value(spv::Op::OpISub, ints, {a, product}));
}

Id ProgramEmitter::float_op(spv::Op op, ir::Type type, Id a, Id b) {
  const Id result = writer_.value(op, type_of(type), {a, b});
  writer_.decorate(result, spv::Decoration::NoContraction);
  return result;
}

/// `quotient` and `factor` times what it leaves of `dividend`, rounded once; `quotient` where that
/// is no smaller number than the dividend: at zeros, infinities and NaNs.
Id ProgramEmitter::corrected(ir::Type type, Id quotient, Id divisor, Id dividend, Id factor) {
  const Id floats = type_of(type), bools = type_of({ir::Scalar::b1, type.width, type.varying});
  const auto fma = [&](Id a, Id b, Id c) {
    const Id result = writer_.extended_value(GLSLstd450Fma, floats, {a, b, c});
    writer_.decorate(result, spv::Decoration::NoContraction);
    return result;
  };
  const Id minus = writer_.value(spv::Op::OpFNegate, floats, {divisor});
  const Id rest = fma(minus, quotient, dividend);
  const Id better = fma(rest, factor, quotient);
  const Id size = writer_.extended_value(GLSLstd450FAbs, floats, {rest});
  const Id limit = writer_.extended_value(GLSLstd450FAbs, floats, {dividend});
  const Id is_small = writer_.value(spv::Op::OpFOrdLessThan, bools, {size, limit});
  return writer_.value(spv::Op::OpSelect, floats, {is_small, better, quotient});
}

// SPIR-V lets a division be 2.5 units in the last place off, and anything where the divisor is
// above 2^126, whose reciprocal is no normal number; NVIDIA's drivers use both. One step with a
// fused multiply-add rounds the quotient; as the reciprocal is not exact either, one in some ten
// million ends a hair more than half a unit off. Divisor and dividend are scaled together, so that
// neither the reciprocal nor what the quotient leaves is below the normal numbers, nor the
// reciprocal of a number below them, where they are kept, infinite. A scale that makes the dividend
// infinite does so where the quotient is. Software renderers divide exactly and do not fuse.
// Source: Vulkan 1.3 specification, "Precision and Operation of SPIR-V Instructions".
void ProgramEmitter::emit_division(const ir::Instruction& instruction) {
  if (target_.software) return emit_plain(instruction, spv::Op::OpFDiv);
  constexpr uint32_t kTiny = 0x0f800000, kUp = 0x4f800000;    // 2^-96, 2^32
  constexpr uint32_t kHuge = 0x6f800000, kDown = 0x2f800000;  // 2^96, 2^-32
  const ir::Type type = result_type(instruction);
  const auto operands = program_.operands_of(instruction);
  const Id dividend = widened(operands[0], type.width), divisor = widened(operands[1], type.width);
  const auto size_of = [&](Id value) {
    return writer_.extended_value(GLSLstd450FAbs, type_of(type), {value});
  };
  const Id one = constant_of(type, 0x3f800000);
  const Id divisor_size = size_of(divisor);
  const Id smaller =
      writer_.extended_value(GLSLstd450FMin, type_of(type), {size_of(dividend), divisor_size});
  const Id up = scale_where(type, spv::Op::OpFOrdLessThan, smaller, kTiny, kUp, one);
  const Id scale = scale_where(type, spv::Op::OpFOrdGreaterThan, divisor_size, kHuge, kDown, up);
  const Id a = float_op(spv::Op::OpFMul, type, dividend, scale);
  const Id b = float_op(spv::Op::OpFMul, type, divisor, scale);
  const Id quotient = float_op(spv::Op::OpFDiv, type, a, b);
  const Id reciprocal = float_op(spv::Op::OpFDiv, type, one, b);
  set_result(instruction, corrected(type, quotient, b, a, reciprocal));
}

/// The float of the bits `scale` where `value` compares so with that of the bits `limit`.
Id ProgramEmitter::scale_where(ir::Type type, spv::Op comparison, Id value, uint32_t limit,
                               uint32_t scale, Id otherwise) {
  const Id bools = type_of({ir::Scalar::b1, type.width, type.varying});
  const Id is_beyond = writer_.value(comparison, bools, {value, constant_of(type, limit)});
  return writer_.value(spv::Op::OpSelect, type_of(type),
                       {is_beyond, constant_of(type, scale), otherwise});
}

// The same for the square root, which is the quotient of its operand and itself. What it leaves of
// a number below 2^-96 could be below the normal numbers, so such a number is scaled by 2^32.
void ProgramEmitter::emit_root(const ir::Instruction& instruction) {
  if (target_.software) return emit_extended(instruction, GLSLstd450Sqrt);
  constexpr uint32_t kTiny = 0x0f800000, kUp = 0x4f800000, kDown = 0x37800000;  // 2^-96, 32, -16
  const ir::Type type = result_type(instruction);
  const Id operand = id_of(program_.operands_of(instruction)[0]);
  const Id one = constant_of(type, 0x3f800000);
  const Id up = scale_where(type, spv::Op::OpFOrdLessThan, operand, kTiny, kUp, one);
  const Id down = scale_where(type, spv::Op::OpFOrdLessThan, operand, kTiny, kDown, one);
  const Id x = float_op(spv::Op::OpFMul, type, operand, up);
  const Id root = writer_.extended_value(GLSLstd450Sqrt, type_of(type), {x});
  const Id factor = float_op(spv::Op::OpFDiv, type, constant_of(type, 0x3f000000), root);  // 1/2
  const Id better = corrected(type, root, root, x, factor);
  set_result(instruction, float_op(spv::Op::OpFMul, type, better, down));
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
