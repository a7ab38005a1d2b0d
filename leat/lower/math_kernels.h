// The elementary functions as sequences of basic IR arithmetic, for f32 of any width.
// Accuracy: a few units in the last place over the whole range, except sin, cos and tan beyond |x|
// of about 1e5, where the argument reduction (three-part pi/2) runs out of bits.
#pragma once

#include "leat/ir/builder.h"

namespace leat {

ir::ValueId math_exp(ir::Builder& b, ir::ValueId x);
ir::ValueId math_log(ir::Builder& b, ir::ValueId x);
ir::ValueId math_sin(ir::Builder& b, ir::ValueId x);
ir::ValueId math_cos(ir::Builder& b, ir::ValueId x);
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

}  // namespace leat
