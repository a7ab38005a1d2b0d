// emit_spirv, and the frame of a module: capabilities, buffers, local memory, built-ins, and the
// start of the function where addresses and lane numbers are fetched once. Facts: SPIR-V
// Specification 1.6; SPV_KHR_physical_storage_buffer; Vulkan 1.3 specification, appendix "Vulkan
// Environment for SPIR-V"; GL_ARB_gl_spirv (SPIR-V 1.0, Uniform with BufferBlock).
// Programs with fragments get another frame, see spirv_fragment.cpp.
#include "leat/emit/emit.h"
#include "leat/emit/spirv_emitter.h"

#include <bit>

namespace leat {
namespace spirv {

ProgramEmitter::ProgramEmitter(const ir::Program& program, const Target& target, const Uses& uses)
    : program_(program),
      target_(target),
      uses_(uses),
      writer_(uses.fragments  ? kVersion16
              : target.opengl ? kVersion10
                              : kVersion13),
      buffer_class_(target.opengl ? spv::StorageClass::Uniform : spv::StorageClass::StorageBuffer),
      values_(program.values.size()),
      definitions_(program.values.size(), nullptr),
      words_(program.values.size(), 0) {
  if (has_pointers()) buffer_class_ = spv::StorageClass::PhysicalStorageBuffer;
  for (const ir::Instruction& instruction : program.instructions) {
    for (uint32_t i = 0; i < instruction.result_count; ++i) {
      definitions_[instruction.first_result + i] = &instruction;
    }
  }
}

std::vector<std::byte> ProgramEmitter::emit() {
  declare_capabilities();
  declare_buffers();
  declare_locals();
  declare_builtins();
  const Id void_type = writer_.type(spv::Op::OpTypeVoid);
  const Id function_type = writer_.type(spv::Op::OpTypeFunction, {void_type});
  const Id function = writer_.value(spv::Op::OpFunction, void_type, {0, function_type});
  writer_.add_name(function, program_.name);
  start_block(writer_.new_id());
  writer_.open_variables();
  load_builtins();
  load_arguments();
  emit_block(0);
  writer_.statement(spv::Op::OpReturn);
  writer_.statement(spv::Op::OpFunctionEnd);
  writer_.set_entry_point(function, uses_.fragments ? all_variables() : inputs_,
                          lanes_per_workgroup(program_));
  if (target_.shader_keeps_nan) {
    writer_.add_execution_mode(function, spv::ExecutionMode::SignedZeroInfNanPreserve, {32});
  }
  return writer_.finish();
}

void ProgramEmitter::declare_capabilities() {
  writer_.add_capability(spv::Capability::Shader);
  if (uses_.narrow) writer_.add_capability(spv::Capability::StorageBuffer16BitAccess);
  if (uses_.i64) writer_.add_capability(spv::Capability::Int64);
  if (uses_.f64) writer_.add_capability(spv::Capability::Float64);
  if (target_.shader_keeps_nan) {
    writer_.add_capability(spv::Capability::SignedZeroInfNanPreserve);
    writer_.add_extension("SPV_KHR_float_controls");
  }
  if (has_pointers()) {
    writer_.add_capability(spv::Capability::PhysicalStorageBufferAddresses);
    writer_.add_extension("SPV_KHR_physical_storage_buffer");
  }
  if (uses_.fragments) declare_fragments();
  writer_.set_memory_model(has_pointers() ? spv::AddressingModel::PhysicalStorageBuffer64
                                          : spv::AddressingModel::Logical,
                           uses_.fragments ? spv::MemoryModel::Vulkan : spv::MemoryModel::GLSL450);
}

void ProgramEmitter::declare_buffers() {
  if (uses_.accesses.empty()) return;
  if (has_pointers()) {
    declare_argument_block();
    return;
  }
  for (auto access = uses_.accesses.begin(); access != uses_.accesses.end(); ++access) {
    const auto& [slot, width] = *access;
    const auto next = std::next(access);
    const bool is_widest = next == uses_.accesses.end() || next->first != slot;
    if (is_widest || !target_.opengl) declare_binding(slot, width);
  }
}

// Addresses stand in the block as two words each and are cast to a pointer for each access width: a
// cast of one pointer type to another is what SwiftShader lacks.
void ProgramEmitter::declare_argument_block() {
  const Id address = vector_type(writer_.type(spv::Op::OpTypeInt, {32, 0}), 2);
  const Id array = writer_.distinct_type(spv::Op::OpTypeRuntimeArray, {address});
  writer_.decorate(array, spv::Decoration::ArrayStride, {8});
  const Id block = writer_.distinct_type(spv::Op::OpTypeStruct, {array});
  writer_.decorate(block, spv::Decoration::Block);
  writer_.decorate_member(block, 0, spv::Decoration::Offset, {0});
  writer_.decorate_member(block, 0, spv::Decoration::NonWritable);
  argument_block_pointer_ = pointer_type(buffer_class_, block);
  const Id push = writer_.distinct_type(spv::Op::OpTypeStruct, {argument_block_pointer_});
  writer_.decorate(push, spv::Decoration::Block);
  writer_.decorate_member(push, 0, spv::Decoration::Offset, {0});
  const spv::StorageClass push_class = spv::StorageClass::PushConstant;
  push_constant_ = writer_.variable(pointer_type(push_class, push), push_class);
  writer_.add_name(push_constant_, "arguments");
}

// OpenGL has one block to a binding (Mesa refuses to link two), so there only the widest access
// gets its variable and the others take components of it.
void ProgramEmitter::declare_binding(uint32_t slot, uint8_t width) {
  const ir::Parameter& parameter = program_.parameters[slot];
  const Id type = buffer_pointer(parameter.storage, width, parameter.written);
  const Id variable = writer_.variable(type, buffer_class_);
  writer_.decorate(variable, spv::Decoration::DescriptorSet, {0});
  writer_.decorate(variable, spv::Decoration::Binding, {slot});
  // Reads through two variables commute; only a buffer that is written needs to say that they
  // overlap. NVIDIA's OpenGL driver refuses the word; there is one variable there.
  const auto first = uses_.accesses.lower_bound({slot, uint8_t{0}});
  const auto last = uses_.accesses.lower_bound({slot + 1, uint8_t{0}});
  if (parameter.written && std::distance(first, last) > 1 && !target_.opengl) {
    writer_.decorate(variable, spv::Decoration::Aliased);
  }
  writer_.add_name(variable, parameter.name);
  buffers_[{slot, width}] = variable;
}

void ProgramEmitter::declare_locals() {
  const spv::StorageClass workgroup = spv::StorageClass::Workgroup;
  const auto declare = [&](Id element, uint32_t count) {
    const Id array = writer_.type(spv::Op::OpTypeArray, {element, int_constant(count)});
    return writer_.variable(pointer_type(workgroup, array), workgroup);
  };
  for (uint32_t slot = 0; slot < program_.locals.size(); ++slot) {
    const ir::LocalMemory& local = program_.locals[slot];
    CHECK(local.count > 0);
    const bool in_pieces = fits_pieces(slot);
    in_pieces_.push_back(in_pieces);
    const Id element = in_pieces ? piece_type() : storage_type(local.storage, local.width);
    const Id variable = declare(element, in_pieces ? local.count / 2 : local.count);
    writer_.add_name(variable, local.name);
    locals_.push_back(variable);
  }
  if (uses_.counters) counter_answer_ = declare(scalar_type(ir::Scalar::i32), 1);
}

Id ProgramEmitter::builtin_variable(Id type, spv::BuiltIn builtin) {
  const spv::StorageClass input = spv::StorageClass::Input;
  const Id variable = writer_.variable(pointer_type(input, type), input);
  writer_.decorate(variable, spv::Decoration::BuiltIn, {static_cast<uint32_t>(builtin)});
  inputs_.push_back(variable);
  return variable;
}

// A workgroup is N x 1 x 1, so that LocalInvocationId.x is the index; drivers know its range.
void ProgramEmitter::declare_builtins() {
  const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
  const Id triple = vector_type(unsigned_int, 3);
  if (uses_.fragments) {
    declare_wave_and_lane();
  } else if (uses_.lane_id || uses_.wave_id || uses_.counters) {
    local_id_variable_ = builtin_variable(triple, spv::BuiltIn::LocalInvocationId);
  }
  if (uses_.group_id) group_id_variable_ = builtin_variable(triple, spv::BuiltIn::WorkgroupId);
}

void ProgramEmitter::load_builtins() {
  const Id unsigned_int = writer_.type(spv::Op::OpTypeInt, {32, 0});
  const Id triple = vector_type(unsigned_int, 3);
  const Id int_type = scalar_type(ir::Scalar::i32);
  const auto component = [&](Id loaded, uint32_t axis) {
    const Id id = writer_.value(spv::Op::OpCompositeExtract, unsigned_int, {loaded, axis});
    return writer_.value(spv::Op::OpBitcast, int_type, {id});
  };
  if (group_id_variable_ != 0) {
    const Id loaded = writer_.value(spv::Op::OpLoad, triple, {group_id_variable_});
    for (uint32_t axis = 0; axis < 3; ++axis) group_ids_[axis] = component(loaded, axis);
  }
  if (local_id_variable_ != 0) {
    load_local_index(component(writer_.value(spv::Op::OpLoad, triple, {local_id_variable_}), 0));
  }
  if (uses_.fragments) load_wave_and_lane();
  for (const int32_t stride : uses_.lane_strides) {
    lane_offsets_[stride] =
        stride == 1 ? lane_id_
                    : writer_.value(spv::Op::OpIMul, int_type, {lane_id_, int_constant(stride)});
  }
}

void ProgramEmitter::load_local_index(Id index) {
  const Id int_type = scalar_type(ir::Scalar::i32);
  local_index_ = index;
  lane_id_ = local_index_;
  wave_id_ = int_constant(0);
  const uint32_t lanes = program_.wave_lanes;
  if (program_.waves_per_workgroup > 1 && std::has_single_bit(lanes)) {
    lane_id_ =
        writer_.value(spv::Op::OpBitwiseAnd, int_type, {local_index_, int_constant(lanes - 1)});
    wave_id_ = writer_.value(spv::Op::OpShiftRightLogical, int_type,
                             {local_index_, int_constant(std::countr_zero(lanes))});
  } else if (program_.waves_per_workgroup > 1) {
    lane_id_ = writer_.value(spv::Op::OpSRem, int_type, {local_index_, int_constant(lanes)});
    wave_id_ = writer_.value(spv::Op::OpSDiv, int_type, {local_index_, int_constant(lanes)});
  }
}

void ProgramEmitter::load_arguments() {
  if (push_constant_ == 0) return;
  const Id first = int_constant(0);
  const Id push_member =
      writer_.value(spv::Op::OpAccessChain,
                    pointer_type(spv::StorageClass::PushConstant, argument_block_pointer_),
                    {push_constant_, first});
  const Id block = writer_.value(spv::Op::OpLoad, argument_block_pointer_, {push_member});
  std::vector<Id> addresses(program_.parameters.size(), 0);
  for (const auto& [slot, width] : uses_.accesses) {
    if (addresses[slot] == 0) addresses[slot] = load_address(block, slot);
    const ir::Parameter& parameter = program_.parameters[slot];
    const Id type = buffer_pointer(parameter.storage, width, parameter.written);
    const Id pointer = writer_.value(spv::Op::OpBitcast, type, {addresses[slot]});
    writer_.add_name(pointer, parameter.name);
    buffers_[{slot, width}] = pointer;
  }
}

Id ProgramEmitter::load_address(Id block, uint32_t slot) {
  const Id type = vector_type(writer_.type(spv::Op::OpTypeInt, {32, 0}), 2);
  const Words place = {block, int_constant(0), int_constant(slot)};
  const Id pointer = pointer_type(buffer_class_, type);
  Words operands = {writer_.value(spv::Op::OpAccessChain, pointer, place)};
  for (const uint32_t word : alignment_words(8)) operands.push_back(word);
  return writer_.value(spv::Op::OpLoad, type, operands);
}

}  // namespace spirv

Result<KernelBinary> emit_spirv(const ir::Program& program, const Target& target) {
  TRY_ASSIGN(const Uses uses, find_uses(program, target));
  KernelBinary binary = describe_kernel(program, target.format, "main");
  binary.local_memory_bytes = local_bytes_with_answer(program, uses);
  binary.code = spirv::ProgramEmitter(program, target, uses).emit();
  return binary;
}

}  // namespace leat
