// A loop is entered by one step and repeated by another behind its body; a branch is a test and,
// when it has an else, a jump over that. A yield is part of loop_next.
#include "leat/ir/flatten.h"

namespace leat::ir {
namespace {

/// Steps of a block and all blocks in it.
class Flattener {
 public:
  explicit Flattener(const Program& program) : program_(program) { block(0); }
  std::vector<Step> take() { return std::move(steps_); }

 private:
  uint32_t add(Step::Kind kind, InstructionId id, uint32_t target = 0) {
    steps_.push_back({kind, id, target});
    return static_cast<uint32_t>(steps_.size() - 1);
  }
  uint32_t here() const { return static_cast<uint32_t>(steps_.size()); }
  void block(BlockId id) {
    for (InstructionId i : program_.blocks[id].instructions) instruction(i);
  }
  void instruction(InstructionId id);

  const Program& program_;
  std::vector<Step> steps_;
};

void Flattener::instruction(InstructionId id) {
  const Instruction& instruction = program_.instructions[id];
  if (instruction.op == Opcode::yield) return;
  if (instruction.op == Opcode::loop) {
    const uint32_t enter = add(Step::Kind::loop_enter, id);
    block(instruction.regions[0]);
    add(Step::Kind::loop_next, id, enter + 1);
    steps_[enter].target = here();
  } else if (instruction.op == Opcode::branch) {
    const uint32_t test = add(Step::Kind::branch_test, id);
    block(instruction.regions[0]);
    if (instruction.regions[1] == kNone) {
      steps_[test].target = here();
      return;
    }
    const uint32_t leave = add(Step::Kind::jump, id);
    steps_[test].target = here();
    block(instruction.regions[1]);
    steps_[leave].target = here();
  } else {
    add(Step::Kind::plain, id);
  }
}

}  // namespace

std::vector<Step> flatten(const Program& program) { return Flattener(program).take(); }

}  // namespace leat::ir
