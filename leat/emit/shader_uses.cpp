// The walk over a program's blocks that finds what it uses, and the comparison with the target.
#include "leat/emit/shader_uses.h"

#include <fmt/format.h>

namespace leat {
namespace {

using ir::Instruction;
using ir::Opcode;

bool is_reduction(Opcode op) {
  return op == Opcode::reduce_add || op == Opcode::reduce_min || op == Opcode::reduce_max;
}

void add_access(const ir::Program& program, const Instruction& instruction, Uses& uses) {
  const bool is_load = instruction.op == Opcode::load;
  const ir::ValueId accessed =
      is_load ? instruction.first_result : program.operands_of(instruction)[1];
  uses.accesses.insert({instruction.slot, program.values[accessed].width});
  uses.half |= program.parameters[instruction.slot].storage == DType::f16;
  if (instruction.lane_stride == ir::kIndexed || instruction.lane_stride == 0) return;
  uses.lane_strides.insert(instruction.lane_stride);
  uses.lane_id = true;
}

void add_instruction(const ir::Program& program, const Instruction& instruction, Uses& uses) {
  const Opcode op = instruction.op;
  uses.lane_id |= op == Opcode::lane_id;
  uses.wave_id |= op == Opcode::wave_id;
  uses.group_id |= op == Opcode::group_id;
  if (op == Opcode::load || op == Opcode::store) add_access(program, instruction, uses);
}

Result<void> add_block(const ir::Program& program, ir::BlockId block, Uses& uses) {
  for (const ir::InstructionId id : program.blocks[block].instructions) {
    const Instruction& instruction = program.instructions[id];
    if (ir::is_function(instruction.op) || is_reduction(instruction.op)) {
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

Error past_limit(const ir::Program& program, std::string_view what, uint64_t value,
                 const Target& target, uint64_t limit) {
  return Error(
      ErrorKind::unsupported,
      fmt::format("{} ({}) of Kernel \"{}\" is larger than the limit ({}) of Target \"{}\".", what,
                  value, program.name, limit, target.name));
}

Result<void> check_limits(const ir::Program& program, const Target& target) {
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
  const uint32_t local_bytes = program.local_bytes();
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

Result<Uses> find_uses(const ir::Program& program, const Target& target) {
  Uses uses;
  TRY(add_block(program, 0, uses));
  TRY(check_limits(program, target));
  if (uses.half && !target.storage_f16) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("Kernel \"{}\" has a buffer of f16, which Target \"{}\" cannot access.",
                    program.name, target.name));
  }
  return uses;
}

}  // namespace leat
