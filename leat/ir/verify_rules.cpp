// One short function for each kind of instruction. What a result's type must be follows from the
// operands' types; check_result compares.
#include "leat/ir/verify_rules.h"

#include <algorithm>

#include "leat/ir/scalar_ops.h"

namespace leat::ir {
namespace {

constexpr Type kUniformInt = {Scalar::i32, 1, false};

bool takes_fragments(Opcode op) {
  return is_fragment_access(op) || op == Opcode::fragment_fill || op == Opcode::mma ||
         op == Opcode::mma_wait || is_fragment_element(op) || op == Opcode::loop ||
         op == Opcode::yield;
}

class Rules {
 public:
  explicit Rules(const Program& program) : program_(program) {}
  Complaint check(const Instruction& instruction) const;

 private:
  Complaint check_arithmetic(const Instruction& instruction) const;
  Complaint check_id(const Instruction& instruction) const;
  Complaint check_not(const Instruction& instruction) const;
  Complaint check_fma(const Instruction& instruction) const;
  Complaint check_select(const Instruction& instruction) const;
  Complaint check_conversion(const Instruction& instruction) const;
  Complaint check_vector(const Instruction& instruction) const;
  Complaint check_constant(const Instruction& instruction) const;
  Complaint check_global(const Instruction& instruction) const;
  Complaint check_local(const Instruction& instruction) const;
  Complaint check_atomic(const Instruction& instruction) const;
  Complaint check_last_group(const Instruction& instruction) const;
  Complaint check_shuffle(const Instruction& instruction) const;
  Complaint check_dot(const Instruction& instruction) const;
  bool uses_fragment(const Instruction& instruction) const;
  Complaint check_reduce(const Instruction& instruction) const;
  Complaint check_rounds(const Instruction& instruction) const;
  Complaint check_loop(const Instruction& instruction) const;
  Complaint check_branch(const Instruction& instruction) const;
  Complaint check_result(const Instruction& instruction, Type type) const;

  const Type& type(ValueId value) const { return program_.values[value]; }
  const Type& operand_type(const Instruction& instruction, size_t i) const {
    return type(program_.operands_of(instruction)[i]);
  }
  const Type& result_type(const Instruction& instruction) const {
    return type(instruction.first_result);
  }

  const Program& program_;
};

Complaint Rules::check(const Instruction& instruction) const {
  if (!takes_fragments(instruction.op) && uses_fragment(instruction)) {
    return "has a fragment as an operand or a result";
  }
  Complaint complaint = "is of no known opcode";
  visit_opcode(instruction.op, [&]<Opcode op>() {
    using enum Opcode;
    if constexpr (class_constant(op) != OpClass::other)
      complaint = check_arithmetic(instruction);
    else if constexpr (op == constant)
      complaint = check_constant(instruction);
    else if constexpr (op == lane_id || op == wave_id || op == group_id)
      complaint = check_id(instruction);
    else if constexpr (op == fma)
      complaint = check_fma(instruction);
    else if constexpr (op == select)
      complaint = check_select(instruction);
    else if constexpr (op == not_b)
      complaint = check_not(instruction);
    else if constexpr (is_conversion(op))
      complaint = check_conversion(instruction);
    else if constexpr (op == vector || op == extract)
      complaint = check_vector(instruction);
    else if constexpr (op == load || op == store)
      complaint = check_global(instruction);
    else if constexpr (op == load_local || op == store_local)
      complaint = check_local(instruction);
    else if constexpr (op == atomic_add)
      complaint = check_atomic(instruction);
    else if constexpr (op == last_group)
      complaint = check_last_group(instruction);
    else if constexpr (op == shuffle || op == shuffle_xor || op == shuffle_up || op == shuffle_down)
      complaint = check_shuffle(instruction);
    else if constexpr (is_dot(op))
      complaint = check_dot(instruction);
    else if constexpr (op == copy_async || op == copy_wait)
      complaint = check_copy(program_, instruction);
    else if constexpr (op == prefetch)
      complaint = check_prefetch(program_, instruction);
    else if constexpr (op == fragment_fill || op == fragment_load || op == fragment_load_local ||
                       op == fragment_store || op == fragment_store_local || op == mma ||
                       op == mma_wait || op == fragment_part || op == fragment_row ||
                       op == fragment_column)
      complaint = check_fragment(program_, instruction);
    else if constexpr (op == reduce_add || op == reduce_min || op == reduce_max)
      complaint = check_reduce(instruction);
    else if constexpr (op == rounds)
      complaint = check_rounds(instruction);
    else if constexpr (op == loop)
      complaint = check_loop(instruction);
    else if constexpr (op == branch)
      complaint = check_branch(instruction);
    else {
      static_assert(op == barrier || op == copy_commit || op == yield,
                    "an instruction without rules");
      complaint = instruction.result_count != 0 ? "has a result" : nullptr;
    }
  });
  return complaint;
}

Complaint Rules::check_id(const Instruction& instruction) const {
  const bool is_axis =
      instruction.op != Opcode::group_id || (instruction.imm >= 0 && instruction.imm <= 2);
  if (!is_axis) return "has an axis outside of 0 to 2";
  return check_result(instruction, {Scalar::i32, 1, instruction.op == Opcode::lane_id});
}

Complaint Rules::check_not(const Instruction& instruction) const {
  const Type operand = operand_type(instruction, 0);
  if (operand.scalar != Scalar::b1) return "has an operand of a wrong scalar type";
  return check_result(instruction, operand);
}

Complaint Rules::check_result(const Instruction& instruction, Type wanted) const {
  if (instruction.result_count != 1) return "has a wrong number of results";
  const Type result = result_type(instruction);
  if (result.scalar != wanted.scalar) return "has a result of a wrong scalar type";
  if (result.width != wanted.width) return "has a result of a wrong width";
  if (result.fragment != wanted.fragment) return "has a result of a wrong fragment type";
  if (result.varying != wanted.varying) {
    return wanted.varying ? "has a uniform result of varying operands"
                          : "has a varying result of uniform operands";
  }
  return nullptr;
}

Complaint Rules::check_arithmetic(const Instruction& instruction) const {
  const Type a = operand_type(instruction, 0);
  const Type b = operand_type(instruction, instruction.operand_count - 1u);
  const Scalar scalar = a.scalar;
  bool fits = scalar == Scalar::b1;
  switch (class_of(instruction.op)) {
    case OpClass::unary_float:
    case OpClass::binary_float:
    case OpClass::function: fits = is_float(scalar); break;
    case OpClass::unary_int:
    case OpClass::binary_int: fits = is_int(scalar); break;
    case OpClass::compare:
      fits = compares_floats(instruction.op) ? is_float(scalar) : is_int(scalar);
      break;
    case OpClass::binary_bool:
    case OpClass::other: break;
  }
  if (!fits || b.scalar != scalar) return "has an operand of a wrong scalar type";
  if (a.width != b.width && a.width != 1 && b.width != 1) return "has operands of unequal widths";
  const bool compares = class_of(instruction.op) == OpClass::compare;
  return check_result(instruction, {compares ? Scalar::b1 : scalar, std::max(a.width, b.width),
                                    a.varying || b.varying});
}

Complaint Rules::check_fma(const Instruction& instruction) const {
  Type result = {operand_type(instruction, 0).scalar, 1, false};
  if (!is_float(result.scalar)) return "has an operand of a wrong scalar type";
  for (size_t i = 0; i < 3; ++i) {
    const Type operand = operand_type(instruction, i);
    if (operand.scalar != result.scalar) return "has an operand of a wrong scalar type";
    if (operand.width != 1 && result.width != 1 && operand.width != result.width) {
      return "has operands of unequal widths";
    }
    result.width = std::max(result.width, operand.width);
    result.varying = result.varying || operand.varying;
  }
  return check_result(instruction, result);
}

Complaint Rules::check_select(const Instruction& instruction) const {
  const Type condition = operand_type(instruction, 0);
  const Type a = operand_type(instruction, 1);
  const Type b = operand_type(instruction, 2);
  if (condition.scalar != Scalar::b1) return "has a condition of no b1 type";
  if (a.scalar != b.scalar) return "has an operand of a wrong scalar type";
  if (a.width != b.width && a.width != 1 && b.width != 1) return "has operands of unequal widths";
  const uint8_t width = std::max(a.width, b.width);
  if (condition.width != 1 && condition.width != width) return "has a condition of a wrong width";
  return check_result(instruction, {a.scalar, width, condition.varying || a.varying || b.varying});
}

Complaint Rules::check_conversion(const Instruction& instruction) const {
  if (instruction.result_count != 1) return "has a wrong number of results";
  const Type operand = operand_type(instruction, 0);
  const Scalar to = result_type(instruction).scalar;
  if (!is_conversion(instruction.op, operand.scalar, to)) {
    using enum Scalar;
    const auto converts_to = [&](Scalar other) {
      return is_conversion(instruction.op, operand.scalar, other);
    };
    const bool has_result =
        converts_to(f32) || converts_to(i32) || converts_to(f64) || converts_to(i64);
    return has_result ? "has a result of a wrong scalar type"
                      : "has an operand of a wrong scalar type";
  }
  return check_result(instruction, {to, operand.width, operand.varying});
}

Complaint Rules::check_vector(const Instruction& instruction) const {
  if (instruction.op == Opcode::extract) {
    const Type whole = operand_type(instruction, 0);
    if (instruction.imm < 0 || instruction.imm >= whole.width) return "has no such component";
    return check_result(instruction, {whole.scalar, 1, whole.varying});
  }
  if (instruction.operand_count != 2 && instruction.operand_count != 4) {
    return "has a number of components other than 2 and 4";
  }
  Type result = {operand_type(instruction, 0).scalar, instruction.operand_count, false};
  for (size_t i = 0; i < instruction.operand_count; ++i) {
    const Type component = operand_type(instruction, i);
    if (component.scalar != result.scalar) return "has an operand of a wrong scalar type";
    if (component.width != 1) return "has a component that is a vector";
    result.varying = result.varying || component.varying;
  }
  return check_result(instruction, result);
}

Complaint Rules::check_constant(const Instruction& instruction) const {
  if (instruction.result_count != 1) return "has a wrong number of results";
  const Scalar scalar = result_type(instruction).scalar;
  if (bytes_of(scalar) == 8) return check_result(instruction, {scalar, 1, false});
  const int64_t lo = scalar == Scalar::i32 ? INT32_MIN : 0;
  const int64_t hi = scalar == Scalar::i32 ? INT32_MAX : scalar == Scalar::f32 ? UINT32_MAX : 1;
  if (instruction.imm < lo || instruction.imm > hi) return "has bits outside of its type";
  return check_result(instruction, {scalar, 1, false});
}

Complaint Rules::check_global(const Instruction& instruction) const {
  if (instruction.slot >= program_.parameters.size()) return "has no such parameter";
  const Parameter& parameter = program_.parameters[instruction.slot];
  const Scalar scalar = compute_of(parameter.storage);
  const bool is_store = instruction.op == Opcode::store;
  const size_t needed = (is_store ? 2u : 1u) + (instruction.masked ? 1u : 0u);
  if (instruction.operand_count != needed) return "has a wrong number of operands";
  const Type index = operand_type(instruction, 0);
  if (index.scalar != Scalar::i32 || index.width != 1) return "has an index of no i32 type";
  const bool has_stride = instruction.lane_stride != kIndexed;
  if (has_stride && index.varying) return "has a lane stride and a varying index";
  const bool varying = has_stride || index.varying;
  if (instruction.masked) {
    const Type mask = operand_type(instruction, needed - 1);
    if (mask.scalar != Scalar::b1 || mask.width != 1) return "has a mask of no b1 type";
    if (mask.varying && !varying) return "has a varying mask and a uniform address";
  }
  if (!is_store) {
    if (instruction.result_count != 1) return "has a wrong number of results";
    return check_result(instruction, {scalar, result_type(instruction).width, varying});
  }
  const Type value = operand_type(instruction, 1);
  if (!parameter.written) return "writes a parameter that is declared as read";
  if (value.scalar != scalar) return "stores a value of a wrong scalar type";
  if (value.varying && !varying) return "stores a varying value at a uniform address";
  return instruction.result_count != 0 ? "has a result" : nullptr;
}

Complaint Rules::check_local(const Instruction& instruction) const {
  if (instruction.slot >= program_.locals.size()) return "has no such local memory";
  const LocalMemory& local = program_.locals[instruction.slot];
  const Type index = operand_type(instruction, 0);
  if (instruction.masked) return "has a mask";
  if (index.scalar != Scalar::i32 || index.width != 1) return "has an index of no i32 type";
  const bool is_store = instruction.op == Opcode::store_local;
  if (instruction.result_count != (is_store ? 0 : 1)) return "has a wrong number of results";
  const Type value = is_store ? operand_type(instruction, 1) : result_type(instruction);
  const Scalar scalar = compute_of(local.storage);
  if (value.scalar != scalar) return "has a value of a wrong scalar type";
  if (local.width % value.width != 0) return "has a width that is not the memory's";
  if (is_store) {
    const bool races = value.varying && !index.varying && program_.wave_lanes > 1;
    return races ? "stores a varying value at a uniform index" : nullptr;
  }
  return check_result(instruction, {scalar, value.width, index.varying});
}

Complaint Rules::check_atomic(const Instruction& instruction) const {
  if (instruction.slot >= program_.parameters.size()) return "has no such parameter";
  const Parameter& parameter = program_.parameters[instruction.slot];
  const size_t needed = 2u + (instruction.masked ? 1u : 0u);
  if (instruction.operand_count != needed) return "has a wrong number of operands";
  if (!parameter.written) return "writes a parameter that is declared as read";
  if (size_bytes_of(parameter.storage) != 4) return "adds to a parameter of no 32-bit type";
  const Type index = operand_type(instruction, 0);
  const Type value = operand_type(instruction, 1);
  if (index.scalar != Scalar::i32 || index.width != 1) return "has an index of no i32 type";
  const bool has_stride = instruction.lane_stride != kIndexed;
  if (has_stride && index.varying) return "has a lane stride and a varying index";
  if (!has_stride && !index.varying) return "adds at a uniform address";
  const Scalar scalar = compute_of(parameter.storage);
  if (value.scalar != scalar) return "adds a value of a wrong scalar type";
  if (value.width != 1) return "adds a vector";
  if (instruction.masked) {
    const Type mask = operand_type(instruction, 2);
    if (mask.scalar != Scalar::b1 || mask.width != 1) return "has a mask of no b1 type";
  }
  return check_result(instruction, {scalar, 1, true});
}

Complaint Rules::check_last_group(const Instruction& instruction) const {
  if (instruction.slot >= program_.parameters.size()) return "has no such parameter";
  const Parameter& parameter = program_.parameters[instruction.slot];
  if (!parameter.written) return "writes a parameter that is declared as read";
  if (parameter.storage != DType::i32) return "has a counter of no i32 type";
  if (operand_type(instruction, 0) != kUniformInt) return "has an index that is no uniform i32";
  if (operand_type(instruction, 1) != kUniformInt) return "has a count that is no uniform i32";
  return check_result(instruction, {Scalar::b1, 1, false});
}

Complaint Rules::check_shuffle(const Instruction& instruction) const {
  const Type value = operand_type(instruction, 0);
  if (value.scalar != Scalar::f32 && value.scalar != Scalar::i32) {
    return "has an operand of a wrong scalar type";
  }
  if (value.width != 1) return "has an operand that is a vector";
  if (!value.varying) return "has a uniform operand";
  if (instruction.op != Opcode::shuffle) {
    if (instruction.imm < 1 || instruction.imm >= program_.wave_lanes) {
      return "names a lane outside of the wave";
    }
    return check_result(instruction, {value.scalar, 1, true});
  }
  const Type index = operand_type(instruction, 1);
  if (index.scalar != Scalar::i32 || index.width != 1) return "has an index of no i32 type";
  return check_result(instruction, {value.scalar, 1, index.varying});
}

Complaint Rules::check_dot(const Instruction& instruction) const {
  Type result = {instruction.op == Opcode::dot_bf16 ? Scalar::f32 : Scalar::i32, 1, false};
  for (size_t i = 0; i < 3; ++i) {
    const Type operand = operand_type(instruction, i);
    if (operand.scalar != (i == 2 ? result.scalar : Scalar::i32))
      return "has an operand of a wrong scalar type";
    if (operand.width != 1) return "has an operand that is a vector";
    result.varying = result.varying || operand.varying;
  }
  return check_result(instruction, result);
}

bool Rules::uses_fragment(const Instruction& instruction) const {
  const auto is_fragment = [this](ValueId value) { return type(value).is_fragment(); };
  bool found = std::ranges::any_of(program_.operands_of(instruction), is_fragment);
  for (ValueId i = 0; i < instruction.result_count; ++i) {
    found = found || is_fragment(instruction.first_result + i);
  }
  return found;
}

Complaint Rules::check_reduce(const Instruction& instruction) const {
  const Type operand = operand_type(instruction, 0);
  if (operand.scalar != Scalar::f32 && operand.scalar != Scalar::i32) {
    return "has an operand of a wrong scalar type";
  }
  if (operand.width != 1) return "has an operand that is a vector";
  if (!operand.varying) return "has a uniform operand";
  return check_result(instruction, {operand.scalar, 1, false});
}

Complaint Rules::check_rounds(const Instruction& instruction) const {
  const Type operand = operand_type(instruction, 0);
  if (operand.scalar != Scalar::i32) return "has an operand of a wrong scalar type";
  if (operand.width != 1) return "has an operand that is a vector";
  if (!operand.varying) return "has a uniform operand";
  return check_result(instruction, kUniformInt);
}

Complaint Rules::check_loop(const Instruction& instruction) const {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  for (size_t i = 0; i < 3; ++i) {
    if (type(operands[i]) != kUniformInt) return "has a bound that is no uniform i32";
  }
  if (instruction.imm < 0 || instruction.imm > kUnrollMax) return "has no usable unroll factor";
  if (instruction.regions[0] == kNone || instruction.regions[1] != kNone) {
    return "has a wrong number of regions";
  }
  const Block& block = program_.blocks[instruction.regions[0]];
  const uint64_t arguments_end = uint64_t{block.first_argument} + block.argument_count;
  const size_t carried = operands.size() - 3;
  if (block.argument_count != carried + 1 || instruction.result_count != carried) {
    return "has unequal numbers of initial values, arguments and results";
  }
  if (arguments_end > program_.values.size()) return "has arguments outside of the program";
  for (size_t i = 0; i <= carried; ++i) {
    const ValueId argument = block.first_argument + static_cast<ValueId>(i);
    if (i == 0 && type(argument) != kUniformInt) return "has a counter that is no uniform i32";
    if (i == 0) continue;
    const ValueId result = instruction.first_result + static_cast<ValueId>(i - 1);
    if (type(result) != type(argument)) return "has an argument and a result of unequal types";
    if (!can_carry(type(operands[2 + i]), type(argument))) {
      return "has an initial value of another type than its argument";
    }
  }
  return nullptr;
}

Complaint Rules::check_branch(const Instruction& instruction) const {
  if (operand_type(instruction, 0) != Type{Scalar::b1, 1, false}) {
    return "has a condition that is no uniform b1";
  }
  if (instruction.regions[0] == kNone) return "has a wrong number of regions";
  for (BlockId region : instruction.regions) {
    if (region != kNone && program_.blocks[region].argument_count != 0) {
      return "has a region with arguments";
    }
  }
  return instruction.result_count != 0 ? "has a result" : nullptr;
}

}  // namespace

Complaint complaint_about(const Program& program, const Instruction& instruction) {
  return Rules(program).check(instruction);
}

bool can_carry(Type value, Type carried) {
  return value.scalar == carried.scalar && value.width == carried.width &&
         value.fragment == carried.fragment && (carried.varying || !value.varying);
}

}  // namespace leat::ir
