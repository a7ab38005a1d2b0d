// The elementary functions as sequences of basic IR arithmetic, for f32 of any width; those with a
// loop, sin, cos, tan and fmod, of one number.
// Accuracy: 1 to 4 units in the last place over the whole range, measured in
// tests/ops/scalar_functions.cpp, with these exceptions: pow, whose error grows with |y log x| (5
// units at a result near 1, 120 near the largest); sin, cos and tan near their zeros, where up to
// |x| = 8192 it is within 1e-7 (pi/2 has three parts there); and the sign of a zero, which is lost
// in places.
#pragma once

#include "leat/ir/builder.h"

namespace leat {

/// By the bits: a GPU's compiler may take it that x == x (NVIDIA's for Vulkan does, at times).
ir::ValueId is_nan(ir::Builder& b, ir::ValueId x);
ir::ValueId math_exp(ir::Builder& b, ir::ValueId x);
ir::ValueId math_expm1(ir::Builder& b, ir::ValueId x);
ir::ValueId math_log(ir::Builder& b, ir::ValueId x);
ir::ValueId math_log1p(ir::Builder& b, ir::ValueId x);
ir::ValueId math_sin(ir::Builder& b, ir::ValueId x);
ir::ValueId math_cos(ir::Builder& b, ir::ValueId x);
ir::ValueId math_tan(ir::Builder& b, ir::ValueId x);
ir::ValueId math_asin(ir::Builder& b, ir::ValueId x);
ir::ValueId math_acos(ir::Builder& b, ir::ValueId x);
ir::ValueId math_atan(ir::Builder& b, ir::ValueId x);
ir::ValueId math_sinh(ir::Builder& b, ir::ValueId x);
ir::ValueId math_cosh(ir::Builder& b, ir::ValueId x);
ir::ValueId math_tanh(ir::Builder& b, ir::ValueId x);
ir::ValueId math_asinh(ir::Builder& b, ir::ValueId x);
ir::ValueId math_acosh(ir::Builder& b, ir::ValueId x);
ir::ValueId math_atanh(ir::Builder& b, ir::ValueId x);
ir::ValueId math_erf(ir::Builder& b, ir::ValueId x);
ir::ValueId math_pow(ir::Builder& b, ir::ValueId x, ir::ValueId y);
/// f64, too; exact, save results below the normal numbers on devices that have none.
ir::ValueId math_fmod(ir::Builder& b, ir::ValueId x, ir::ValueId y);

}  // namespace leat
