// What each ScalarOp computes on the host: f32 as double, whole numbers as 64 bits that are wrapped
// to the type, b1 as 0 or 1. The evaluator and constant folding share it. Division by zero gives 0;
// shifts by the width or more give 0, so that no input can trap.
#pragma once

#include <array>
#include <cstdint>

#include "leat/tensor/expr.h"

namespace leat {

/// One scalar; which member counts is told by its ScalarType.
struct ScalarValue {
  double number = 0;    // f32, f64
  int64_t integer = 0;  // i32, i64, b1; the bits of u64
};

/// Applies `op` to operands of type `type`, that of the first (for select: of the second and
/// third).
ScalarValue apply_scalar(ScalarOp op, ScalarType type, const std::array<ScalarValue, 3>& operands);

/// Truncates towards zero; NaN gives 0, what is too large the limits of int64_t.
int64_t truncate_to_integer(double value);
/// The same with the limits of a type of whole numbers; of u64 the bits.
int64_t truncate_to(ScalarType type, double value);

}  // namespace leat
