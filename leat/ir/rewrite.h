// Rewriting: a program is walked and built again through a Builder, with a replacement for the
// instructions that a pass picks. Most passes are one call of this. What the new instructions make
// constant or equal is folded by the builder on the way, and what they make unused is dropped.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "leat/ir/builder.h"
#include "leat/ir/ir.h"

namespace leat::ir {

/// Asked for every instruction but loops, branches and yields. `operands` are the instruction's
/// operands in the new program. Returns the value that takes the place of the result, of the same
/// scalar type and width, or kNone for an instruction without results once its replacement is
/// emitted; nothing to keep the instruction. Slots are the same in both programs.
using Replacement = std::function<std::optional<ValueId>(
    Builder& builder, const Instruction& instruction, std::span<const ValueId> operands)>;

/// Where a loop stands: how often it runs, 0 where that is not known, and the rounds of all counted
/// loops around it.
struct LoopPlace {
  int64_t rounds = 0;
  int64_t rounds_around = 1;
};

/// How many copies of a loop's body, at least 1, stand for one in the new program.
using Copies = std::function<int64_t(const Instruction& loop, const LoopPlace& place)>;

/// `program` has passed the verifier. Name, lanes, waves, grid, parameters and local memories are
/// kept.
Program rewrite(const Program& program, const Replacement& replacement);
/// Unrolls loops as well; their factors are spent.
Program rewrite(const Program& program, const Replacement& replacement, const Copies& copies);

}  // namespace leat::ir
