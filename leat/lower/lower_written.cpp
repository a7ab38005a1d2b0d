// Kernels that somebody wrote, as steps of a plan. What a text says of memory is what the model's
// types say: a device may store such tensors wider, and a tensor that a node takes twice is one
// argument. Nothing else of the program changes.
#include <fmt/format.h>

#include <algorithm>

#include "leat/ir/parse.h"
#include "leat/ir/rewrite.h"
#include "leat/lower/lower.h"
#include "leat/lower/step_source.h"

namespace leat {

using ir::Instruction;
using ir::Opcode;
using ir::ValueId;

namespace {

/// The tensor of each parameter.
std::vector<TensorId> tensors_of(const Node& node, const ir::Program& program) {
  std::vector<TensorId> tensors;
  size_t input = 0, result = 0;
  for (const ir::Parameter& parameter : program.parameters) {
    tensors.push_back(parameter.written ? node.results[result++].output : node.inputs[input++]);
  }
  CHECK(input == node.inputs.size() && result == node.results.size());
  return tensors;
}

/// Whether nothing but loads and stores, which convert, touches the parameter.
bool is_only_converted(const ir::Program& program, uint32_t slot) {
  return std::ranges::none_of(program.instructions, [&](const Instruction& instruction) {
    const bool converts = instruction.op == Opcode::load || instruction.op == Opcode::store;
    const bool touches = ir::is_global_access(instruction.op) || instruction.op == Opcode::prefetch;
    return (touches && !converts && instruction.slot == slot) ||
           (instruction.op == Opcode::copy_async && instruction.source == slot);
  });
}

/// What a whole number of fewer bits keeps of `value`.
ValueId wrapped(ir::Builder& b, DType storage, ValueId value) {
  const ValueId unused = b.i32(32 - 8 * size_bytes_of(storage));
  const bool has_sign = storage == DType::i8 || storage == DType::i16;
  return b.binary(has_sign ? Opcode::shr_s : Opcode::shr_u, b.binary(Opcode::shl_i, value, unused),
                  unused);
}

/// The same program on memory of these storages.
Result<ir::Program> stored_as(const ir::Program& program, std::span<const DType> storages,
                              const Target& target) {
  std::vector<bool> wraps(storages.size(), false);
  for (uint32_t i = 0; i < storages.size(); ++i) {
    const ir::Parameter& parameter = program.parameters[i];
    if (storages[i] == parameter.storage) continue;
    if (ir::compute_of(storages[i]) != ir::compute_of(parameter.storage) ||
        !is_only_converted(program, i)) {
      return Error(ErrorKind::unsupported,
                   fmt::format("Parameter \"{}\" of kernel \"{}\" is {}, which target \"{}\" "
                               "stores as {}.",
                               parameter.name, program.name, name_of(parameter.storage),
                               target.name, name_of(storages[i])));
    }
    wraps[i] = !is_float(parameter.storage);
  }
  ir::Program made = ir::rewrite(program, [&](ir::Builder& b, const Instruction& instruction,
                                              std::span<const ValueId> operands) {
    if (instruction.op != Opcode::store || !wraps[instruction.slot]) return ir::Replaced();
    const ValueId value = wrapped(b, program.parameters[instruction.slot].storage, operands[1]);
    b.store(instruction.slot, ir::full_index(b, instruction, operands[0]), value,
            instruction.masked ? operands.back() : ir::kNone);
    return ir::Replaced(ir::kNone);
  });
  for (size_t i = 0; i < storages.size(); ++i) made.parameters[i].storage = storages[i];
  return made;
}

/// The parameters as a step's arguments stand.
void reorder(ir::Program& program, std::span<const TensorId> tensors,
             const std::vector<TensorId>& arguments) {
  std::vector<ir::Parameter> parameters(arguments.size());
  std::vector<uint32_t> slots;
  for (size_t i = tensors.size(); i-- > 0;) {
    const auto slot = std::ranges::find(arguments, tensors[i]) - arguments.begin();
    parameters[static_cast<size_t>(slot)] = program.parameters[i];
    slots.insert(slots.begin(), static_cast<uint32_t>(slot));
  }
  program.parameters = std::move(parameters);
  for (Instruction& instruction : program.instructions) {
    if (ir::is_global_access(instruction.op) || instruction.op == Opcode::prefetch) {
      instruction.slot = slots[instruction.slot];
    }
    if (instruction.op == Opcode::copy_async) instruction.source = slots[instruction.source];
  }
}

}  // namespace

Result<ir::Program> written_program(const Schedule& schedule, const Node& node,
                                    const Target& target) {
  Result<ir::Program> read = ir::parse_program(node.program->kernel->text, node.name);
  CHECK(read.has_value());  // its operator has printed it
  ir::Program program = std::move(*read);
  const std::vector<TensorId> tensors = tensors_of(node, program);
  std::vector<DType> storages;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Placement& placement = schedule.placements[tensors[i]];
    CHECK(placement.element_count == program.parameters[i].element_count);
    storages.push_back(placement.storage);
  }
  const bool is_same =
      std::ranges::equal(storages, program.parameters, {}, {}, &ir::Parameter::storage);
  if (!is_same) {
    TRY_ASSIGN(program, stored_as(program, storages, target));
  }
  reorder(program, tensors, arguments_of(node, {}));
  return program;
}

}  // namespace leat
