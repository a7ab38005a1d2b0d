// The walk from a wave program to a SPIR-V module. One invocation is one lane, so that uniform and
// varying values look the same here; a mask becomes a branch around the access. Inside emit/ only.
//
// spirv_pointers: a push constant holds the address of the argument block, an array of one 64-bit
// buffer address per parameter. Each is cast from two words to a pointer to a Block with a run-time
// array: neither 64-bit integers nor casts between pointers are needed, which SwiftShader lacks.
//
// spirv_bindings: parameter k is storage-buffer binding k of set 0; one variable per access width,
// in OpenGL one for the widest.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "leat/base/kernel_binary.h"
#include "leat/emit/shader_uses.h"
#include "leat/emit/spirv_writer.h"

namespace leat::spirv {

class ProgramEmitter {
 public:
  /// The program must have passed find_uses for this target; all three are borrowed.
  ProgramEmitter(const ir::Program& program, const Target& target, const Uses& uses);

  /// The module's bytes. Call it once.
  std::vector<std::byte> emit();

 private:
  /// A branch without else that is being written: the label before it and the one where it ends.
  struct OpenBranch {
    Id before = 0;
    Id merge = 0;
  };

  // spirv.cpp: the module's frame.
  void declare_capabilities();
  void declare_buffers();
  void declare_argument_block();
  void declare_binding(uint32_t slot, uint8_t width);
  void declare_locals();
  void declare_builtins();
  void load_builtins();
  void load_local_index(Id index);
  void load_arguments();
  Id load_address(Id block, uint32_t slot);
  Id builtin_variable(Id type, spv::BuiltIn builtin);
  bool has_pointers() const { return target_.format == CodeFormat::spirv_pointers; }

  // spirv_types.cpp: types, constants and the values' table.
  Id scalar_type(ir::Scalar scalar);
  Id vector_type(Id scalar, uint32_t width);
  Id type_of(ir::Type type);
  Id pointer_type(spv::StorageClass storage_class, Id pointee);
  Id storage_type(DType storage, uint32_t width);
  Id buffer_pointer(DType storage, uint32_t width, bool written);
  Id buffer_array(DType storage, uint32_t width);
  Id int_constant(int64_t value);
  Id constant_of(ir::Type type, uint64_t bits);
  Id zero_of(ir::Type type) { return constant_of(type, 0); }
  Id id_of(ir::ValueId value) const;
  Id widened(ir::ValueId value, uint8_t width);
  ir::Type result_type(const ir::Instruction& instruction) const;
  void set_result(const ir::Instruction& instruction, Id id);
  Id add_int(Id a, Id b);

  // spirv_control.cpp: blocks, loops, branches.
  void emit_block(ir::BlockId block);
  void emit_instruction(const ir::Instruction& instruction);
  void emit_loop(const ir::Instruction& instruction);
  void emit_branch(const ir::Instruction& instruction);
  void start_block(Id label);
  void jump(Id label);
  OpenBranch open_branch(Id condition);
  Id close_branch(const OpenBranch& open);

  // spirv_arithmetic.cpp.
  void emit_plain(const ir::Instruction& instruction, spv::Op op);
  void emit_shift(const ir::Instruction& instruction, spv::Op op);
  void emit_popcount(const ir::Instruction& instruction);
  void emit_by_type(const ir::Instruction& instruction, spv::Op on_float, spv::Op on_int);
  void emit_extended(const ir::Instruction& instruction, GLSLstd450 function);
  void emit_constant(const ir::Instruction& instruction);
  void emit_int_from_bool(const ir::Instruction& instruction);
  void emit_widen_u(const ir::Instruction& instruction);
  void emit_vector(const ir::Instruction& instruction);
  void emit_extract(const ir::Instruction& instruction);

  // spirv_atomic.cpp: what workgroups do together.
  void emit_atomic_add(const ir::Instruction& instruction);
  void emit_last_group(const ir::Instruction& instruction);
  Id atomic_element(uint32_t slot, Id index);
  void memory_barrier();

  // spirv_memory.cpp: loads, stores, local memory.
  void emit_load(const ir::Instruction& instruction);
  void emit_store(const ir::Instruction& instruction);
  void emit_load_local(const ir::Instruction& instruction);
  void emit_store_local(const ir::Instruction& instruction);
  void emit_barrier();
  Id widened_from(DType storage, ir::Type type, Id value);
  Id narrowed_to(DType storage, ir::Type type, Id value);
  Id load_from(uint32_t slot, ir::Type type, Id index);
  void store_to(uint32_t slot, ir::Type type, Id index, Id value);
  Id buffer_element(uint32_t slot, uint8_t width, Id index);
  Id buffer_component(uint32_t slot, Id index);
  Id component_index(Id index, uint32_t width, uint32_t component);
  Id load_components(uint32_t slot, ir::Type type, Id index);
  void store_components(uint32_t slot, ir::Type type, Id index, Id value);
  std::pair<Id, Id> row_and_component(Id index, uint32_t width);
  Id access_index(const ir::Instruction& instruction);
  Id local_element(uint32_t slot, uint8_t width, ir::ValueId index);
  std::optional<std::pair<Id, int32_t>> split_index(ir::ValueId index, int32_t width, int depth);
  std::optional<int32_t> known(ir::ValueId value) const;
  Words alignment_words(uint32_t bytes) const;

  // spirv_fragment.cpp: matrix units, and the frame and memory of programs that use them.
  /// A variable of the function through which a fragment goes from round to round.
  struct CarriedFragment {
    uint32_t index = 0;  // among the loop's carried values
    Id type = 0;
    Id variable = 0;
  };
  /// Where a fragment lies: a pointer to an element of an array, and the stride in such elements.
  struct FragmentPlace {
    Id pointer = 0;
    Id layout = 0;
    Id stride = 0;
    Words access;
  };
  void declare_fragments();
  void declare_wave_and_lane();
  void load_wave_and_lane();
  Words all_variables() const;
  Id unsigned_constant(uint32_t value);
  Id unsigned_value(ir::ValueId value, uint32_t divisor);
  Id matrix_type(const ir::Fragment& fragment);
  FragmentPlace fragment_place(const ir::Instruction& instruction, bool is_store);
  void emit_fragment_fill(const ir::Instruction& instruction);
  void emit_fragment_load(const ir::Instruction& instruction);
  void emit_fragment_store(const ir::Instruction& instruction);
  void emit_mma(const ir::Instruction& instruction);
  std::vector<CarriedFragment> open_carried(const ir::Instruction& loop);
  void load_carried(const std::vector<CarriedFragment>& carried, ir::ValueId first);
  void store_carried(const std::vector<CarriedFragment>& carried, const ir::Instruction& yield);
  Words local_access(bool is_store);
  bool fits_pieces(uint32_t slot) const;
  bool is_in_pieces(uint32_t slot) const { return in_pieces_[slot]; }
  Id piece_type();
  std::pair<Id, Id> piece_words(uint32_t slot, ir::ValueId index);
  Id load_pieces(const ir::Instruction& instruction);
  void store_pieces(const ir::Instruction& instruction);
  bool loads_halves(const ir::Instruction& instruction) const;
  void emit_load_halves(const ir::Instruction& instruction);
  Id words_of(ir::ValueId value, DType storage);
  Id halves_type(DType storage) { return storage_type(storage, 4); }

  const ir::Program& program_;
  const Target& target_;
  const Uses& uses_;
  ModuleWriter writer_;
  spv::StorageClass buffer_class_;
  std::vector<Id> values_;                           // by ir::ValueId
  std::vector<const ir::Instruction*> definitions_;  // by ir::ValueId, null for arguments
  std::vector<Id> words_;  // by ir::ValueId: 4 halves as memory had them, in two words; or 0
  Id label_ = 0;           // of the block being written
  std::map<std::pair<uint32_t, uint8_t>, Id> buffers_;  // (parameter, width) -> pointer
  std::map<std::tuple<DType, uint32_t, bool>, Id> buffer_pointers_;
  std::map<std::pair<DType, uint32_t>, Id> buffer_arrays_;
  std::vector<Id> locals_;
  std::vector<bool> in_pieces_;         // by local memory: an array of pieces of 16 bytes
  Id counter_answer_ = 0;               // one word of local memory, for last_group
  std::map<int32_t, Id> lane_offsets_;  // lane_stride -> lane * lane_stride
  Words inputs_;                        // built-in variables
  Id argument_block_pointer_ = 0, push_constant_ = 0;
  Id local_id_variable_ = 0, group_id_variable_ = 0;
  Id wave_id_variable_ = 0, lane_id_variable_ = 0;
  Id local_index_ = 0, lane_id_ = 0, wave_id_ = 0;
  Id group_ids_[3] = {0, 0, 0};
};

}  // namespace leat::spirv
