// Floats of 16 bits as integer arithmetic of the wave program, for targets that cannot load and
// store them: the same bits everywhere.
#pragma once

#include "leat/ir/builder.h"

namespace leat {

/// How a narrow float with infinities is laid out: sign, exponent, mantissa.
struct FloatLayout {
  int mantissa_bits = 0;
  int bias = 0;
  int32_t infinity = 0;  // its code; one less is the largest number
  int32_t nan = 0;
};

/// Of f16 and bf16.
FloatLayout layout_of(DType dtype);

/// The f32 whose code is the i32 `code`, of which only the low 16 bits count.
ir::ValueId float_from_code(ir::Builder& builder, const FloatLayout& layout, ir::ValueId code);
/// The code, 0 to 65535, of the nearest number to an f32; ties to even, too large to infinity.
ir::ValueId code_from_float(ir::Builder& builder, const FloatLayout& layout, ir::ValueId value);

}  // namespace leat
