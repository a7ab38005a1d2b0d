// The sections of a SPIR-V module and how words are put into them. An instruction's first word is
// its length in words (high half) and opcode (low half); strings are UTF-8, zero-terminated, padded
// to words, first character in the lowest byte.
#include "leat/emit/spirv_writer.h"

#include <cstring>

namespace leat::spirv {
namespace {

void put(Words& section, spv::Op op, const Words& operands) {
  section.push_back(static_cast<uint32_t>(operands.size() + 1) << 16 | static_cast<uint32_t>(op));
  section.insert(section.end(), operands.begin(), operands.end());
}

void put_string(Words& words, std::string_view text) {
  const size_t first = words.size();
  words.resize(first + text.size() / 4 + 1, 0);
  for (size_t i = 0; i < text.size(); ++i) {
    words[first + i / 4] |= static_cast<uint32_t>(static_cast<unsigned char>(text[i])) << i % 4 * 8;
  }
}

}  // namespace

void ModuleWriter::add_capability(spv::Capability capability) {
  put(capabilities_, spv::Op::OpCapability, {static_cast<uint32_t>(capability)});
}

void ModuleWriter::add_extension(std::string_view name) {
  Words operands;
  put_string(operands, name);
  put(extensions_, spv::Op::OpExtension, operands);
}

void ModuleWriter::set_memory_model(spv::AddressingModel addressing, spv::MemoryModel memory) {
  put(memory_model_, spv::Op::OpMemoryModel,
      {static_cast<uint32_t>(addressing), static_cast<uint32_t>(memory)});
}

void ModuleWriter::set_entry_point(Id function, const Words& interface,
                                   uint32_t lanes_per_workgroup) {
  Words operands = {static_cast<uint32_t>(spv::ExecutionModel::GLCompute), function};
  put_string(operands, "main");
  operands.insert(operands.end(), interface.begin(), interface.end());
  put(entry_points_, spv::Op::OpEntryPoint, operands);
  add_execution_mode(function, spv::ExecutionMode::LocalSize, {lanes_per_workgroup, 1, 1});
}

void ModuleWriter::add_execution_mode(Id function, spv::ExecutionMode mode, const Words& literals) {
  Words operands = {function, static_cast<uint32_t>(mode)};
  operands.insert(operands.end(), literals.begin(), literals.end());
  put(execution_modes_, spv::Op::OpExecutionMode, operands);
}

void ModuleWriter::add_name(Id id, std::string_view name) {
  Words operands = {id};
  put_string(operands, name);
  put(names_, spv::Op::OpName, operands);
}

void ModuleWriter::decorate(Id id, spv::Decoration decoration, const Words& literals) {
  Words operands = {id, static_cast<uint32_t>(decoration)};
  operands.insert(operands.end(), literals.begin(), literals.end());
  put(decorations_, spv::Op::OpDecorate, operands);
}

void ModuleWriter::decorate_member(Id type, uint32_t member, spv::Decoration decoration,
                                   const Words& literals) {
  Words operands = {type, member, static_cast<uint32_t>(decoration)};
  operands.insert(operands.end(), literals.begin(), literals.end());
  put(decorations_, spv::Op::OpMemberDecorate, operands);
}

// Types have no type of their own; their result id stands where a constant's type does.
Id ModuleWriter::interned(spv::Op op, Id type, const Words& operands) {
  Words key = {static_cast<uint32_t>(op), type};
  key.insert(key.end(), operands.begin(), operands.end());
  const auto [place, added] = known_.try_emplace(key, next_id_);
  if (!added) return place->second;
  Words words;
  if (type != 0) words.push_back(type);
  words.push_back(new_id());
  words.insert(words.end(), operands.begin(), operands.end());
  put(globals_, op, words);
  return place->second;
}

Id ModuleWriter::type(spv::Op op, const Words& operands) { return interned(op, 0, operands); }

Id ModuleWriter::distinct_type(spv::Op op, const Words& operands) {
  const Id id = new_id();
  Words words = {id};
  words.insert(words.end(), operands.begin(), operands.end());
  put(globals_, op, words);
  return id;
}

Id ModuleWriter::forward_pointer(spv::StorageClass storage_class) {
  const Id id = new_id();
  put(globals_, spv::Op::OpTypeForwardPointer, {id, static_cast<uint32_t>(storage_class)});
  return id;
}

void ModuleWriter::define_pointer(Id pointer, spv::StorageClass storage_class, Id pointee) {
  put(globals_, spv::Op::OpTypePointer, {pointer, static_cast<uint32_t>(storage_class), pointee});
}

Id ModuleWriter::constant(Id type, uint32_t bits) {
  return interned(spv::Op::OpConstant, type, {bits});
}

Id ModuleWriter::constant_64(Id type, uint64_t bits) {
  const Words words = {static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32)};
  return interned(spv::Op::OpConstant, type, words);
}

Id ModuleWriter::constant_bool(Id type, bool value) {
  return interned(value ? spv::Op::OpConstantTrue : spv::Op::OpConstantFalse, type, {});
}

Id ModuleWriter::constant_splat(Id type, Id component, uint32_t width) {
  return interned(spv::Op::OpConstantComposite, type, Words(width, component));
}

Id ModuleWriter::variable(Id pointer_type, spv::StorageClass storage_class) {
  const Id id = new_id();
  put(globals_, spv::Op::OpVariable, {pointer_type, id, static_cast<uint32_t>(storage_class)});
  return id;
}

Id ModuleWriter::function_variable(Id pointer_type) {
  const Id id = new_id();
  put(variables_, spv::Op::OpVariable,
      {pointer_type, id, static_cast<uint32_t>(spv::StorageClass::Function)});
  return id;
}

Id ModuleWriter::value(spv::Op op, Id type, const Words& operands) {
  const Id id = new_id();
  Words words = {type, id};
  words.insert(words.end(), operands.begin(), operands.end());
  put(body_, op, words);
  return id;
}

Id ModuleWriter::extended_value(GLSLstd450 instruction, Id type, const Words& operands) {
  Words words = {glsl(), static_cast<uint32_t>(instruction)};
  words.insert(words.end(), operands.begin(), operands.end());
  return value(spv::Op::OpExtInst, type, words);
}

void ModuleWriter::statement(spv::Op op, const Words& operands) { put(body_, op, operands); }

Id ModuleWriter::glsl() {
  if (glsl_ != 0) return glsl_;
  glsl_ = new_id();
  Words operands = {glsl_};
  put_string(operands, "GLSL.std.450");
  put(imports_, spv::Op::OpExtInstImport, operands);
  return glsl_;
}

std::vector<std::byte> ModuleWriter::finish() const {
  // Magic, version, generator (0: none registered), bound of the ids, schema.
  Words words = {spv::MagicNumber, version_, 0, next_id_, 0};
  for (const Words* section :
       {&capabilities_, &extensions_, &imports_, &memory_model_, &entry_points_, &execution_modes_,
        &names_, &decorations_, &globals_}) {
    words.insert(words.end(), section->begin(), section->end());
  }
  const auto first = body_.begin() + static_cast<std::ptrdiff_t>(variables_at_);
  words.insert(words.end(), body_.begin(), first);
  words.insert(words.end(), variables_.begin(), variables_.end());
  words.insert(words.end(), first, body_.end());
  std::vector<std::byte> bytes(words.size() * sizeof(uint32_t));
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

}  // namespace leat::spirv
