// The list of passes; see passes.h.
#include "leat/lower/passes.h"

#include <string>

#include "leat/ir/verify.h"

namespace leat {

namespace {

constexpr Pass kPasses[] = {
    // First: a function is one instruction to what comes before, arithmetic to what comes after.
    {"expand_math", expand_math},
    // Before the passes that look at constants, as each copy of a body has its own.
    {"unroll", unroll},
    // Behind expand_math, which divides and converts; behind unroll, which folds remainders of
    // counters that the sequences would hide.
    {"expand_arithmetic", expand_arithmetic},
    // Last: it adds barriers, which nothing moves across.
    {"expand_reductions", expand_reductions},
};

}  // namespace

std::span<const Pass> passes() { return kPasses; }

Result<void> run_passes(ir::Program& program, const Target& target, const AfterPass& after) {
  for (const Pass& pass : kPasses) {
    if (PassResult changed = pass.run(program, target)) {
      program = std::move(*changed);
      if (const Result<void> verified = ir::verify(program); !verified) {
        return verified.error().during("running pass " + std::string(pass.name));
      }
    }
    if (after) after(pass.name, program);
  }
  return {};
}

}  // namespace leat
