// A wave program as a flat list of steps with jump targets, which is what the interpreter runs.
#pragma once

#include <vector>

#include "leat/ir/ir.h"

namespace leat::ir {

struct Step {
  enum class Kind : uint8_t { plain, loop_enter, loop_next, branch_test, jump };
  Kind kind = Kind::plain;
  InstructionId instruction = 0;
  uint32_t target = 0;  // loop_enter: behind the loop; loop_next: its first step; else where to go
};

/// `program` has passed the verifier. A step number past the last is the end.
std::vector<Step> flatten(const Program& program);

}  // namespace leat::ir
