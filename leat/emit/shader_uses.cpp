// The walk over a program's blocks that finds what it uses, and the comparison with the target.
#include "leat/emit/shader_uses.h"

#include <fmt/format.h>

#include "leat/base/target_facts.h"
#include "leat/emit/supported.h"
#include "leat/ir/matrix_shape.h"

namespace leat {
namespace {

using ir::Instruction;
using ir::Opcode;

void add_access(const ir::Program& program, const Instruction& instruction, Uses& uses) {
  const bool is_load = instruction.op == Opcode::load;
  const ir::ValueId accessed =
      is_load ? instruction.first_result : program.operands_of(instruction)[1];
  const bool is_fragment = ir::is_fragment_access(instruction.op);
  uses.accesses.insert(
      {instruction.slot, is_fragment ? uint8_t{1} : program.values[accessed].width});
  uses.narrow |= size_bytes_of(program.parameters[instruction.slot].storage) == 2;
  if (instruction.lane_stride == ir::kIndexed || instruction.lane_stride == 0) return;
  uses.lane_strides.insert(instruction.lane_stride);
  uses.lane_id = true;
}

void add_instruction(const ir::Program& program, const Instruction& instruction, Uses& uses) {
  const Opcode op = instruction.op;
  uses.lane_id |= op == Opcode::lane_id;
  uses.wave_id |= op == Opcode::wave_id;
  uses.group_id |= op == Opcode::group_id;
  uses.counters |= op == Opcode::last_group;
  uses.atomics |= op == Opcode::atomic_add;
  if (ir::is_global_access(op)) add_access(program, instruction, uses);
}

Result<void> add_block(const ir::Program& program, ir::BlockId block, Uses& uses) {
  for (const ir::InstructionId id : program.blocks[block].instructions) {
    const Instruction& instruction = program.instructions[id];
    if (ir::is_function(instruction.op)) {
      return Error(
          ErrorKind::unsupported,
          fmt::format("Instruction ({}) of Kernel \"{}\" is one that a pass expands before code "
                      "is emitted.",
                      ir::name_of(instruction.op), program.name));
    }
    add_instruction(program, instruction, uses);
    for (const ir::BlockId region : instruction.regions) {
      if (region != ir::kNone) TRY(add_block(program, region, uses));
    }
  }
  return {};
}

void add_storage(DType storage, Uses& uses) {
  uses.f16 |= storage == DType::f16;
  uses.bf16 |= storage == DType::bf16;
}

// Atomics of a device's scope are another feature under the memory model that fragments want.
Result<void> check_fragments(const ir::Program& program, const Target& target, Uses& uses) {
  const TargetFacts facts = facts_of(target);
  for (const ir::Type& type : program.values) {
    if (!type.is_fragment()) continue;
    uses.fragments = true;
    add_storage(type.fragment.element, uses);
    if (ir::has_fragment(type.fragment, facts)) continue;
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" has a fragment of {} for products of {}x{}x{}, which "
                             "Target \"{}\" lacks.",
                             program.name, name_of(type.fragment.element), type.fragment.m,
                             type.fragment.n, type.fragment.k, target.name));
  }
  if (!uses.fragments) return {};
  for (const ir::LocalMemory& local : program.locals) add_storage(local.storage, uses);
  for (const ir::Parameter& parameter : program.parameters) {
    uses.bf16 |= parameter.storage == DType::bf16;
  }
  if (program.wave_lanes != target.wave_lanes) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" has fragments of a wave of ({}) lanes; one of Target "
                             "\"{}\" has ({}).",
                             program.name, program.wave_lanes, target.name, target.wave_lanes));
  }
  if (!uses.counters && !uses.atomics) return {};
  return Error(ErrorKind::unsupported,
               fmt::format("Kernel \"{}\" has {} beside fragments, which SPIR-V for Target \"{}\" "
                           "lacks.",
                           program.name, uses.counters ? "last_group" : "atomic_add", target.name));
}

Error past_limit(const ir::Program& program, std::string_view what, uint64_t value,
                 const Target& target, uint64_t limit) {
  return Error(
      ErrorKind::unsupported,
      fmt::format("{} ({}) of Kernel \"{}\" is larger than the limit ({}) of Target \"{}\".", what,
                  value, program.name, limit, target.name));
}

Result<void> check_limits(const ir::Program& program, const Uses& uses, const Target& target) {
  const uint32_t lanes = lanes_per_workgroup(program);
  if (lanes > target.lanes_per_workgroup_max) {
    return past_limit(program, "Workgroup size", lanes, target, target.lanes_per_workgroup_max);
  }
  for (size_t axis = 0; axis < 3; ++axis) {
    if (program.grid[axis] > target.workgroups_max[axis]) {
      return past_limit(program, "Number of workgroups", program.grid[axis], target,
                        target.workgroups_max[axis]);
    }
  }
  const uint32_t local_bytes = local_bytes_with_answer(program, uses);
  if (local_bytes > target.local_memory_bytes_max) {
    return past_limit(program, "Local memory in bytes", local_bytes, target,
                      target.local_memory_bytes_max);
  }
  if (target.format != CodeFormat::spirv_pointers &&
      program.parameters.size() > target.buffer_bindings_max) {
    return past_limit(program, "Number of buffers", program.parameters.size(), target,
                      target.buffer_bindings_max);
  }
  return {};
}

}  // namespace

uint32_t lanes_per_workgroup(const ir::Program& program) {
  return program.wave_lanes * program.waves_per_workgroup;
}

uint32_t local_bytes_with_answer(const ir::Program& program, const Uses& uses) {
  return program.local_bytes() + (uses.counters ? 4 : 0);
}

Result<Uses> find_uses(const ir::Program& program, const Target& target) {
  Uses uses;
  TRY(check_supported(program, target));
  TRY(add_block(program, 0, uses));
  TRY(check_fragments(program, target, uses));
  for (const ir::Type& type : program.values) {
    uses.i64 |= type.scalar == ir::Scalar::i64;
    uses.f64 |= type.scalar == ir::Scalar::f64;
  }
  TRY(check_limits(program, uses, target));
  return uses;
}

}  // namespace leat
