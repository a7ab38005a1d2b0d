// The verifier's rules for asynchronous copies and fragments; see verify_rules.h.
#pragma once

#include "leat/ir/ir.h"

namespace leat::ir {

/// What is wrong with an instruction, as the end of a sentence; nullptr: nothing.
using Complaint = const char*;

/// Of prefetch.
Complaint check_prefetch(const Program& program, const Instruction& instruction);
/// Of copy_async and copy_wait.
Complaint check_copy(const Program& program, const Instruction& instruction);
/// Of fragment_fill .. fragment_column.
Complaint check_fragment(const Program& program, const Instruction& instruction);

}  // namespace leat::ir
