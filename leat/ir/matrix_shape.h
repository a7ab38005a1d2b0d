// The products of a program beside those of a target's matrix units.
#pragma once

#include "leat/base/target_facts.h"
#include "leat/ir/ir.h"

namespace leat::ir {

/// Whether matrix units of the target compute the product of `mma`, an instruction of `program`.
bool has_product(const Program& program, const Instruction& mma, const TargetFacts& facts);
/// Whether the fragment belongs to a product of the target's matrix units.
bool has_fragment(const Fragment& fragment, const TargetFacts& facts);
/// Whether the target's matrix units multiply such elements.
bool multiplies(DType element, const TargetFacts& facts);
/// Whether the target has an instruction for `op`, one of dot_*.
bool has_dot(Opcode op, const TargetFacts& facts);
/// Whether the program has values that are fragments.
bool uses_fragments(const Program& program);

}  // namespace leat::ir
