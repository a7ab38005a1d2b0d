// The switch over all instructions, and what each is as an expression. Everything stands in a
// `let`, also constants: what is no constant expression is not evaluated by the compiler, for which
// an overflow or a division by zero would be an error.
#include <bit>
#include <cmath>

#include "leat/base/check.h"
#include "leat/emit/wgsl_emitter.h"

namespace leat {

using ir::Opcode;
using ir::Scalar;

namespace {

std::string unsigned_type(uint8_t width) {
  return width == 1 ? "u32" : fmt::format("vec{}<u32>", width);
}

}  // namespace

void WgslEmitter::set(const ir::Instruction& instruction, const std::string& expression) {
  line("let v{} = {};", instruction.first_result, expression);
}

// An operand of width 1 beside a wider one stands for every component. The condition of a select
// and the operand of an extract stay as they are.
std::string WgslEmitter::operand(const ir::Instruction& instruction, size_t i) const {
  const ir::ValueId value = program_.operands_of(instruction)[i];
  const ir::Type type = program_.values[value];
  const uint8_t width = program_.values[instruction.first_result].width;
  if (type.width == width) return fmt::format("v{}", value);
  return fmt::format("{}(v{})", wgsl_type(type.scalar, width), value);
}

void WgslEmitter::infix(const ir::Instruction& instruction, const char* sign) {
  set(instruction, fmt::format("{} {} {}", operand(instruction, 0), sign, operand(instruction, 1)));
}

void WgslEmitter::call(const ir::Instruction& instruction, const std::string& function) {
  std::string list;
  for (size_t i = 0; i < instruction.operand_count; ++i) {
    list += (i == 0 ? "" : ", ") + operand(instruction, i);
  }
  set(instruction, fmt::format("{}({})", function, list));
}

// The count is of type u32; its low five bits count. An i32 shifted right keeps its sign, a u32
// does not.
void WgslEmitter::emit_shift(const ir::Instruction& instruction, const char* sign, Scalar scalar) {
  const uint8_t width = program_.values[instruction.first_result].width;
  const std::string bits = unsigned_type(width);
  const std::string count =
      fmt::format("(bitcast<{0}>({1}) & {0}(31u))", bits, operand(instruction, 1));
  const std::string number = operand(instruction, 0);
  if (scalar == Scalar::i32) return set(instruction, fmt::format("{} {} {}", number, sign, count));
  set(instruction, fmt::format("bitcast<{}>(bitcast<{}>({}) {} {})", wgsl_type(Scalar::i32, width),
                               bits, number, sign, count));
}

std::string WgslEmitter::literal(const ir::Instruction& instruction) const {
  const uint32_t bits = static_cast<uint32_t>(instruction.imm);
  switch (program_.values[instruction.first_result].scalar) {
    case Scalar::b1: return bits != 0 ? "true" : "false";
    case Scalar::i32: return fmt::format("i32({})", static_cast<int32_t>(bits));
    case Scalar::f32: break;
    case Scalar::i64:
    case Scalar::f64: CHECK(false);  // check_supported refuses them
  }
  const float number = std::bit_cast<float>(bits);
  if (std::isnormal(number) || bits == 0) return fmt::format("{}f", number);
  return fmt::format("bitcast<f32>({:#x}u | nothing)", bits);
}

void WgslEmitter::emit_instruction(const ir::Instruction& instruction) {
  using enum Opcode;
  const auto result_type = [&](Scalar scalar) {
    return wgsl_type(scalar, program_.values[instruction.first_result].width);
  };
  const auto value = [&](size_t i) { return operand(instruction, i); };
  switch (instruction.op) {
    case constant: return set(instruction, literal(instruction));
    case lane_id: return set(instruction, "lane");
    case wave_id: return set(instruction, "wave");
    case group_id: return set(instruction, fmt::format("i32(group.{})", "xyz"[instruction.imm]));
    case neg: return set(instruction, "-" + value(0));
    case abs: return call(instruction, "abs");
    case sqrt: return call(instruction, "sqrt");
    case floor: return call(instruction, "floor");
    case ceil: return call(instruction, "ceil");
    case round_even: return call(instruction, "round");
#define LEAT_IR_FUNCTION(name, operands, version) case name:
#include "leat/ir/functions.def"
    case reduce_add:
    case reduce_min:
    case reduce_max:
    case shuffle:
    case shuffle_xor:
    case shuffle_up:
    case shuffle_down:
    case atomic_add:
    case last_group:
    case dot_ss:
    case dot_us:
    case dot_uu:
    case dot_bf16:
    case copy_async:
    case copy_commit:
    case copy_wait:
    case prefetch:
    case fragment_fill:
    case fragment_load:
    case fragment_load_local:
    case fragment_store:
    case fragment_store_local:
    case mma:
    case mma_wait:
    case fragment_part:
    case fragment_row:
    case fragment_column:
    case widen_i:
    case widen_u:
    case narrow_i:
    case widen_f:
    case narrow_f: CHECK(false);  // find_uses refuses them
    case add_f:
    case add_i: return infix(instruction, "+");
    case sub_f:
    case sub_i: return infix(instruction, "-");
    case mul_f:
    case mul_i: return infix(instruction, "*");
    case div_f:
    case div_i: return infix(instruction, "/");
    case rem_i: return infix(instruction, "%");
    case min_f:
    case min_i: return call(instruction, "min");
    case max_f:
    case max_i: return call(instruction, "max");
    case fma: return call(instruction, "fma");
    case and_i:
    case and_b: return infix(instruction, "&");
    case or_i:
    case or_b: return infix(instruction, "|");
    case xor_i: return infix(instruction, "^");
    case xor_b: return infix(instruction, "!=");
    case shl_i: return emit_shift(instruction, "<<", Scalar::i32);
    case shr_s: return emit_shift(instruction, ">>", Scalar::i32);
    case shr_u: return emit_shift(instruction, ">>", Scalar::b1);
    case popcount: return call(instruction, "countOneBits");
    case not_b: return set(instruction, "!" + value(0));
    case lt_f:
    case lt_i: return infix(instruction, "<");
    case le_f:
    case le_i: return infix(instruction, "<=");
    case eq_f:
    case eq_i: return infix(instruction, "==");
    case lt_u: {
      const std::string bits = unsigned_type(program_.values[instruction.first_result].width);
      return set(instruction,
                 fmt::format("bitcast<{0}>({1}) < bitcast<{0}>({2})", bits, value(0), value(1)));
    }
    case select:
      return set(instruction, fmt::format("select({}, {}, v{})", value(2), value(1),
                                          program_.operands_of(instruction)[0]));
    case int_from_float:
    case int_from_bool: return call(instruction, result_type(Scalar::i32));
    case float_from_int: return call(instruction, result_type(Scalar::f32));
    case bits_from_float:
      return call(instruction, fmt::format("bitcast<{}>", result_type(Scalar::i32)));
    case float_from_bits:
      return call(instruction, fmt::format("bitcast<{}>", result_type(Scalar::f32)));
    case vector: {
      std::string parts;
      for (const ir::ValueId part : program_.operands_of(instruction)) {
        parts += fmt::format("{}v{}", parts.empty() ? "" : ", ", part);
      }
      const Scalar scalar = program_.values[instruction.first_result].scalar;
      return set(instruction, fmt::format("{}({})", result_type(scalar), parts));
    }
    case extract: {
      const ir::ValueId whole = program_.operands_of(instruction)[0];
      const bool is_vector = program_.values[whole].width > 1;
      return set(instruction, is_vector ? fmt::format("v{}.{}", whole, "xyzw"[instruction.imm])
                                        : fmt::format("v{}", whole));
    }
    case rounds: return set(instruction, value(0));
    case load: return emit_load(instruction, buffers_[instruction.slot]);
    case store: return emit_store(instruction, buffers_[instruction.slot]);
    case load_local: return emit_load(instruction, locals_[instruction.slot]);
    case store_local: return emit_store(instruction, locals_[instruction.slot]);
    case barrier: return line("workgroupBarrier();");
    case loop: return emit_loop(instruction);
    case branch: return emit_branch(instruction);
    case yield: return;  // emit_loop reads it
  }
}

}  // namespace leat
