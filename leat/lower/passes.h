// Passes over wave programs, in the order in which lower() runs them. Each takes a verified program
// and gives one that computes the same, or nullopt where it finds nothing to do. Each is one file
// of its name, whose head says what holds before it and what after it.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/ir/ir.h"

namespace leat {

using PassResult = std::optional<ir::Program>;
PassResult expand_math(const ir::Program& program, const Target& target);
PassResult unroll(const ir::Program& program, const Target& target);
PassResult expand_arithmetic(const ir::Program& program, const Target& target);
PassResult expand_reductions(const ir::Program& program, const Target& target);

struct Pass {
  std::string_view name;
  PassResult (*run)(const ir::Program& program, const Target& target);
};

/// All passes, in their order.
std::span<const Pass> passes();

/// Makes a verified program one that `target`'s emitter takes. The verifier looks at each pass's
/// result, then `after` is told of it, when it is given. Errors: internal, a pass that broke a
/// rule; the sentence names it.
using AfterPass = std::function<void(std::string_view pass, const ir::Program& program)>;
Result<void> run_passes(ir::Program& program, const Target& target,
                        const AfterPass& after = nullptr);

}  // namespace leat
