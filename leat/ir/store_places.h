// Which elements of a parameter a launch writes: a question to the interpreter, if the answer is
// the same for all inputs.
#pragma once

#include <vector>

#include "leat/ir/ir.h"

namespace leat::ir {

/// Whether the parameter is only stored to, and where does not depend on what lies in memory: no
/// index, mask, branch or bound of a loop on the way is computed from anything loaded, save from
/// parameters that `is_constant`, by number, says hold the same in every launch. Then every launch
/// of the same grid writes the same elements. The program is verified.
bool are_places_known(const Program& program, uint32_t parameter,
                      const std::vector<bool>& is_constant);

}  // namespace leat::ir
