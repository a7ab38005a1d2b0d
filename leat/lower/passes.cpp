// The list of passes; see passes.h.
#include "leat/lower/passes.h"

#include <string>

#include "leat/ir/verify.h"

namespace leat {

namespace {

constexpr Pass kPasses[] = {
    // First: a function is one instruction to what comes before, arithmetic to what comes after.
    {"expand_math", expand_math},
    // Before unroll: what it writes in the place of a product has constants of its own to fold, and
    // what unroll has to know is how many registers a loop carries then.
    {"legalise", legalise},
    // Before the passes that look at constants, as each copy of a body has its own.
    {"unroll", unroll},
    // Before expand_arithmetic, which makes a long sequence of a division that is not exact.
    {"exact_reciprocals", exact_reciprocals},
    // Behind expand_math, which divides and converts; behind unroll, which folds remainders of
    // counters that the sequences would hide.
    {"expand_arithmetic", expand_arithmetic},
    // Last: it adds barriers, which nothing moves across.
    {"expand_exchanges", expand_exchanges},
};

}  // namespace

std::span<const Pass> passes() { return kPasses; }

Result<void> run_passes(ir::Program& program, const Target& target, const AfterPass& after) {
  for (const Pass& pass : kPasses) {
    TRY_ASSIGN(std::optional<ir::Program> changed, pass.run(program, target));
    if (changed) {
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
