// Tables over ops.def and small facts of a program.
#include "leat/ir/ir.h"

namespace leat::ir {

std::string_view name_of(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind) \
  case Opcode::name:                     \
    return #name;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return "unknown";
}

int operand_count_of(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind) \
  case Opcode::name:                     \
    return operands;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return 0;
}

OpClass class_of(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind) \
  case Opcode::name:                     \
    return OpClass::kind;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return OpClass::other;
}

bool is_function(Opcode op) { return class_of(op) == OpClass::function; }

uint32_t Program::local_bytes() const {
  uint32_t bytes = 0;
  for (const LocalMemory& local : locals) bytes += local.count * local.width * 4u;
  return bytes;
}

}  // namespace leat::ir
