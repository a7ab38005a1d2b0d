// What is known without running is checked here: types, spaces, sizes. Alignment is the
// interpreter's business, as indices are.
#include "leat/ir/verify_fragments.h"

namespace leat::ir {
namespace {

constexpr Type kUniformInt = {Scalar::i32, 1, false};
constexpr int64_t kPendingGroupsMax = 63;
constexpr int64_t kPendingProductsMax = 7;

bool is_index(const Type& type) { return type.scalar == Scalar::i32 && type.width == 1; }

/// Whether matrix units may hold such elements in that role.
bool is_element(const Fragment& fragment) {
  switch (fragment.element) {
    case DType::f32: return true;
    case DType::f16:
    case DType::f64: return !fragment.tf32;
    case DType::i32: return fragment.role == Role::sum && !fragment.tf32;
    case DType::bf16:
    case DType::i8:
    case DType::u8: return fragment.role != Role::sum && !fragment.tf32;
    case DType::i16:
    case DType::u16:
    case DType::u32:
    case DType::i64:
    case DType::u64:
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
    case DType::u2: return false;
  }
  return false;
}

// Rows and columns fit in a fragment whose elements the interpreter and a fallback can list.
bool has_shape(const Fragment& fragment) {
  constexpr uint32_t kExtentMax = 256;
  const auto fits = [](uint32_t extent) { return extent >= 1 && extent <= kExtentMax; };
  return fits(fragment.m) && fits(fragment.n) && fits(fragment.k) && fragment.waves >= 1;
}

Complaint check_type(const Program& program, const Type& type) {
  const Fragment& fragment = type.fragment;
  if (fragment.role == Role::none) return "has no fragment where one is wanted";
  if (!is_element(fragment)) return "has a fragment of elements that its role cannot have";
  if (!has_shape(fragment)) return "has a fragment of no usable shape";
  if (program.waves_per_workgroup % fragment.waves != 0) {
    return "has a fragment of more waves than fit in the workgroup";
  }
  const bool is_plain = type.width == 1 && !type.varying;
  return is_plain && type.scalar == compute_of(fragment.element) ? nullptr
                                                                 : "has a fragment of a wrong type";
}

bool is_same_product(const Fragment& a, const Fragment& b) {
  return a.m == b.m && a.n == b.n && a.k == b.k && a.waves == b.waves;
}

Complaint check_mma(const Program& program, const Instruction& instruction) {
  const auto operands = program.operands_of(instruction);
  const Fragment& a = program.values[operands[0]].fragment;
  const Fragment& b = program.values[operands[1]].fragment;
  const Fragment& c = program.values[operands[2]].fragment;
  if (a.role != Role::a || b.role != Role::b || c.role != Role::sum) {
    return "has an operand of a wrong role";
  }
  if (!is_same_product(a, b) || !is_same_product(a, c)) return "has operands of unequal shapes";
  const bool same_kind = is_float(a.element) == is_float(b.element) &&
                         is_float(a.element) == is_float(c.element) && a.tf32 == b.tf32;
  if (!same_kind) return "has operands of elements that do not go together";
  if (instruction.result_count != 1) return "has a wrong number of results";
  const bool same = program.values[instruction.first_result] == program.values[operands[2]];
  return same ? nullptr : "has a result of another type than its sum";
}

Complaint check_fill(const Program& program, const Instruction& instruction) {
  if (instruction.result_count != 1) return "has a wrong number of results";
  const Type& result = program.values[instruction.first_result];
  if (result.fragment.role != Role::sum) return "fills a fragment that is no sum";
  const Type wanted = {result.scalar, 1, false};
  const bool fits = program.values[program.operands_of(instruction)[0]] == wanted;
  return fits ? nullptr : "has an operand that is no uniform value of its type";
}

Complaint check_access(const Program& program, const Instruction& instruction) {
  const auto operands = program.operands_of(instruction);
  const bool is_global = is_global_access(instruction.op);
  const bool is_store =
      instruction.op == Opcode::fragment_store || instruction.op == Opcode::fragment_store_local;
  if (instruction.slot >= (is_global ? program.parameters.size() : program.locals.size())) {
    return is_global ? "has no such parameter" : "has no such local memory";
  }
  if (instruction.result_count != (is_store ? 0 : 1)) return "has a wrong number of results";
  if (program.values[operands[0]] != kUniformInt) return "has an index that is no uniform i32";
  if (program.values[operands[1]] != kUniformInt) return "has a stride that is no uniform i32";
  const Type& type = program.values[is_store ? operands[2] : instruction.first_result];
  if ((instruction.imm & kSwizzled) != 0) {
    const bool fits = instruction.op == Opcode::fragment_load_local && type.fragment.waves > 1 &&
                      type.fragment.role != Role::sum;
    if (!fits)
      return "is swizzled where only a and b that several waves load from local memory are";
  }
  if ((instruction.imm & kInWords) != 0) {
    const bool fits = instruction.imm == kInWords && type.fragment.role == Role::b &&
                      type.fragment.waves == 1 && size_bytes_of(type.fragment.element) <= 2;
    if (!fits) return "is in words where only a b of one wave and of 1 or 2 bytes an element is";
  }
  if (is_store && type.fragment.role != Role::sum) return "stores a fragment that is no sum";
  if (is_store && is_global && !program.parameters[instruction.slot].written) {
    return "writes a parameter that is declared as read";
  }
  const DType storage = is_global ? program.parameters[instruction.slot].storage
                                  : program.locals[instruction.slot].storage;
  return storage == type.fragment.element ? nullptr
                                          : "has a memory of another type than its elements";
}

Complaint check_wait(const Program& program, const Instruction& instruction) {
  if (instruction.result_count != 1) return "has a wrong number of results";
  const Type& sum = program.values[program.operands_of(instruction)[0]];
  if (sum.fragment.role != Role::sum) return "waits for a fragment that is no sum";
  if (instruction.imm < 0 || instruction.imm > kPendingProductsMax) {
    return "waits for no usable number of products";
  }
  const bool same = program.values[instruction.first_result] == sum;
  return same ? nullptr : "has a result of another type than its sum";
}

Complaint check_element(const Program& program, const Instruction& instruction) {
  if (instruction.result_count != 1) return "has a wrong number of results";
  const Type& sum = program.values[program.operands_of(instruction)[0]];
  const Fragment& fragment = sum.fragment;
  if (fragment.role != Role::sum) return "takes an element of a fragment that is no sum";
  const uint32_t lanes = program.wave_lanes * fragment.waves;
  const uint32_t elements = uint32_t{fragment.m} * fragment.n;
  if (elements % lanes != 0) return "takes an element of a sum that lanes share unevenly";
  if (instruction.imm < 0 || instruction.imm >= elements / lanes) {
    return "takes an element that a lane does not have";
  }
  const Scalar scalar = instruction.op == Opcode::fragment_part ? sum.scalar : Scalar::i32;
  const bool fits = program.values[instruction.first_result] == Type{scalar, 1, true};
  return fits ? nullptr : "has a result of a wrong type";
}

}  // namespace

Complaint check_copy(const Program& program, const Instruction& instruction) {
  if (instruction.result_count != 0) return "has a result";
  if (instruction.op == Opcode::copy_wait) {
    const bool fits = instruction.imm >= 0 && instruction.imm <= kPendingGroupsMax;
    return fits ? nullptr : "waits for no usable number of groups";
  }
  const auto operands = program.operands_of(instruction);
  if (operands.size() != (instruction.masked ? 3u : 2u)) return "has a wrong number of operands";
  if (instruction.slot >= program.locals.size()) return "has no such local memory";
  if (instruction.source >= program.parameters.size()) return "has no such parameter";
  const DType storage = program.locals[instruction.slot].storage;
  if (program.parameters[instruction.source].storage != storage) {
    return "copies between memories of unequal types";
  }
  const int64_t bytes = size_bytes_of(storage) * instruction.imm;
  if (bytes != 4 && bytes != 8 && bytes != 16) return "copies other than 4, 8 or 16 bytes";
  const Type index = program.values[operands[0]];
  if (!is_index(index) || !is_index(program.values[operands[1]])) {
    return "has an index of no i32 type";
  }
  if (!index.varying) return "copies all lanes to one place";
  if (!instruction.masked) return nullptr;
  const Type mask = program.values[operands[2]];
  return mask.scalar == Scalar::b1 && mask.width == 1 ? nullptr : "has a mask of no b1 type";
}

Complaint check_prefetch(const Program& program, const Instruction& instruction) {
  if (instruction.result_count != 0) return "has a result";
  if (instruction.slot >= program.parameters.size()) return "has no such parameter";
  const Type index = program.values[program.operands_of(instruction)[0]];
  if (!is_index(index) || index.varying) return "has an index of no uniform i32 type";
  const int64_t bytes = size_bytes_of(program.parameters[instruction.slot].storage);
  const bool fits = instruction.imm > 0 && instruction.imm <= INT32_MAX / bytes &&
                    instruction.imm * bytes % kPrefetchedBytes == 0;
  return fits ? nullptr : "fetches no multiple of 16 bytes";
}

Complaint check_fragment(const Program& program, const Instruction& instruction) {
  if (instruction.result_count == 1 && !is_fragment_element(instruction.op)) {
    const Type& result = program.values[instruction.first_result];
    if (Complaint complaint = check_type(program, result)) return complaint;
  }
  if (instruction.op == Opcode::mma) return check_mma(program, instruction);
  if (instruction.op == Opcode::mma_wait) return check_wait(program, instruction);
  if (is_fragment_element(instruction.op)) return check_element(program, instruction);
  if (instruction.op == Opcode::fragment_fill) return check_fill(program, instruction);
  return check_access(program, instruction);
}

}  // namespace leat::ir
