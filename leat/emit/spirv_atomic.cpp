// What workgroups do together: atomic additions, and the counter that tells the last of them.
// Facts: SPIR-V Specification 1.6, sections 3.52.18 (atomics) and 3.52.20 (barriers); Vulkan 1.3
// specification, appendix "Memory Model". The module keeps the GLSL450 memory model: buffers that
// workgroups share are Coherent there.
#include "leat/emit/spirv_emitter.h"

namespace leat::spirv {
namespace {

constexpr int64_t kDevice = static_cast<int64_t>(spv::Scope::Device);
constexpr int64_t kBufferOrder = static_cast<int64_t>(spv::MemorySemanticsMask::AcquireRelease) |
                                 static_cast<int64_t>(spv::MemorySemanticsMask::UniformMemory);

}  // namespace

Id ProgramEmitter::atomic_element(uint32_t slot, Id index) {
  return buffers_.contains({slot, uint8_t{1}}) ? buffer_element(slot, 1, index)
                                               : buffer_component(slot, index);
}

void ProgramEmitter::emit_atomic_add(const ir::Instruction& instruction) {
  const auto operands = program_.operands_of(instruction);
  const ir::Type type = result_type(instruction);
  const Id index = access_index(instruction);
  const auto add = [&] {
    const Words added = {atomic_element(instruction.slot, index), int_constant(kDevice),
                         int_constant(0), id_of(operands[1])};
    return writer_.value(spv::Op::OpAtomicIAdd, type_of(type), added);
  };
  if (!instruction.masked) return set_result(instruction, add());
  const OpenBranch open = open_branch(id_of(operands[2]));
  const Id before = add();
  const Id last = close_branch(open);
  const Id zero = zero_of(type);
  set_result(instruction,
             writer_.value(spv::Op::OpPhi, type_of(type), {before, last, zero, open.before}));
}

void ProgramEmitter::memory_barrier() {
  writer_.statement(spv::Op::OpMemoryBarrier, {int_constant(kDevice), int_constant(kBufferOrder)});
}

// The stores of all invocations are visible before the first one counts; the answer goes through
// one word of local memory. The first barrier also keeps off that word's last use.
void ProgramEmitter::emit_last_group(const ir::Instruction& instruction) {
  const Id int_type = scalar_type(ir::Scalar::i32), bool_type = scalar_type(ir::Scalar::b1);
  const Id index = id_of(program_.operands_of(instruction)[0]);
  const Id count = id_of(program_.operands_of(instruction)[1]);
  const Id word = int_constant(0);
  const Id answer =
      writer_.value(spv::Op::OpAccessChain, pointer_type(spv::StorageClass::Workgroup, int_type),
                    {counter_answer_, word});
  memory_barrier();
  emit_barrier();
  const Id is_first = writer_.value(spv::Op::OpIEqual, bool_type, {local_index_, int_constant(0)});
  const OpenBranch first = open_branch(is_first);
  const Id counter = atomic_element(instruction.slot, index);
  const Id before =
      writer_.value(spv::Op::OpAtomicIAdd, int_type,
                    {counter, int_constant(kDevice), int_constant(kBufferOrder), int_constant(1)});
  const Id after = add_int(before, int_constant(1));
  const Id is_last = writer_.value(spv::Op::OpIEqual, bool_type, {after, count});
  const Id as_int =
      writer_.value(spv::Op::OpSelect, int_type, {is_last, int_constant(1), int_constant(0)});
  writer_.statement(spv::Op::OpStore, {answer, as_int});
  const OpenBranch last = open_branch(is_last);
  writer_.statement(spv::Op::OpAtomicStore,
                    {counter, int_constant(kDevice), int_constant(0), int_constant(0)});
  close_branch(last);
  close_branch(first);
  emit_barrier();
  const Id loaded = writer_.value(spv::Op::OpLoad, int_type, {answer});
  memory_barrier();
  set_result(instruction, writer_.value(spv::Op::OpIEqual, bool_type, {loaded, int_constant(1)}));
}

}  // namespace leat::spirv
