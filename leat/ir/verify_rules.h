// The verifier's rules for one instruction: the types of its operands and results, its slots and
// its shape. The ids are in range already; where values are visible is the walk's business
// (verify.cpp).
#pragma once

#include "leat/ir/verify_fragments.h"

namespace leat::ir {

/// An unroll factor above this is a mistake.
inline constexpr int64_t kUnrollMax = 4096;

/// Operands, results and regions of `instruction` are known to be ids of `program`, a loop to have
/// its three bounds.
Complaint complaint_about(const Program& program, const Instruction& instruction);

/// A uniform value may stand for a varying one where a loop carries it.
bool can_carry(Type value, Type carried);

}  // namespace leat::ir
