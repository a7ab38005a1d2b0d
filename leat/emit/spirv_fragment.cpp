// Fragments as cooperative matrices of a subgroup, and what else differs in a program that has
// them: the Vulkan memory model, which they want, and halves, which stay in local memory as they
// are.
//
// Under that model an access of local memory says itself that others see it: each store makes its
// value available to the workgroup, each load makes values visible, and the barrier between them
// orders the two. Waves and lanes are the subgroup's own numbers, as a matrix belongs to one.
//
// Four halves that go from a buffer to local memory go as two words, never widened. Local memory of
// such vectors is an array of pieces of 16 bytes, so that the unit finds its rows aligned.
// Facts: SPV_KHR_cooperative_matrix, SPV_KHR_bfloat16 (SPIR-V Registry); SPIR-V Specification 1.6,
// section 3.26 (memory operands); Vulkan 1.3 specification, appendix "Memory Model".
#include <bit>

#include "leat/emit/spirv_emitter.h"

namespace leat::spirv {
namespace {

constexpr uint32_t kWorkgroup = static_cast<uint32_t>(spv::Scope::Workgroup);
constexpr uint32_t kSubgroup = static_cast<uint32_t>(spv::Scope::Subgroup);
constexpr uint32_t kHalvesOfPiece = 8;  // 16 bytes
constexpr uint8_t kHalvesTogether = 4;

// CooperativeMatrixUseKHR.
uint32_t use_of(ir::Role role) {
  switch (role) {
    case ir::Role::a: return 0;
    case ir::Role::b: return 1;
    case ir::Role::sum: return 2;
    case ir::Role::none: break;
  }
  CHECK(false);
}

bool is_half(DType storage) { return storage == DType::f16 || storage == DType::bf16; }

}  // namespace

void ProgramEmitter::declare_fragments() {
  writer_.add_capability(spv::Capability::GroupNonUniform);  // the subgroup's numbers
  writer_.add_capability(spv::Capability::VulkanMemoryModel);
  writer_.add_capability(kCooperativeMatrix);
  writer_.add_extension("SPV_KHR_cooperative_matrix");
  if (uses_.f16) writer_.add_capability(spv::Capability::Float16);
  if (!uses_.bf16) return;
  writer_.add_capability(kBFloat16Type);
  writer_.add_capability(kBFloat16CooperativeMatrix);
  writer_.add_extension("SPV_KHR_bfloat16");
}

void ProgramEmitter::declare_wave_and_lane() {
  const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
  if (uses_.wave_id) {
    wave_id_variable_ = builtin_variable(unsigned_int, spv::BuiltIn::SubgroupId);
  }
  if (uses_.lane_id) {
    lane_id_variable_ = builtin_variable(unsigned_int, spv::BuiltIn::SubgroupLocalInvocationId);
  }
}

void ProgramEmitter::load_wave_and_lane() {
  const auto number = [&](Id variable) -> Id {
    if (variable == 0) return 0;
    const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
    const Id loaded = writer_.value(spv::Op::OpLoad, unsigned_int, {variable});
    return writer_.value(spv::Op::OpBitcast, scalar_type(ir::Scalar::i32), {loaded});
  };
  wave_id_ = number(wave_id_variable_);
  lane_id_ = number(lane_id_variable_);
}

Words ProgramEmitter::all_variables() const {
  Words all = inputs_;
  all.insert(all.end(), locals_.begin(), locals_.end());
  if (push_constant_ != 0) all.push_back(push_constant_);
  for (const auto& [access, variable] : buffers_) {
    if (!has_pointers()) all.push_back(variable);
  }
  return all;
}

Id ProgramEmitter::unsigned_constant(uint32_t value) {
  return writer_.constant(writer_.type(spv::Op::OpTypeInt, {32, 0}), value);
}

/// A value that is a multiple of `divisor`, a power of two, divided by it.
Id ProgramEmitter::unsigned_value(ir::ValueId value, uint32_t divisor) {
  if (const std::optional<int32_t> number = known(value)) {
    CHECK(static_cast<uint32_t>(*number) % divisor == 0);
    return unsigned_constant(static_cast<uint32_t>(*number) / divisor);
  }
  const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
  if (divisor == 1) return writer_.value(spv::Op::OpBitcast, unsigned_int, {id_of(value)});
  const auto split = split_index(value, static_cast<int32_t>(divisor), 0);
  if (split && split->second == 0) {
    return writer_.value(spv::Op::OpBitcast, unsigned_int, {split->first});
  }
  const Id number = writer_.value(spv::Op::OpBitcast, unsigned_int, {id_of(value)});
  const Id shift = unsigned_constant(static_cast<uint32_t>(std::countr_zero(divisor)));
  return writer_.value(spv::Op::OpShiftRightLogical, unsigned_int, {number, shift});
}

Id ProgramEmitter::matrix_type(const ir::Fragment& fragment) {
  return writer_.type(kOpTypeCooperativeMatrix,
                      {storage_type(fragment.element, 1), unsigned_constant(kSubgroup),
                       unsigned_constant(fragment.rows()), unsigned_constant(fragment.columns()),
                       unsigned_constant(use_of(fragment.role))});
}

ProgramEmitter::FragmentPlace ProgramEmitter::fragment_place(const ir::Instruction& instruction,
                                                             bool is_store) {
  const auto operands = program_.operands_of(instruction);
  // RowMajorKHR and ColumnMajorKHR.
  FragmentPlace place = {.layout = unsigned_constant(instruction.imm & ir::kByColumns ? 1 : 0)};
  const uint32_t slot = instruction.slot;
  if (ir::is_global_access(instruction.op)) {
    place.pointer = buffer_element(slot, 1, id_of(operands[0]));
    place.stride = unsigned_value(operands[1], 1);
    place.access =
        alignment_words(static_cast<uint32_t>(size_bytes_of(program_.parameters[slot].storage)));
    return place;
  }
  const ir::LocalMemory& local = program_.locals[slot];
  const bool in_pieces = is_in_pieces(slot);
  const uint32_t width = in_pieces ? kHalvesOfPiece : local.width;
  const Id element = in_pieces ? piece_type() : storage_type(local.storage, local.width);
  const Id index = unsigned_value(operands[0], width);
  place.pointer =
      writer_.value(spv::Op::OpAccessChain, pointer_type(spv::StorageClass::Workgroup, element),
                    {locals_[slot], index});
  place.stride = unsigned_value(operands[1], width);
  place.access = local_access(is_store);
  return place;
}

void ProgramEmitter::emit_fragment_fill(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const ir::ValueId value = program_.operands_of(instruction)[0];
  if (known(value)) {
    return set_result(instruction, writer_.constant_splat(type_of(type), id_of(value), 1));
  }
  set_result(instruction,
             writer_.value(spv::Op::OpCompositeConstruct, type_of(type), {id_of(value)}));
}

void ProgramEmitter::emit_fragment_load(const ir::Instruction& instruction) {
  const FragmentPlace place = fragment_place(instruction, false);
  Words operands = {place.pointer, place.layout, place.stride};
  operands.insert(operands.end(), place.access.begin(), place.access.end());
  set_result(instruction,
             writer_.value(kOpCooperativeMatrixLoad, type_of(result_type(instruction)), operands));
}

void ProgramEmitter::emit_fragment_store(const ir::Instruction& instruction) {
  const FragmentPlace place = fragment_place(instruction, true);
  Words operands = {place.pointer, id_of(program_.operands_of(instruction)[2]), place.layout,
                    place.stride};
  operands.insert(operands.end(), place.access.begin(), place.access.end());
  writer_.statement(kOpCooperativeMatrixStore, operands);
}

void ProgramEmitter::emit_mma(const ir::Instruction& instruction) {
  Words operands;
  for (const ir::ValueId value : program_.operands_of(instruction)) {
    operands.push_back(id_of(value));
  }
  set_result(instruction, writer_.value(kOpCooperativeMatrixMulAdd,
                                        type_of(result_type(instruction)), operands));
}

std::vector<ProgramEmitter::CarriedFragment> ProgramEmitter::open_carried(
    const ir::Instruction& loop) {
  std::vector<CarriedFragment> carried;
  for (uint32_t i = 0; i < loop.result_count; ++i) {
    const ir::Type type = program_.values[loop.first_result + i];
    if (!type.is_fragment()) continue;
    const Id id = type_of(type);
    const Id variable = writer_.function_variable(pointer_type(spv::StorageClass::Function, id));
    carried.push_back({.index = i, .type = id, .variable = variable});
    const Id first = id_of(program_.operands_of(loop)[i + 3]);
    writer_.statement(spv::Op::OpStore, {variable, first});
  }
  return carried;
}

void ProgramEmitter::load_carried(const std::vector<CarriedFragment>& carried, ir::ValueId first) {
  for (const CarriedFragment& fragment : carried) {
    values_[first + fragment.index] =
        writer_.value(spv::Op::OpLoad, fragment.type, {fragment.variable});
  }
}

void ProgramEmitter::store_carried(const std::vector<CarriedFragment>& carried,
                                   const ir::Instruction& yield) {
  for (const CarriedFragment& fragment : carried) {
    const Id next = id_of(program_.operands_of(yield)[fragment.index]);
    writer_.statement(spv::Op::OpStore, {fragment.variable, next});
  }
}

Words ProgramEmitter::local_access(bool is_store) {
  if (!uses_.fragments) return {};
  const auto shown = is_store ? spv::MemoryAccessMask::MakePointerAvailable
                              : spv::MemoryAccessMask::MakePointerVisible;
  return {static_cast<uint32_t>(shown) |
              static_cast<uint32_t>(spv::MemoryAccessMask::NonPrivatePointer),
          unsigned_constant(kWorkgroup)};
}

/// Whether a local memory of halves is accessed in fours only.
bool ProgramEmitter::fits_pieces(uint32_t slot) const {
  const ir::LocalMemory& local = program_.locals[slot];
  if (!is_half(local.storage) || local.width != kHalvesTogether || local.count % 2 != 0) {
    return false;
  }
  for (const ir::Instruction& instruction : program_.instructions) {
    if (instruction.slot != slot) continue;
    const bool is_load = instruction.op == ir::Opcode::load_local;
    if (!is_load && instruction.op != ir::Opcode::store_local) continue;
    const ir::ValueId value =
        is_load ? instruction.first_result : program_.operands_of(instruction)[1];
    if (program_.values[value].width != kHalvesTogether) return false;
  }
  return true;
}

Id ProgramEmitter::piece_type() {
  return vector_type(writer_.type(spv::Op::OpTypeInt, {32, 0}), 4);
}

/// Pointers to the two words of four halves.
std::pair<Id, Id> ProgramEmitter::piece_words(uint32_t slot, ir::ValueId index) {
  const Id int_type = scalar_type(ir::Scalar::i32);
  const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
  const Id pointer = pointer_type(spv::StorageClass::Workgroup, unsigned_int);
  const auto [piece, half] = row_and_component(id_of(index), 2);
  const Id first = writer_.value(spv::Op::OpShiftLeftLogical, int_type, {half, int_constant(1)});
  const Id second = writer_.value(spv::Op::OpBitwiseOr, int_type, {first, int_constant(1)});
  return {writer_.value(spv::Op::OpAccessChain, pointer, {locals_[slot], piece, first}),
          writer_.value(spv::Op::OpAccessChain, pointer, {locals_[slot], piece, second})};
}

Id ProgramEmitter::load_pieces(const ir::Instruction& instruction) {
  const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
  const auto [first, second] = piece_words(instruction.slot, program_.operands_of(instruction)[0]);
  Words loaded;
  for (Id pointer : {first, second}) {
    Words operands = {pointer};
    for (const uint32_t word : local_access(false)) operands.push_back(word);
    loaded.push_back(writer_.value(spv::Op::OpLoad, unsigned_int, operands));
  }
  const DType storage = program_.locals[instruction.slot].storage;
  const Id words =
      writer_.value(spv::Op::OpCompositeConstruct, vector_type(unsigned_int, 2), loaded);
  const Id halves = writer_.value(spv::Op::OpBitcast, halves_type(storage), {words});
  return widened_from(storage, result_type(instruction), halves);
}

void ProgramEmitter::store_pieces(const ir::Instruction& instruction) {
  const auto operands = program_.operands_of(instruction);
  const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
  const Id words = words_of(operands[1], program_.locals[instruction.slot].storage);
  const auto [first, second] = piece_words(instruction.slot, operands[0]);
  for (uint32_t i = 0; i < 2; ++i) {
    const Id word = writer_.value(spv::Op::OpCompositeExtract, unsigned_int, {words, i});
    Words stored = {i == 0 ? first : second, word};
    for (const uint32_t access : local_access(true)) stored.push_back(access);
    writer_.statement(spv::Op::OpStore, stored);
  }
}

/// Loads of four halves that may be stored again as they are.
bool ProgramEmitter::loads_halves(const ir::Instruction& instruction) const {
  const ir::Parameter& parameter = program_.parameters[instruction.slot];
  return uses_.fragments && is_half(parameter.storage) &&
         result_type(instruction).width == kHalvesTogether &&
         parameter.element_count >= kHalvesTogether;
}

// Lanes that are masked off read the buffer's first element and drop it, as in emit_load.
void ProgramEmitter::emit_load_halves(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  const DType storage = program_.parameters[instruction.slot].storage;
  const Id pair = vector_type(writer_.type(spv::Op::OpTypeInt, {32, 0}), 2);
  Id index = access_index(instruction), mask = 0;
  if (instruction.masked) {
    mask = id_of(program_.operands_of(instruction).back());
    const Id zero = int_constant(0);
    index = writer_.value(spv::Op::OpSelect, scalar_type(ir::Scalar::i32), {mask, index, zero});
  }
  Words operands = {buffer_element(instruction.slot, type.width, index)};
  for (const uint32_t word : alignment_words(2 * kHalvesTogether)) operands.push_back(word);
  const Id loaded = writer_.value(spv::Op::OpLoad, halves_type(storage), operands);
  Id words = writer_.value(spv::Op::OpBitcast, pair, {loaded});
  if (instruction.masked) {
    const Id bools = type_of({ir::Scalar::b1, 2, false});
    const Id both = writer_.value(spv::Op::OpCompositeConstruct, bools, {mask, mask});
    const Id none = writer_.constant_splat(pair, unsigned_constant(0), 2);
    words = writer_.value(spv::Op::OpSelect, pair, {both, words, none});
  }
  words_[instruction.first_result] = words;
  const Id halves = writer_.value(spv::Op::OpBitcast, halves_type(storage), {words});
  set_result(instruction, widened_from(storage, type, halves));
}

/// Four halves, of numbers that need no rounding.
Id ProgramEmitter::words_of(ir::ValueId value, DType storage) {
  const ir::Instruction* definition = definitions_[value];
  if (words_[value] != 0 && program_.parameters[definition->slot].storage == storage) {
    return words_[value];
  }
  const Id pair = vector_type(writer_.type(spv::Op::OpTypeInt, {32, 0}), 2);
  const Id halves = writer_.value(spv::Op::OpFConvert, halves_type(storage), {id_of(value)});
  return writer_.value(spv::Op::OpBitcast, pair, {halves});
}

}  // namespace leat::spirv
