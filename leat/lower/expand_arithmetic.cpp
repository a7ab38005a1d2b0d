// expand_arithmetic: what a target does less exactly than the wave program says, out of what it
// does exactly. Before it, a program may use every instruction but functions; after it, a target
// without divides_exactly gets quotients and square roots that are mended by fused multiply-adds,
// one without has_signed_remainder no rem_i, one without converts_by_saturation no int_from_float
// whose operand does not fit. Quotients and roots of f64 are the device's own.
//
// SPIR-V lets a division be 2.5 units in the last place off, and anything where the divisor is
// above 2^126, whose reciprocal is no normal number; NVIDIA's drivers use both. One step with a
// fused multiply-add rounds the quotient; as the reciprocal is not exact either, one in some ten
// million ends a hair more than half a unit off. Divisor and dividend are scaled together, so that
// neither the reciprocal nor what the quotient leaves is below the normal numbers, nor the
// reciprocal of a number below them, where they are kept, infinite. A scale that makes the dividend
// infinite does so where the quotient is.
// Source: Vulkan 1.3 specification, "Precision and Operation of SPIR-V Instructions".
#include <algorithm>
#include <vector>

#include "leat/base/check.h"
#include "leat/ir/rewrite.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

constexpr float kTiny = 0x1p-96f;
constexpr float kHuge = 0x1p96f;

ValueId number_like(Builder& b, ValueId like, float value) {
  const bool is_double = b.type(like).scalar == ir::Scalar::f64;
  return is_double ? b.f64(static_cast<double>(value)) : b.f32(value);
}

/// `value` as often as `like` has components: where a select needs its operands as wide as its
/// condition.
ValueId constant_like(Builder& b, ValueId like, float value) {
  return b.vector(std::vector<ValueId>(b.type(like).width, number_like(b, like, value)));
}

ValueId less(Builder& b, ValueId a, ValueId c) { return b.binary(Opcode::lt_f, a, c); }

/// `quotient` and `factor` times what it leaves of `dividend`, rounded once; `quotient` where that
/// is no smaller number than the dividend: at zeros, infinities and NaNs.
ValueId corrected(Builder& b, ValueId quotient, ValueId divisor, ValueId dividend, ValueId factor) {
  const ValueId rest = b.fma(b.unary(Opcode::neg, divisor), quotient, dividend);
  const ValueId better = b.fma(rest, factor, quotient);
  const ValueId size = b.unary(Opcode::abs, dividend);
  const ValueId is_small = less(b, b.unary(Opcode::abs, rest), size);
  return b.select(is_small, better, quotient);
}

ValueId as_wide_as(Builder& b, ValueId value, ValueId other) {
  const bool is_wide = b.type(value).width >= b.type(other).width;
  return is_wide ? value : b.vector(std::vector<ValueId>(b.type(other).width, value));
}

ValueId quotient(Builder& b, ValueId a, ValueId c) {
  const ValueId dividend = as_wide_as(b, a, c);
  const ValueId divisor = as_wide_as(b, c, a);
  const ValueId one = constant_like(b, divisor, 1.0f);
  const ValueId size = b.unary(Opcode::abs, divisor);
  const ValueId smaller = b.binary(Opcode::min_f, b.unary(Opcode::abs, dividend), size);
  const ValueId enlarging = constant_like(b, divisor, 0x1p32f);
  const ValueId up = b.select(less(b, smaller, b.f32(kTiny)), enlarging, one);
  const ValueId reducing = constant_like(b, divisor, 0x1p-32f);
  const ValueId scale = b.select(less(b, b.f32(kHuge), size), reducing, up);
  const ValueId x = b.mul(dividend, scale);
  const ValueId y = b.mul(divisor, scale);
  const ValueId rough = b.binary(Opcode::div_f, x, y);
  return corrected(b, rough, y, x, b.binary(Opcode::div_f, one, y));
}

/// The quotient of a number and its root. What the root leaves of a number below 2^-96 could be
/// below the normal numbers, so such a number is scaled by 2^32.
ValueId root(Builder& b, ValueId a) {
  const ValueId one = constant_like(b, a, 1.0f);
  const ValueId is_tiny = less(b, a, b.f32(kTiny));
  const ValueId x = b.mul(a, b.select(is_tiny, constant_like(b, a, 0x1p32f), one));
  const ValueId rough = b.unary(Opcode::sqrt, x);
  const ValueId factor = b.binary(Opcode::div_f, constant_like(b, a, 0.5f), rough);
  const ValueId better = corrected(b, rough, rough, x, factor);
  return b.mul(better, b.select(is_tiny, constant_like(b, a, 0x1p-16f), one));
}

/// A device's remainder of negative operands is undefined in Vulkan's and OpenGL's environments (an
/// H200 takes them for unsigned ones), its quotient is not.
ValueId remainder(Builder& b, ValueId a, ValueId c) {
  return b.sub(a, b.mul(b.binary(Opcode::div_i, a, c), c));
}

/// Where a device's conversion is undefined the result is chosen by comparisons, all of which a NaN
/// fails.
ValueId saturated(Builder& b, ValueId a, ir::Scalar to) {
  const bool is_wide = to == ir::Scalar::i64;
  const auto whole = [&](int64_t value) {
    const ValueId constant = is_wide ? b.i64(value) : b.i32(value);
    return b.vector(std::vector<ValueId>(b.type(a).width, constant));
  };
  const ValueId limit = number_like(b, a, is_wide ? 0x1p63f : 0x1p31f);
  const ValueId fits = less(b, b.unary(Opcode::abs, a), limit);
  const ValueId above = b.binary(Opcode::le_f, limit, a);
  const ValueId below = b.binary(Opcode::le_f, a, number_like(b, a, is_wide ? -0x1p63f : -0x1p31f));
  const ValueId safe = b.select(fits, a, constant_like(b, a, 0.0f));
  const ValueId converted = b.convert(Opcode::int_from_float, safe, to);
  const ValueId bounded = b.select(below, whole(is_wide ? INT64_MIN : INT32_MIN), converted);
  return b.select(above, whole(is_wide ? INT64_MAX : INT32_MAX), bounded);
}

bool is_inexact(Opcode op, const TargetFacts& facts) {
  if (op == Opcode::div_f || op == Opcode::sqrt) return !facts.divides_exactly;
  if (op == Opcode::rem_i) return !facts.has_signed_remainder;
  return op == Opcode::int_from_float && !facts.converts_by_saturation;
}

bool is_f64(const ir::Program& program, const ir::Instruction& instruction) {
  return program.values[instruction.first_result].scalar == ir::Scalar::f64;
}

ValueId expanded(Builder& b, Opcode op, ir::Scalar to, std::span<const ValueId> operands) {
  if (op == Opcode::div_f) return quotient(b, operands[0], operands[1]);
  if (op == Opcode::sqrt) return root(b, operands[0]);
  if (op == Opcode::rem_i) return remainder(b, operands[0], operands[1]);
  CHECK(op == Opcode::int_from_float);
  return saturated(b, operands[0], to);
}

}  // namespace

PassResult expand_arithmetic(const ir::Program& program, const Target& target) {
  const TargetFacts facts = facts_of(target);
  const auto expands = [&](const ir::Instruction& instruction) {
    return is_inexact(instruction.op, facts) && !is_f64(program, instruction);
  };
  if (std::ranges::none_of(program.instructions, expands)) return std::optional<ir::Program>();
  return std::optional(
      ir::rewrite(program,
                  [&](Builder& b, const ir::Instruction& instruction,
                      std::span<const ValueId> operands) -> std::optional<ValueId> {
                    if (!expands(instruction)) return std::nullopt;
                    const ir::Scalar to = program.values[instruction.first_result].scalar;
                    return expanded(b, instruction.op, to, operands);
                  }));
}

}  // namespace leat
