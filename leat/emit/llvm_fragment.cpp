// KernelWriter, fragments of matrix units where a lane is a thread: m16n8k8 to k32 of mma.sync. A
// fragment is a few registers of 32 bits in each lane. With g = lane / 4, t = lane % 4 and E
// elements to a register (e counts them, low bits first):
//   a, registers 0..3     row g + 8 (r & 1), column E t + e + 4 E (r >> 1)
//   b, registers 0..1     row E t + e + 4 E r, column g
//   sum, registers 0..3   row g + 8 (i >> 1), column 2 t + (i & 1)
// ldmatrix fetches the same from local memory in one instruction, 16 bytes of a row for each lane.
// Of four waves, m64nNk16 of wgmma, only the sum lies in registers, wave w's rows from 16 w on:
//   sum, registers 0..n/2-1   row 16 w + g + 8 (i >> 1 & 1), column 8 (i >> 2) + 2 t + (i & 1)
// Source: PTX ISA 8.0, "Matrix Fragments for mma.m16n8k16" and its like, "ldmatrix", "Register
// Fragments and Shared Memory Matrix Layouts" of wgmma.
#include "leat/base/check.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

/// Where a fragment lies. `outer` counts rows of a and sum, columns of b; `inner` the other axis.
struct KernelWriter::FragmentPlace {
  Fragment fragment;
  llvm::Value* base = nullptr;
  llvm::Value* index = nullptr;   // of element (0, 0), 64 bits
  llvm::Value* stride = nullptr;  // elements, 64 bits
  uint32_t element_bytes = 4;
  bool inner_is_contiguous = true;
  bool is_local = false;
};

const MatrixUnit& KernelWriter::matrix_unit() const {
  CHECK(features_.lane_is_thread() && features_.gpu->matrix_unit != nullptr);
  return *features_.gpu->matrix_unit;
}

// A register of a CPU has a number, and no value of LLVM's stands for it.
size_t KernelWriter::component_count(const Type& type) const {
  if (!type.is_fragment()) return type.width;
  if (!features_.lane_is_thread()) return 0;
  const Fragment& fragment = type.fragment;
  if (fragment.role == Role::sum) {
    return size_t{fragment.m} * fragment.n / (size_t{lanes_} * fragment.waves);
  }
  return fragment.role == Role::b || fragment.waves > 1 ? 2 : 4;
}

KernelWriter::FragmentPlace KernelWriter::place_of(const Instruction& instruction,
                                                   const Fragment& fragment) {
  const auto wide_operand = [&](size_t i) {
    return build_.CreateSExt(operand(instruction, i, 0), build_.getInt64Ty());
  };
  FragmentPlace place = {.fragment = fragment};
  place.is_local = is_local_access(instruction.op);
  place.base = place.is_local ? locals_[instruction.slot] : parameters_[instruction.slot];
  place.index = wide_operand(0);
  place.stride = wide_operand(1);
  place.element_bytes = static_cast<uint32_t>(size_bytes_of(fragment.element));
  const bool by_columns = (instruction.imm & kByColumns) != 0;
  place.inner_is_contiguous = by_columns == (fragment.role == Role::b);
  return place;
}

/// (lane >> shift & mask) * factor, 64 bits.
llvm::Value* KernelWriter::lane_part(uint32_t shift, uint32_t mask, uint32_t factor) {
  llvm::Value* part = build_.CreateAnd(build_.CreateLShr(lane_id_, shift), mask);
  return build_.CreateZExt(build_.CreateMul(part, build_.getInt32(factor)), build_.getInt64Ty());
}

llvm::Value* KernelWriter::fragment_pointer(const FragmentPlace& place, llvm::Value* outer,
                                            llvm::Value* inner) {
  llvm::Value* far = place.inner_is_contiguous ? outer : inner;
  llvm::Value* near = place.inner_is_contiguous ? inner : outer;
  llvm::Value* element =
      build_.CreateAdd(build_.CreateAdd(place.index, build_.CreateMul(far, place.stride)), near);
  return build_.CreateGEP(build_.getInt8Ty(), place.base,
                          build_.CreateMul(element, bytes(place.element_bytes)));
}

void KernelWriter::write_fragment_fill(const Instruction& instruction) {
  values_[instruction.first_result].assign(
      component_count(program_.values[instruction.first_result]), operand(instruction, 0, 0));
}

void KernelWriter::write_fragment_load(const Instruction& instruction) {
  const Fragment& fragment = program_.values[instruction.first_result].fragment;
  const FragmentPlace place = place_of(instruction, fragment);
  values_[instruction.first_result] = fragment.role == Role::sum ? load_sum(place)
                                      : fragment.waves > 1       ? tile_operand(instruction, place)
                                                                 : load_operand(place);
}

// A descriptor, and whether the operand is turned.
KernelWriter::Components KernelWriter::tile_operand(const Instruction& instruction,
                                                    const FragmentPlace& place) {
  CHECK((instruction.imm & kSwizzled) != 0 && features_.gpu->tile_unit != nullptr);
  llvm::Value* element_bytes = build_.getInt32(place.element_bytes);
  const auto in_bytes = [&](size_t i) {
    return build_.CreateMul(operand(instruction, i, 0), element_bytes);
  };
  llvm::Value* base = build_.CreatePtrToInt(place.base, build_.getInt32Ty());
  llvm::Value* address = build_.CreateAdd(base, in_bytes(0));
  return {features_.gpu->tile_unit->descriptor(build_, address, in_bytes(1)),
          build_.getInt1(!place.inner_is_contiguous)};
}

// ldmatrix turns pairs of bytes only.
KernelWriter::Components KernelWriter::load_operand(const FragmentPlace& place) {
  const bool as_matrices =
      place.is_local && (place.inner_is_contiguous || place.element_bytes == 2);
  Components registers;
  if (as_matrices) {
    registers = load_matrices(place);
  } else {
    const uint32_t count = place.fragment.role == Role::b ? 2 : 4;
    for (uint32_t r = 0; r < count; ++r) registers.push_back(load_register(place, r));
  }
  if (!place.fragment.tf32) return registers;
  for (llvm::Value*& value : registers) {
    llvm::Value* real = build_.CreateBitCast(value, build_.getFloatTy());
    value = matrix_unit().tf32_from_float(build_, real);
  }
  return registers;
}

// Each lane gives the address of 16 bytes: of the matrices of 8 by 16 bytes, in the order of the
// registers, lanes 0 to 7 the first one's rows, and so on.
KernelWriter::Components KernelWriter::load_matrices(const FragmentPlace& place) {
  const bool is_a = place.fragment.role == Role::a;
  const uint32_t chunk = 16 / place.element_bytes;
  llvm::Value* outer = nullptr;
  llvm::Value* inner = nullptr;
  if (place.inner_is_contiguous) {
    outer = is_a ? lane_part(0, 15, 1) : lane_part(0, 7, 1);
    inner = is_a ? lane_part(4, 1, chunk) : lane_part(3, 1, chunk);
  } else {
    outer = is_a ? lane_part(3, 1, 8) : bytes(0);
    inner = lane_part(0, is_a ? 7 : 15, 1);
    if (is_a) inner = build_.CreateAdd(lane_part(4, 1, 8), inner);
  }
  const uint32_t count = is_a ? 4 : 2;
  llvm::Value* loaded = matrix_unit().load(build_, fragment_pointer(place, outer, inner), count,
                                           !place.inner_is_contiguous);
  Components registers;
  for (uint32_t r = 0; r < count; ++r) {
    registers.push_back(build_.CreateExtractValue(loaded, r));
  }
  return registers;
}

llvm::Value* KernelWriter::load_register(const FragmentPlace& place, uint32_t number) {
  const bool is_a = place.fragment.role == Role::a;
  const uint32_t elements = 4 / place.element_bytes;
  const uint32_t half = is_a ? number >> 1 : number;
  llvm::Value* outer = build_.CreateAdd(lane_part(2, 7, 1), bytes(is_a ? 8 * (number & 1) : 0));
  llvm::Value* inner = build_.CreateAdd(lane_part(0, 3, elements), bytes(4 * elements * half));
  if (place.inner_is_contiguous) {
    return build_.CreateAlignedLoad(build_.getInt32Ty(), fragment_pointer(place, outer, inner),
                                    llvm::Align(4));
  }
  llvm::Value* packed = build_.getInt32(0);
  for (uint32_t e = 0; e < elements; ++e) {
    llvm::Value* pointer = fragment_pointer(place, outer, build_.CreateAdd(inner, bytes(e)));
    llvm::Value* element = build_.CreateAlignedLoad(build_.getIntNTy(8 * place.element_bytes),
                                                    pointer, llvm::Align(place.element_bytes));
    element = build_.CreateZExt(element, build_.getInt32Ty());
    packed = build_.CreateOr(packed, build_.CreateShl(element, 8 * place.element_bytes * e));
  }
  return packed;
}

llvm::Value* KernelWriter::sum_row(const Fragment& sum, uint32_t number) {
  llvm::Value* row = build_.CreateAdd(lane_part(2, 7, 1), bytes(8 * (number >> 1 & 1)));
  if (sum.waves == 1) return row;
  llvm::Value* wave =
      build_.CreateZExt(build_.CreateAnd(wave_id_, sum.waves - 1u), build_.getInt64Ty());
  return build_.CreateAdd(row, build_.CreateMul(wave, bytes(sum.m / sum.waves)));
}

llvm::Value* KernelWriter::sum_column(uint32_t number) {
  return build_.CreateAdd(lane_part(0, 3, 2), bytes(8 * (number >> 2) + (number & 1)));
}

llvm::Value* KernelWriter::sum_pointer(const FragmentPlace& place, uint32_t number) {
  llvm::Value* column = sum_column(number);
  return fragment_pointer(place, sum_row(place.fragment, number), column);
}

void KernelWriter::write_fragment_element(const Instruction& instruction) {
  const ValueId sum = program_.operands_of(instruction)[0];
  const auto number = static_cast<uint32_t>(instruction.imm);
  llvm::Value* element = nullptr;
  if (instruction.op == Opcode::fragment_part) {
    element = values_[sum][number];
  } else {
    llvm::Value* place = instruction.op == Opcode::fragment_row
                             ? sum_row(program_.values[sum].fragment, number)
                             : sum_column(number);
    element = build_.CreateTrunc(place, build_.getInt32Ty());
  }
  values_[instruction.first_result] = {element};
}

KernelWriter::Components KernelWriter::load_sum(const FragmentPlace& place) {
  Components registers;
  for (uint32_t i = 0; i < component_count({.fragment = place.fragment}); ++i) {
    registers.push_back(build_.CreateAlignedLoad(stored_type(place.fragment.element),
                                                 sum_pointer(place, i), llvm::Align(4)));
  }
  return registers;
}

void KernelWriter::write_fragment_store(const Instruction& instruction) {
  const ValueId value = program_.operands_of(instruction)[2];
  const FragmentPlace place = place_of(instruction, program_.values[value].fragment);
  for (uint32_t i = 0; i < values_[value].size(); ++i) {
    build_.CreateAlignedStore(values_[value][i], sum_pointer(place, i), llvm::Align(4));
  }
}

void KernelWriter::write_mma(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const Fragment& a = program_.values[operands[0]].fragment;
  const Fragment& b = program_.values[operands[1]].fragment;
  if (a.waves > 1) return multiply_tiles(instruction);
  auto* halves = llvm::FixedVectorType::get(build_.getHalfTy(), 2);
  llvm::SmallVector<llvm::Value*, 10> arguments;
  for (const ValueId id : operands) {
    const bool as_halves = a.element == DType::f16 && id != operands[2];
    for (llvm::Value* part : values_[id]) {
      arguments.push_back(as_halves ? build_.CreateBitCast(part, halves) : part);
    }
  }
  llvm::Value* sums = matrix_unit().multiply(build_, a, b, arguments);
  Components registers;
  for (uint32_t i = 0; i < 4; ++i) registers.push_back(build_.CreateExtractValue(sums, i));
  values_[instruction.first_result] = std::move(registers);
}

// The unit reads what the operands say while the kernel goes on; nothing touches the sums'
// registers until they have been waited for.
void KernelWriter::multiply_tiles(const Instruction& instruction) {
  const TileUnit& unit = *features_.gpu->tile_unit;
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const auto operand_of = [&](ValueId id) {
    const Components& parts = values_[id];
    return TileOperand{.descriptor = parts[0],
                       .turned = llvm::cast<llvm::ConstantInt>(parts[1])->isOne()};
  };
  if (!products_open_) unit.begin(build_);
  products_open_ = true;
  llvm::Value* sums =
      unit.multiply(build_, program_.values[operands[0]].fragment, operand_of(operands[0]),
                    operand_of(operands[1]), values_[operands[2]]);
  Components registers;
  for (uint32_t i = 0; i < values_[operands[2]].size(); ++i) {
    registers.push_back(build_.CreateExtractValue(sums, i));
  }
  values_[instruction.first_result] = std::move(registers);
}

void KernelWriter::end_products() {
  if (products_open_) features_.gpu->tile_unit->commit(build_);
  products_open_ = false;
}

void KernelWriter::write_mma_wait(const Instruction& instruction) {
  const ValueId sum = program_.operands_of(instruction)[0];
  if (program_.values[sum].fragment.waves == 1) {
    values_[instruction.first_result] = values_[sum];
    return;
  }
  llvm::Value* sums =
      features_.gpu->tile_unit->wait(build_, values_[sum], static_cast<uint32_t>(instruction.imm));
  Components registers;
  for (uint32_t i = 0; i < values_[sum].size(); ++i) {
    registers.push_back(build_.CreateExtractValue(sums, i));
  }
  values_[instruction.first_result] = std::move(registers);
}

}  // namespace leat
