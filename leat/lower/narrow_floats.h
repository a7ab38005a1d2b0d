// Floats of 16 bits and less as integer arithmetic of the wave program, for targets that cannot
// load and store them: the same bits everywhere.
#pragma once

#include "leat/base/small_floats.h"
#include "leat/ir/builder.h"

namespace leat {

/// The f32 whose code is the i32 `code`, of which only the layout's low bits count.
ir::ValueId float_from_code(ir::Builder& builder, const FloatLayout& layout, ir::ValueId code);
/// The code of the nearest number to an f32; ties to even, what is too large as code_of says.
ir::ValueId code_from_float(ir::Builder& builder, const FloatLayout& layout, ir::ValueId value);

}  // namespace leat
