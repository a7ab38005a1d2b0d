// What a target lacks of a program's instructions: the one place that compares them with the
// facts of a Target. Every emitter asks before it writes.
#pragma once

#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/ir/ir.h"

namespace leat {

/// Errors: unsupported; the sentence names the kernel, the instruction and the target.
Result<void> check_supported(const ir::Program& program, const Target& target);

}  // namespace leat
