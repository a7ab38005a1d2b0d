// The products of a program beside those of a target's matrix units.
#pragma once

#include "leat/base/target_facts.h"
#include "leat/ir/ir.h"

namespace leat::ir {

/// Whether matrix units of the target compute the product of `mma`, an instruction of `program`.
bool has_product(const Program& program, const Instruction& mma, const TargetFacts& facts);

}  // namespace leat::ir
