// Loads and stores of buffers and of local memory. Indices count accesses, as the wave program's
// do, which is what an access chain into an array of that access's type wants. Elements of 16
// bits exist only in memory: they are widened behind the load and narrowed before the store, f16
// rounded to nearest even (FPRoundingMode, allowed exactly there by SPV_KHR_16bit_storage).
#include "leat/emit/spirv_emitter.h"

#include <bit>

namespace leat::spirv {
namespace {

// How deep split_index looks into sums and products.
constexpr int kSplitDepthMax = 6;

}  // namespace

// Physical pointers want an alignment on every access; a buffer starts at 256 bytes and an index
// counts whole accesses.
Words ProgramEmitter::alignment_words(uint32_t bytes) const {
  if (!has_pointers()) return {};
  return {static_cast<uint32_t>(spv::MemoryAccessMask::Aligned), bytes};
}

Id ProgramEmitter::access_index(const ir::Instruction& instruction) {
  const Id index = id_of(program_.operands_of(instruction)[0]);
  if (instruction.lane_stride == ir::kIndexed || instruction.lane_stride == 0) return index;
  if (known(program_.operands_of(instruction)[0]) == 0) {
    return lane_offsets_.at(instruction.lane_stride);
  }
  return add_int(index, lane_offsets_.at(instruction.lane_stride));
}

Id ProgramEmitter::buffer_element(uint32_t slot, uint8_t width, Id index) {
  const Id element = storage_type(program_.parameters[slot].storage, width);
  const Id member = int_constant(0);
  return writer_.value(spv::Op::OpAccessChain, pointer_type(buffer_class_, element),
                       {buffers_.at({slot, width}), member, index});
}

// Element `index` of a buffer that is declared with a wider access only.
Id ProgramEmitter::buffer_component(uint32_t slot, Id index) {
  const Id element = storage_type(program_.parameters[slot].storage, 1);
  const uint8_t width = buffers_.contains({slot, 4}) ? 4 : 2;
  const auto [row, component] = row_and_component(index, width);
  const Id member = int_constant(0);
  return writer_.value(spv::Op::OpAccessChain, pointer_type(buffer_class_, element),
                       {buffers_.at({slot, width}), member, row, component});
}

Id ProgramEmitter::component_index(Id index, uint32_t width, uint32_t component) {
  if (width == 1) return index;
  const Id components = int_constant(width);
  const Id first =
      writer_.value(spv::Op::OpIMul, scalar_type(ir::Scalar::i32), {index, components});
  return component == 0 ? first : add_int(first, int_constant(component));
}

Id ProgramEmitter::load_components(uint32_t slot, ir::Type type, Id index) {
  const Id scalar = scalar_type(type.scalar);
  Words components;
  for (uint32_t i = 0; i < type.width; ++i) {
    const Id element = buffer_component(slot, component_index(index, type.width, i));
    components.push_back(writer_.value(spv::Op::OpLoad, scalar, {element}));
  }
  if (type.width == 1) return components[0];
  return writer_.value(spv::Op::OpCompositeConstruct, type_of(type), components);
}

void ProgramEmitter::store_components(uint32_t slot, ir::Type type, Id index, Id value) {
  const Id scalar = scalar_type(type.scalar);
  for (uint32_t i = 0; i < type.width; ++i) {
    const Id component =
        type.width == 1 ? value : writer_.value(spv::Op::OpCompositeExtract, scalar, {value, i});
    const Id element = buffer_component(slot, component_index(index, type.width, i));
    writer_.statement(spv::Op::OpStore, {element, component});
  }
}

Id ProgramEmitter::load_from(uint32_t slot, ir::Type type, Id index) {
  if (!buffers_.contains({slot, type.width})) return load_components(slot, type, index);
  const DType storage = program_.parameters[slot].storage;
  Words operands = {buffer_element(slot, type.width, index)};
  const uint32_t bytes = type.width * static_cast<uint32_t>(size_bytes_of(storage));
  for (const uint32_t word : alignment_words(bytes)) operands.push_back(word);
  const Id loaded = writer_.value(spv::Op::OpLoad, storage_type(storage, type.width), operands);
  return widened_from(storage, type, loaded);
}

// OpUConvert gives unsigned numbers, of which we have none else.
Id ProgramEmitter::widened_from(DType storage, ir::Type type, Id value) {
  if (size_bytes_of(storage) >= 4) return value;
  if (is_float(storage)) return writer_.value(spv::Op::OpFConvert, type_of(type), {value});
  if (storage == DType::i16) return writer_.value(spv::Op::OpSConvert, type_of(type), {value});
  const Id whole = vector_type(writer_.type(spv::Op::OpTypeInt, {32, 0}), type.width);
  const Id number = writer_.value(spv::Op::OpUConvert, whole, {value});
  return writer_.value(spv::Op::OpBitcast, type_of(type), {number});
}

Id ProgramEmitter::narrowed_to(DType storage, ir::Type type, Id value) {
  if (size_bytes_of(storage) >= 4) return value;
  const Id narrow = storage_type(storage, type.width);
  if (!is_float(storage)) return writer_.value(spv::Op::OpSConvert, narrow, {value});
  const Id rounded = writer_.value(spv::Op::OpFConvert, narrow, {value});
  if (storage == DType::bf16) return rounded;  // which it was before, see lower/expand_storage
  writer_.decorate(rounded, spv::Decoration::FPRoundingMode,
                   {static_cast<uint32_t>(spv::FPRoundingMode::RTE)});
  return rounded;
}

void ProgramEmitter::store_to(uint32_t slot, ir::Type type, Id index, Id value) {
  if (!buffers_.contains({slot, type.width})) return store_components(slot, type, index, value);
  const DType storage = program_.parameters[slot].storage;
  Words operands = {buffer_element(slot, type.width, index), narrowed_to(storage, type, value)};
  const uint32_t bytes = type.width * static_cast<uint32_t>(size_bytes_of(storage));
  for (const uint32_t word : alignment_words(bytes)) operands.push_back(word);
  writer_.statement(spv::Op::OpStore, operands);
}

void ProgramEmitter::emit_load(const ir::Instruction& instruction) {
  if (loads_halves(instruction)) return emit_load_halves(instruction);
  const ir::Type type = result_type(instruction);
  const Id index = access_index(instruction);
  if (!instruction.masked) return set_result(instruction, load_from(instruction.slot, type, index));
  const Id mask = id_of(program_.operands_of(instruction).back());
  if (program_.parameters[instruction.slot].element_count < type.width) {
    const OpenBranch open = open_branch(mask);
    const Id loaded = load_from(instruction.slot, type, index);
    const Words sources = {loaded, close_branch(open), zero_of(type), open.before};
    return set_result(instruction, writer_.value(spv::Op::OpPhi, type_of(type), sources));
  }
  // Lanes that are masked off read the buffer's first element and drop it: without a branch the
  // driver's compiler can move the load away from its use.
  const Id int_type = type_of({ir::Scalar::i32, 1, false});
  const Id first = zero_of({ir::Scalar::i32, 1, false});
  const Id safe = writer_.value(spv::Op::OpSelect, int_type, {mask, index, first});
  const Id loaded = load_from(instruction.slot, type, safe);
  Id condition = mask;
  if (type.width > 1) {
    const Id bools = type_of({ir::Scalar::b1, type.width, false});
    condition = writer_.value(spv::Op::OpCompositeConstruct, bools, Words(type.width, mask));
  }
  const Words choice = {condition, loaded, zero_of(type)};
  set_result(instruction, writer_.value(spv::Op::OpSelect, type_of(type), choice));
}

void ProgramEmitter::emit_store(const ir::Instruction& instruction) {
  const auto operands = program_.operands_of(instruction);
  const ir::Type type = program_.values[operands[1]];
  const Id index = access_index(instruction);
  if (!instruction.masked) return store_to(instruction.slot, type, index, id_of(operands[1]));
  const OpenBranch open = open_branch(id_of(operands.back()));
  store_to(instruction.slot, type, index, id_of(operands[1]));
  close_branch(open);
}

std::optional<int32_t> ProgramEmitter::known(ir::ValueId value) const {
  const ir::Instruction* definition = definitions_[value];
  if (definition == nullptr || definition->op != ir::Opcode::constant) return std::nullopt;
  return static_cast<int32_t>(definition->imm);
}

// index = quotient * width + remainder with a remainder known now, if sums and products show it.
std::optional<std::pair<Id, int32_t>> ProgramEmitter::split_index(ir::ValueId index, int32_t width,
                                                                  int depth) {
  const Id int_type = scalar_type(ir::Scalar::i32);
  if (const std::optional<int32_t> value = known(index)) {
    const int32_t remainder = (*value % width + width) % width;  // of a -1 in a sum too
    return std::pair(int_constant((*value - remainder) / width), remainder);
  }
  const ir::Instruction* definition = definitions_[index];
  if (definition == nullptr || depth == kSplitDepthMax) return std::nullopt;
  const auto operands = program_.operands_of(*definition);
  if (definition->op == ir::Opcode::mul_i) {
    const std::optional<int32_t> factor = known(operands[1]);
    if (!factor || *factor % width != 0) return std::nullopt;
    const Id other = id_of(operands[0]);
    if (*factor == width) return std::pair(other, 0);
    return std::pair(
        writer_.value(spv::Op::OpIMul, int_type, {other, int_constant(*factor / width)}), 0);
  }
  if (definition->op != ir::Opcode::add_i) return std::nullopt;
  const auto a = split_index(operands[0], width, depth + 1);
  if (!a) return std::nullopt;
  const auto b = split_index(operands[1], width, depth + 1);
  if (!b) return std::nullopt;
  const int32_t remainder = a->second + b->second;
  Id sum = b->first == int_constant(0) ? a->first : add_int(a->first, b->first);
  if (remainder >= width) sum = add_int(sum, int_constant(1));
  return std::pair(sum, remainder % width);
}

std::pair<Id, Id> ProgramEmitter::row_and_component(Id index, uint32_t width) {
  const Id int_type = scalar_type(ir::Scalar::i32);
  const Id shift = int_constant(std::countr_zero(width));
  return {writer_.value(spv::Op::OpShiftRightLogical, int_type, {index, shift}),
          writer_.value(spv::Op::OpBitwiseAnd, int_type, {index, int_constant(width - 1)})};
}

Id ProgramEmitter::local_element(uint32_t slot, uint8_t width, ir::ValueId index) {
  const ir::LocalMemory& local = program_.locals[slot];
  const Id element = storage_type(local.storage, width);
  const Id pointer = pointer_type(spv::StorageClass::Workgroup, element);
  if (width == local.width) {
    return writer_.value(spv::Op::OpAccessChain, pointer, {locals_[slot], id_of(index)});
  }
  CHECK(width == 1);
  const auto split = split_index(index, local.width, 0);
  const auto [row, component] = split ? std::pair(split->first, int_constant(split->second))
                                      : row_and_component(id_of(index), local.width);
  return writer_.value(spv::Op::OpAccessChain, pointer, {locals_[slot], row, component});
}

void ProgramEmitter::emit_load_local(const ir::Instruction& instruction) {
  const ir::Type type = result_type(instruction);
  if (is_in_pieces(instruction.slot)) return set_result(instruction, load_pieces(instruction));
  const DType storage = program_.locals[instruction.slot].storage;
  const ir::ValueId index = program_.operands_of(instruction)[0];
  Words operands = {local_element(instruction.slot, type.width, index)};
  for (const uint32_t word : local_access(false)) operands.push_back(word);
  const Id loaded = writer_.value(spv::Op::OpLoad, storage_type(storage, type.width), operands);
  set_result(instruction, widened_from(storage, type, loaded));
}

// Halves are such that they need no rounding, see lower/expand_storage.
void ProgramEmitter::emit_store_local(const ir::Instruction& instruction) {
  if (is_in_pieces(instruction.slot)) return store_pieces(instruction);
  const auto operands = program_.operands_of(instruction);
  const ir::Type type = program_.values[operands[1]];
  const DType storage = program_.locals[instruction.slot].storage;
  const Id element = local_element(instruction.slot, type.width, operands[0]);
  Id value = id_of(operands[1]);
  if (size_bytes_of(storage) == 2) {
    value = writer_.value(spv::Op::OpFConvert, storage_type(storage, type.width), {value});
  }
  Words stored = {element, value};
  for (const uint32_t word : local_access(true)) stored.push_back(word);
  writer_.statement(spv::Op::OpStore, stored);
}

void ProgramEmitter::emit_barrier() {
  const Id workgroup = int_constant(static_cast<int64_t>(spv::Scope::Workgroup));
  const Id semantics =
      int_constant(static_cast<int64_t>(spv::MemorySemanticsMask::AcquireRelease) |
                   static_cast<int64_t>(spv::MemorySemanticsMask::WorkgroupMemory));
  writer_.statement(spv::Op::OpControlBarrier, {workgroup, workgroup, semantics});
}

}  // namespace leat::spirv
