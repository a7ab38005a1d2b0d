// Writes a SPIR-V module word by word: sections in the order the format wants, types and constants
// interned, instructions appended to the one function's body.
// Facts: SPIR-V Specification 1.6, section 2.3 (physical layout) and 2.4 (logical layout of a
// module); the numbers come from the public headers spirv.hpp11 and GLSL.std.450.h.
#pragma once

#include <spirv/unified1/GLSL.std.450.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <spirv/unified1/spirv.hpp11>
#include <string_view>
#include <vector>

namespace leat::spirv {

/// A result id of the module; 0 is none.
using Id = uint32_t;
using Words = std::vector<uint32_t>;

/// Version words of the header, specification section 2.3.
inline constexpr uint32_t kVersion10 = 0x00010000;
inline constexpr uint32_t kVersion13 = 0x00010300;
inline constexpr uint32_t kVersion16 = 0x00010600;

// What the headers of 1.3.239 lack: SPV_KHR_cooperative_matrix and SPV_KHR_bfloat16 of the
// SPIR-V Registry, their sections on new capabilities and instructions.
inline constexpr auto kCooperativeMatrix = static_cast<spv::Capability>(6022);
inline constexpr auto kBFloat16Type = static_cast<spv::Capability>(5116);
inline constexpr auto kBFloat16CooperativeMatrix = static_cast<spv::Capability>(5118);
inline constexpr uint32_t kBFloat16Encoding = 0;  // of OpTypeFloat
inline constexpr auto kOpTypeCooperativeMatrix = static_cast<spv::Op>(4456);
inline constexpr auto kOpCooperativeMatrixLoad = static_cast<spv::Op>(4457);
inline constexpr auto kOpCooperativeMatrixStore = static_cast<spv::Op>(4458);
inline constexpr auto kOpCooperativeMatrixMulAdd = static_cast<spv::Op>(4459);

class ModuleWriter {
 public:
  explicit ModuleWriter(uint32_t version) : version_(version) {}

  Id new_id() { return next_id_++; }

  void add_capability(spv::Capability capability);
  void add_extension(std::string_view name);
  void set_memory_model(spv::AddressingModel addressing, spv::MemoryModel memory);
  /// A compute entry point "main" with workgroups of lanes x 1 x 1. `interface` are the built-in
  /// variables that it reads and, from version 1.4 on, all others of module scope.
  void set_entry_point(Id function, const Words& interface, uint32_t lanes_per_workgroup);
  /// Of the entry point `function`.
  void add_execution_mode(Id function, spv::ExecutionMode mode, const Words& literals);
  void add_name(Id id, std::string_view name);
  void decorate(Id id, spv::Decoration decoration, const Words& literals = {});
  void decorate_member(Id type, uint32_t member, spv::Decoration decoration,
                       const Words& literals = {});

  /// The one type with this opcode and these operands.
  Id type(spv::Op op, const Words& operands = {});
  /// A type of its own, for structs that are decorated one by one.
  Id distinct_type(spv::Op op, const Words& operands = {});
  /// A pointer type that may be used before define_pointer says what it points to.
  Id forward_pointer(spv::StorageClass storage_class);
  void define_pointer(Id pointer, spv::StorageClass storage_class, Id pointee);
  /// A 32-bit constant.
  Id constant(Id type, uint32_t bits);
  Id constant_64(Id type, uint64_t bits);
  Id constant_bool(Id type, bool value);
  /// A vector whose components are all `component`.
  Id constant_splat(Id type, Id component, uint32_t width);
  /// A module-scope variable.
  Id variable(Id pointer_type, spv::StorageClass storage_class);

  /// Says that the function's first label stands: its own variables come behind it.
  void open_variables() { variables_at_ = body_.size(); }
  /// A variable of the function.
  Id function_variable(Id pointer_type);

  /// Appends an instruction with a result to the function; returns the result.
  Id value(spv::Op op, Id type, const Words& operands);
  /// Appends an instruction of the set GLSL.std.450.
  Id extended_value(GLSLstd450 instruction, Id type, const Words& operands);
  /// Appends an instruction without a result. OpLabel and OpFunctionEnd belong here too.
  void statement(spv::Op op, const Words& operands = {});

  /// The number of words of the function so far, and a later change of one of them: the second half
  /// of a phi is known only at the loop's end.
  size_t body_words() const { return body_.size(); }
  void set_body_word(size_t position, uint32_t word) { body_[position] = word; }

  std::vector<std::byte> finish() const;

 private:
  Id glsl();
  Id interned(spv::Op op, Id type, const Words& operands);

  uint32_t version_;
  Id next_id_ = 1;
  Id glsl_ = 0;
  std::map<Words, Id> known_;  // opcode, type, operands of a type or constant -> its id
  Words capabilities_, extensions_, imports_, memory_model_, entry_points_, execution_modes_;
  Words names_, decorations_, globals_, body_;
  Words variables_;          // of the function
  size_t variables_at_ = 0;  // in body_
};

}  // namespace leat::spirv
