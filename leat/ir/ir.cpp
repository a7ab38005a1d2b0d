// Tables over ops.def and small facts of a program.
#include "leat/ir/ir.h"

namespace leat::ir {

std::string_view name_of(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind, version) \
  case Opcode::name:                              \
    return #name;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return "unknown";
}

int operand_count_of(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind, version) \
  case Opcode::name:                              \
    return operands;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return 0;
}

OpClass class_of(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind, version) \
  case Opcode::name:                              \
    return OpClass::kind;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return OpClass::other;
}

Scalar compute_of(DType storage) {
  switch (storage) {
    case DType::f32:
    case DType::f16:
    case DType::bf16: return Scalar::f32;
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::i32:
    case DType::u32: return Scalar::i32;
    case DType::i64:
    case DType::u64: return Scalar::i64;
    case DType::f64: return Scalar::f64;
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: return Scalar::b1;
  }
  return Scalar::b1;
}

bool is_global_access(Opcode op) {
  using enum Opcode;
  return op == load || op == store || op == atomic_add || op == last_group || op == fragment_load ||
         op == fragment_store;
}

bool is_local_access(Opcode op) {
  using enum Opcode;
  return op == load_local || op == store_local || op == copy_async || op == fragment_load_local ||
         op == fragment_store_local;
}

bool is_shuffle(Opcode op) {
  using enum Opcode;
  return op == shuffle || op == shuffle_xor || op == shuffle_up || op == shuffle_down;
}

bool is_fragment_access(Opcode op) {
  using enum Opcode;
  return op == fragment_load || op == fragment_load_local || op == fragment_store ||
         op == fragment_store_local;
}

bool is_fragment_element(Opcode op) {
  using enum Opcode;
  return op == fragment_part || op == fragment_row || op == fragment_column;
}

int version_of(Opcode op) {
  switch (op) {
#define LEAT_IR_OP(name, operands, kind, version) \
  case Opcode::name:                              \
    return version;
#include "leat/ir/ops.def"
#undef LEAT_IR_OP
  }
  return 1;
}

bool is_function(Opcode op) { return class_of(op) == OpClass::function; }

uint32_t Program::local_bytes() const {
  uint32_t bytes = 0;
  for (const LocalMemory& local : locals) bytes += local.size_bytes();
  return bytes;
}

}  // namespace leat::ir
