// What each ScalarOp computes on the host: f32 as double, i32 as 64-bit whole numbers, b1 as 0 or
// 1. The evaluator and constant folding share it. Whole numbers wrap at 64 bits; division by zero
// gives 0; shifts by 64 or more give 0, so that no input can trap.
#pragma once

#include <array>
#include <cstdint>

#include "leat/tensor/expr.h"

namespace leat {

/// One scalar; which member counts is told by its ScalarType.
struct ScalarValue {
  double number = 0;    // f32
  int64_t integer = 0;  // i32, b1
};

/// Applies `op` to operands of type `type` (for select: of the second and third).
ScalarValue apply_scalar(ScalarOp op, ScalarType type, const std::array<ScalarValue, 3>& operands);

/// Truncates towards zero; NaN gives 0, what is too large the limits of int64_t.
int64_t truncate_to_integer(double value);

}  // namespace leat
