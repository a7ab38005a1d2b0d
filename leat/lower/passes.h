// Passes over wave programs, in the order in which lower() runs them. Each takes a verified program
// and gives one that computes the same.
#pragma once

#include "leat/ir/ir.h"

namespace leat {

/// Replaces exp .. erf and pow by basic arithmetic, so that every target computes the same bits and
/// no emitter needs a math library. After it: no opcode from exp to erf, no pow.
ir::Program expand_math(const ir::Program& program);

}  // namespace leat
