// Between the types of expressions, and what the instructions of wave programs lack for them: whole
// numbers of 64 bits without sign, and the codes of small floats.
#pragma once

#include <optional>

#include "leat/ir/builder.h"
#include "leat/tensor/expr.h"

namespace leat {

/// What to_f32 and its like convert to.
std::optional<ScalarType> conversion_of(ScalarOp op);
ir::ValueId converted(ir::Builder& builder, ir::ValueId value, ScalarType from, ScalarType to);
/// An operation of ScalarType::u64, whose value is an i64.
ir::ValueId apply_unsigned(ir::Builder& builder, ScalarOp op, ir::ValueId a, ir::ValueId b);
/// The minimum or maximum of floats, NaN where an operand is; of equal ones `a`. What min_f and its
/// like leave open is said by comparisons, which on x86-64 cost nothing beside a constant.
ir::ValueId apply_extreme(ir::Builder& builder, ScalarOp op, ir::ValueId a, ir::ValueId b);
/// The same over the lanes of a wave.
ir::ValueId reduce_extreme(ir::Builder& builder, ScalarOp op, ir::ValueId value);
/// A function of floats, of f64 as f32 has it; `b` may be kNone.
ir::ValueId apply_function(ir::Builder& builder, ir::Opcode op, ir::ValueId a,
                           ir::ValueId b = ir::kNone);
/// The f32 that a code of a small float stands for, and the code of an f32, as code_of says.
ir::ValueId small_float_value(ir::Builder& builder, DType dtype, ir::ValueId code);
ir::ValueId small_float_code(ir::Builder& builder, DType dtype, ir::ValueId value);
/// The number in an expression's type, of whole numbers the nearest.
ir::ValueId constant_of(ir::Builder& builder, ScalarType type, double number);
/// A constant of the value's scalar type.
ir::ValueId constant_like(ir::Builder& builder, ir::ValueId value, int64_t number);

}  // namespace leat
