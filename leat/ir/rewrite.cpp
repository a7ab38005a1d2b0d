// The walk keeps a map from old to new values. A folded value may be "more uniform" than the old
// one; types are inferred anew, save those of carried values, which stay as varying as they were.
#include "leat/ir/rewrite.h"

#include <bit>

#include "leat/base/check.h"
#include "leat/ir/scalar_ops.h"

namespace leat::ir {
namespace {

class Rewriter {
 public:
  Rewriter(const Program& program, const Replacement& replacement);
  Program run();

 private:
  void block(BlockId id);
  void instruction(const Instruction& instruction);
  void loop(const Instruction& instruction);
  void branch(const Instruction& instruction);
  ValueId copy(const Instruction& instruction, std::span<const ValueId> operands);
  template <Opcode op>
  ValueId copy_as(const Instruction& instruction, std::span<const ValueId> operands);
  ValueId copy_constant(const Instruction& instruction);
  ValueId full_index(const Instruction& instruction, ValueId index);
  std::vector<ValueId> mapped(std::span<const ValueId> values) const;

  const Program& program_;
  const Replacement& replacement_;
  Builder builder_;
  std::vector<ValueId> map_;  // old value -> new value
};

Rewriter::Rewriter(const Program& program, const Replacement& replacement)
    : program_(program),
      replacement_(replacement),
      builder_(program.name, program.wave_lanes, program.waves_per_workgroup),
      map_(program.values.size(), kNone) {
  builder_.program().grid = program.grid;
  builder_.program().parameters = program.parameters;
  builder_.program().locals = program.locals;
}

Program Rewriter::run() {
  block(0);
  return builder_.finish();
}

std::vector<ValueId> Rewriter::mapped(std::span<const ValueId> values) const {
  std::vector<ValueId> result;
  for (ValueId value : values) {
    CHECK(map_[value] != kNone);
    result.push_back(map_[value]);
  }
  return result;
}

void Rewriter::block(BlockId id) {
  for (InstructionId i : program_.blocks[id].instructions) instruction(program_.instructions[i]);
}

void Rewriter::instruction(const Instruction& instruction) {
  if (instruction.op == Opcode::yield) return;
  if (instruction.op == Opcode::loop) return loop(instruction);
  if (instruction.op == Opcode::branch) return branch(instruction);
  const std::vector<ValueId> operands = mapped(program_.operands_of(instruction));
  const std::optional<ValueId> replaced = replacement_(builder_, instruction, operands);
  const ValueId result = replaced ? *replaced : copy(instruction, operands);
  if (instruction.result_count == 0) return;
  const Type wanted = program_.values[instruction.first_result];
  CHECK(result != kNone && builder_.type(result).scalar == wanted.scalar);
  CHECK(builder_.type(result).width == wanted.width);
  map_[instruction.first_result] = result;
}

void Rewriter::loop(const Instruction& instruction) {
  const std::vector<ValueId> operands = mapped(program_.operands_of(instruction));
  const Block& region = program_.blocks[instruction.regions[0]];
  std::vector<bool> varying;
  for (ValueId i = 0; i < instruction.result_count; ++i) {
    varying.push_back(program_.values[instruction.first_result + i].varying);
  }
  const std::optional<int64_t> step = builder_.constant(operands[2]);
  CHECK(step.has_value());
  const auto body = [&](ValueId counter, std::span<const ValueId> carried) {
    map_[region.first_argument] = counter;
    for (ValueId i = 0; i < carried.size(); ++i) map_[region.first_argument + 1 + i] = carried[i];
    block(instruction.regions[0]);
    return mapped(program_.operands_of(program_.instructions[region.instructions.back()]));
  };
  const std::vector<ValueId> results =
      builder_.loop(operands[0], operands[1], *step, std::span(operands).subspan(3), varying, body,
                    static_cast<int>(instruction.imm));
  for (ValueId i = 0; i < results.size(); ++i) map_[instruction.first_result + i] = results[i];
}

void Rewriter::branch(const Instruction& instruction) {
  const ValueId condition = mapped(program_.operands_of(instruction))[0];
  const auto then = [&] { block(instruction.regions[0]); };
  const auto otherwise = [&] { block(instruction.regions[1]); };
  if (instruction.regions[1] == kNone) {
    builder_.branch(condition, then);
  } else {
    builder_.branch(condition, then, otherwise);
  }
}

ValueId Rewriter::copy_constant(const Instruction& instruction) {
  switch (program_.values[instruction.first_result].scalar) {
    case Scalar::f32:
      return builder_.f32(std::bit_cast<float>(static_cast<uint32_t>(instruction.imm)));
    case Scalar::i32: return builder_.i32(instruction.imm);
    case Scalar::b1: return builder_.b1(instruction.imm != 0);
  }
  return kNone;
}

// The builder takes whole indices and finds the stride again.
ValueId Rewriter::full_index(const Instruction& instruction, ValueId index) {
  if (instruction.lane_stride == kIndexed) return index;
  const ValueId stride = builder_.i32(instruction.lane_stride);
  return builder_.add(index, builder_.mul(builder_.lane_id(), stride));
}

template <Opcode op>
ValueId Rewriter::copy_as(const Instruction& instruction, std::span<const ValueId> operands) {
  using enum Opcode;
  const ValueId mask = instruction.masked ? operands.back() : kNone;
  constexpr OpClass kClass = class_constant(op);
  const auto width = [&] { return program_.values[instruction.first_result].width; };
  if constexpr (is_unary_float(op)) {
    return builder_.unary(op, operands[0]);
  } else if constexpr (kClass != OpClass::other) {
    return builder_.binary(op, operands[0], operands[1]);
  } else if constexpr (op == constant) {
    return copy_constant(instruction);
  } else if constexpr (op == lane_id) {
    return builder_.lane_id();
  } else if constexpr (op == wave_id) {
    return builder_.wave_id();
  } else if constexpr (op == group_id) {
    return builder_.group_id(static_cast<int>(instruction.imm));
  } else if constexpr (op == fma) {
    return builder_.fma(operands[0], operands[1], operands[2]);
  } else if constexpr (op == select) {
    return builder_.select(operands[0], operands[1], operands[2]);
  } else if constexpr (op == not_b) {
    return builder_.not_b(operands[0]);
  } else if constexpr (op == vector) {
    return builder_.vector(operands);
  } else if constexpr (op == extract) {
    return builder_.extract(operands[0], static_cast<int>(instruction.imm));
  } else if constexpr (op == load) {
    return builder_.load(instruction.slot, full_index(instruction, operands[0]), width(), mask);
  } else if constexpr (op == store) {
    builder_.store(instruction.slot, full_index(instruction, operands[0]), operands[1], mask);
  } else if constexpr (op == load_local) {
    return builder_.load_local(instruction.slot, operands[0], width());
  } else if constexpr (op == store_local) {
    builder_.store_local(instruction.slot, operands[0], operands[1]);
  } else if constexpr (op == barrier) {
    builder_.barrier();
  } else if constexpr (op == reduce_add || op == reduce_min || op == reduce_max) {
    return builder_.reduce(op, operands[0]);
  } else if constexpr (op != loop && op != branch && op != yield) {
    return builder_.convert(op, operands[0]);
  }
  return kNone;
}

ValueId Rewriter::copy(const Instruction& instruction, std::span<const ValueId> operands) {
  ValueId result = kNone;
  visit_opcode(instruction.op, [&]<Opcode op>() { result = copy_as<op>(instruction, operands); });
  return result;
}

}  // namespace

Program rewrite(const Program& program, const Replacement& replacement) {
  return Rewriter(program, replacement).run();
}

}  // namespace leat::ir
