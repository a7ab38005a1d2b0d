// Passes over wave programs, in the order in which lower() runs them. Each takes a verified program
// and gives one that computes the same, or nullopt where it finds nothing to do. Each is one file
// of its name, whose head says what holds before it and what after it.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "leat/base/result.h"
#include "leat/base/target_facts.h"
#include "leat/ir/ir.h"

namespace leat {

/// Errors: unsupported, only of legalise.
using PassResult = Result<std::optional<ir::Program>>;
PassResult expand_math(const ir::Program& program, const Target& target);
PassResult legalise(const ir::Program& program, const Target& target);
PassResult unroll(const ir::Program& program, const Target& target);
PassResult exact_reciprocals(const ir::Program& program, const Target& target);
PassResult expand_arithmetic(const ir::Program& program, const Target& target);
PassResult expand_exchanges(const ir::Program& program, const Target& target);

struct Pass {
  std::string_view name;
  PassResult (*run)(const ir::Program& program, const Target& target);
};

/// All passes, in their order.
std::span<const Pass> passes();

/// Makes a verified program one that `target`'s emitter takes, if it can be made one. The verifier
/// looks at each pass's result, then `after` is told of it, when it is given. Errors: unsupported,
/// what legalise says; internal, a pass that broke a rule; the sentence names it.
using AfterPass = std::function<void(std::string_view pass, const ir::Program& program)>;
Result<void> run_passes(ir::Program& program, const Target& target,
                        const AfterPass& after = nullptr);

// The parts of legalise, in their order: what a program goes through that asks for more than
// arithmetic and plain memory.

/// Replaces fragments that the target has no matrix unit for by plain values: an operand a is
/// spread over uniform values, b and the sum have their columns in the lanes. A product is a chain
/// of fused multiply-adds in the order of k. Right everywhere and fast nowhere. After it: no
/// fragment_* and no mma, where facts.matrix_shapes lacks one of the program's products. Before the
/// passes on storage, as its accesses are of the fragments' elements. Errors: unsupported
/// (fragments of several waves).
Result<ir::Program> expand_fragments(const ir::Program& program, const TargetFacts& facts);

/// Replaces asynchronous copies by loads and stores where the target has none: what is copied is
/// there at once. After it, without facts.has_async_copy: no copy_*.
ir::Program expand_async_copy(const ir::Program& program, const TargetFacts& facts);

/// Replaces dot products of bytes by integer arithmetic, and of pairs of bf16 by multiply-adds,
/// where the target has no instruction for them. After it: no dot_* but those of ir::has_dot.
ir::Program expand_dot(const ir::Program& program, const TargetFacts& facts);

/// Replaces whole numbers of 64 bits by vectors of two words where the target has none: right and
/// slow, a quotient takes 64 rounds. After it, without facts.has_i64: no i64. Behind the passes
/// that write products of fragments. Kernels with vectors of such numbers are left as they are.
ir::Program expand_int64(const ir::Program& program, const TargetFacts& facts);

/// Replaces storage that emitters for the target do not read, without facts.has_narrow_storage:
/// after it parameters hold no bf16, local memory nothing below 32 bits. In programs that keep
/// fragments both may be of f16 and bf16, and stores there, save those of f16 to parameters, are of
/// numbers that the type has. Behind the passes that write accesses. Kernels without such storage
/// are left as they are.
ir::Program expand_storage(const ir::Program& program, const TargetFacts& facts);

}  // namespace leat
