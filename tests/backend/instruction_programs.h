// Wave programs for the instructions that need more of a device than arithmetic: each is run on a
// device and by the interpreter, and all buffers must end equal.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "leat/base/target.h"
#include "leat/ir/ir.h"

namespace leat {

struct InstructionProgram {
  std::string name;
  std::function<ir::Program(const Target&)> make;
};

/// Results do not depend on the order of waves and workgroups; floats are whole and small, so that
/// sums are exact in any order.
std::vector<InstructionProgram> instruction_programs();

}  // namespace leat
