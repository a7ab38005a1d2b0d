// The verifier's rules for asynchronous copies and fragments; see verify_rules.h.
#pragma once

#include "leat/ir/verify_rules.h"

namespace leat::ir {

/// Of prefetch.
Complaint check_prefetch(const Program& program, const Instruction& instruction);
/// Of copy_async and copy_wait.
Complaint check_copy(const Program& program, const Instruction& instruction);
/// Of fragment_fill .. fragment_column.
Complaint check_fragment(const Program& program, const Instruction& instruction);

}  // namespace leat::ir
