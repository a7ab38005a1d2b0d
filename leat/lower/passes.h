// Passes over wave programs, in the order in which lower() runs them. Each takes a verified program
// and gives one that computes the same.
#pragma once

#include "leat/base/result.h"
#include "leat/base/target_facts.h"
#include "leat/ir/ir.h"

namespace leat {

/// Replaces exp .. erf and pow by basic arithmetic, so that every target computes the same bits and
/// no emitter needs a math library. After it: no opcode from exp to erf, no pow.
ir::Program expand_math(const ir::Program& program);

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

/// Replaces dot products of bytes by integer arithmetic where the target has no instruction for
/// them. After it, without facts.has_dot: no dot_*.
ir::Program expand_dot(const ir::Program& program, const TargetFacts& facts);

/// Replaces storage that emitters for the target do not read, without facts.has_narrow_storage:
/// after it parameters hold no bf16, local memory nothing below 32 bits. Behind the passes that
/// write accesses. Kernels without such storage are left as they are.
ir::Program expand_storage(const ir::Program& program, const TargetFacts& facts);

/// All of these, in this order: what every program goes through that asks for more than arithmetic
/// and plain memory. Errors: as expand_fragments.
Result<ir::Program> legalise(const ir::Program& program, const Target& target);

}  // namespace leat
