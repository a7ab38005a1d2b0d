// Types and constants of the SPIR-V module, and the table from the program's values to ids.
// All integers are signed ones; unsigned operations are told by their opcodes.
#include "leat/emit/spirv_emitter.h"

namespace leat::spirv {

Id ProgramEmitter::scalar_type(ir::Scalar scalar) {
  switch (scalar) {
    case ir::Scalar::f32: return writer_.type(spv::Op::OpTypeFloat, {32});
    case ir::Scalar::i32: return writer_.type(spv::Op::OpTypeInt, {32, 1});
    case ir::Scalar::b1: return writer_.type(spv::Op::OpTypeBool);
    case ir::Scalar::i64: return writer_.type(spv::Op::OpTypeInt, {64, 1});
    case ir::Scalar::f64: return writer_.type(spv::Op::OpTypeFloat, {64});
  }
  CHECK(false);
}

Id ProgramEmitter::vector_type(Id scalar, uint32_t width) {
  return width == 1 ? scalar : writer_.type(spv::Op::OpTypeVector, {scalar, width});
}

Id ProgramEmitter::type_of(ir::Type type) {
  if (type.is_fragment()) return matrix_type(type.fragment);
  return vector_type(scalar_type(type.scalar), type.width);
}

Id ProgramEmitter::pointer_type(spv::StorageClass storage_class, Id pointee) {
  return writer_.type(spv::Op::OpTypePointer, {static_cast<uint32_t>(storage_class), pointee});
}

Id ProgramEmitter::storage_type(DType storage, uint32_t width) {
  const auto floats = [&](uint32_t bits) { return writer_.type(spv::Op::OpTypeFloat, {bits}); };
  const auto ints = [&](uint32_t bits) { return writer_.type(spv::Op::OpTypeInt, {bits, 1}); };
  switch (storage) {
    case DType::f16: return vector_type(floats(16), width);
    case DType::f32: return vector_type(floats(32), width);
    case DType::i16:
    case DType::u16: return vector_type(ints(16), width);
    case DType::i32:
    case DType::u32: return vector_type(ints(32), width);
    case DType::i64:
    case DType::u64: return vector_type(ints(64), width);
    case DType::f64: return vector_type(floats(64), width);
    case DType::bf16:  // beside fragments
      return vector_type(writer_.type(spv::Op::OpTypeFloat, {16, kBFloat16Encoding}), width);
    case DType::i8:
    case DType::u8:
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
    case DType::u2: break;  // check_supported refuses them
  }
  CHECK(false);
}

// A pointer to a block with a run-time array of accesses of one width. It is declared ahead of the
// block, as compilers do for types that may hold themselves: SPIRV-Tools 2023.1 else looks through
// it and forbids to cast it, or to have its address in the push constant, when the array is of
// halves.
Id ProgramEmitter::buffer_pointer(DType storage, uint32_t width, bool written) {
  Id& pointer = buffer_pointers_[{storage, width, written}];
  // NVIDIA's OpenGL linker refuses several unnamed buffers of one block type.
  if (pointer != 0 && !target_.opengl) return pointer;
  if (has_pointers()) pointer = writer_.forward_pointer(buffer_class_);
  const Id block = writer_.distinct_type(spv::Op::OpTypeStruct, {buffer_array(storage, width)});
  writer_.decorate(block, target_.opengl ? spv::Decoration::BufferBlock : spv::Decoration::Block);
  writer_.decorate_member(block, 0, spv::Decoration::Offset, {0});
  if (!written) writer_.decorate_member(block, 0, spv::Decoration::NonWritable);
  // What other workgroups wrote is read behind a counter: no cache of one core may hold it.
  if (written && uses_.counters) writer_.decorate_member(block, 0, spv::Decoration::Coherent);
  if (has_pointers()) {
    writer_.define_pointer(pointer, buffer_class_, block);
  } else {
    pointer = pointer_type(buffer_class_, block);
  }
  return pointer;
}

Id ProgramEmitter::buffer_array(DType storage, uint32_t width) {
  Id& array = buffer_arrays_[{storage, width}];
  if (array != 0) return array;
  const uint32_t stride = width * static_cast<uint32_t>(size_bytes_of(storage));
  array = writer_.distinct_type(spv::Op::OpTypeRuntimeArray, {storage_type(storage, width)});
  writer_.decorate(array, spv::Decoration::ArrayStride, {stride});
  return array;
}

Id ProgramEmitter::int_constant(int64_t value) {
  return writer_.constant(scalar_type(ir::Scalar::i32), static_cast<uint32_t>(value));
}

Id ProgramEmitter::constant_of(ir::Type type, uint64_t bits) {
  const Id scalar = scalar_type(type.scalar);
  const Id component = type.scalar == ir::Scalar::b1 ? writer_.constant_bool(scalar, bits != 0)
                       : ir::bytes_of(type.scalar) == 8
                           ? writer_.constant_64(scalar, bits)
                           : writer_.constant(scalar, static_cast<uint32_t>(bits));
  return type.width == 1 ? component : writer_.constant_splat(type_of(type), component, type.width);
}

Id ProgramEmitter::id_of(ir::ValueId value) const {
  CHECK(values_[value] != 0);
  return values_[value];
}

// A width-1 operand beside a wider one stands for every component.
Id ProgramEmitter::widened(ir::ValueId value, uint8_t width) {
  const ir::Type type = program_.values[value];
  if (type.width == width) return id_of(value);
  CHECK(type.width == 1);
  return writer_.value(spv::Op::OpCompositeConstruct, vector_type(scalar_type(type.scalar), width),
                       Words(width, id_of(value)));
}

ir::Type ProgramEmitter::result_type(const ir::Instruction& instruction) const {
  return program_.values[instruction.first_result];
}

void ProgramEmitter::set_result(const ir::Instruction& instruction, Id id) {
  values_[instruction.first_result] = id;
}

Id ProgramEmitter::add_int(Id a, Id b) {
  return writer_.value(spv::Op::OpIAdd, scalar_type(ir::Scalar::i32), {a, b});
}

}  // namespace leat::spirv
