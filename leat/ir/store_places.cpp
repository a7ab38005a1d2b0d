// See store_places.h. Values that come from memory are found by going over all instructions until
// nothing is added: a loop carries them round.
#include "leat/ir/store_places.h"

#include <algorithm>

namespace leat::ir {
namespace {

bool loads(Opcode op) {
  using enum Opcode;
  return op == load || op == load_local || op == atomic_add || op == last_group ||
         op == fragment_load || op == fragment_load_local;
}

class Places {
 public:
  Places(const Program& program, uint32_t parameter, const std::vector<bool>& is_constant)
      : program_(program),
        parameter_(parameter),
        is_constant_(is_constant),
        is_loaded_(program.values.size(), false) {
    while (spread()) {
    }
  }

  bool are_known(BlockId block) const {
    return std::ranges::all_of(program_.blocks[block].instructions, [&](InstructionId id) {
      const Instruction& instruction = program_.instructions[id];
      const bool is_inner = instruction.regions[0] != kNone;
      return is_inner ? is_known_within(instruction)
                      : !touches(instruction) || is_known(instruction);
    });
  }

 private:
  bool is_loaded(const Instruction& instruction, size_t first, size_t last) const {
    const auto operands = program_.operands_of(instruction).subspan(first, last - first);
    return std::ranges::any_of(operands, [&](ValueId value) { return is_loaded_[value]; });
  }

  /// Of a branch or loop: whether its condition or bounds are known, or nothing in it touches the
  /// parameter.
  bool is_known_within(const Instruction& instruction) const {
    const size_t deciding = instruction.op == Opcode::loop ? 3 : 1;
    const bool decides = is_loaded(instruction, 0, deciding);
    return std::ranges::all_of(instruction.regions, [&](BlockId block) {
      return block == kNone || (decides ? !touches_within(block) : are_known(block));
    });
  }

  bool touches_within(BlockId block) const {
    return std::ranges::any_of(program_.blocks[block].instructions, [&](InstructionId id) {
      const Instruction& instruction = program_.instructions[id];
      return touches(instruction) || std::ranges::any_of(instruction.regions, [&](BlockId inner) {
               return inner != kNone && touches_within(inner);
             });
    });
  }

  bool touches(const Instruction& instruction) const {
    const bool reads_it = instruction.op == Opcode::copy_async && instruction.source == parameter_;
    return reads_it || (is_global_access(instruction.op) && instruction.slot == parameter_);
  }

  /// Of an instruction that touches the parameter.
  bool is_known(const Instruction& instruction) const {
    if (instruction.op == Opcode::fragment_store) return !is_loaded(instruction, 0, 2);
    if (instruction.op != Opcode::store || is_loaded(instruction, 0, 1)) return false;
    return !instruction.masked || !is_loaded(instruction, 2, 3);
  }

  bool mark(ValueId value, bool is_loaded) {
    if (!is_loaded || is_loaded_[value]) return false;
    is_loaded_[value] = true;
    return true;
  }

  /// Once over all instructions; whether it found more.
  bool spread() {
    bool found = false;
    for (const Instruction& instruction : program_.instructions) {
      if (instruction.op == Opcode::loop) {
        found |= carry(instruction);
        continue;
      }
      const bool is_told = instruction.op == Opcode::load && is_constant_[instruction.slot];
      const bool is_from_memory = (loads(instruction.op) && !is_told) ||
                                  is_loaded(instruction, 0, instruction.operand_count);
      for (uint32_t i = 0; i < instruction.result_count; ++i) {
        found |= mark(instruction.first_result + i, is_from_memory);
      }
    }
    return found;
  }

  /// What a loop is given, what its body gives on, and how often that happens.
  bool carry(const Instruction& loop) {
    const Block& body = program_.blocks[loop.regions[0]];
    const auto yielded = program_.operands_of(program_.instructions[body.instructions.back()]);
    const auto operands = program_.operands_of(loop);
    const bool decides = is_loaded(loop, 0, 3);
    bool found = mark(body.first_argument, decides);
    for (uint32_t i = 0; i < loop.result_count; ++i) {
      const bool is_from_memory = decides || is_loaded_[operands[3 + i]] || is_loaded_[yielded[i]];
      found |= mark(body.first_argument + 1 + i, is_from_memory);
      found |= mark(loop.first_result + i, is_from_memory);
    }
    return found;
  }

  const Program& program_;
  uint32_t parameter_;
  const std::vector<bool>& is_constant_;
  std::vector<bool> is_loaded_;
};

}  // namespace

bool are_places_known(const Program& program, uint32_t parameter,
                      const std::vector<bool>& is_constant) {
  return Places(program, parameter, is_constant).are_known(0);
}

}  // namespace leat::ir
