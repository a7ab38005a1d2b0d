// The table from scalar operations to IR opcodes, and the walk over an expression.
#include "leat/lower/expr_lowering.h"

#include <algorithm>
#include <limits>

#include "leat/lower/address.h"
#include "leat/lower/lower.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

std::vector<TensorId> arguments_of(const Node& node, std::span<const TensorId> scratch) {
  std::vector<TensorId> arguments;
  for (TensorId input : node.inputs) {
    if (std::ranges::find(arguments, input) == arguments.end()) arguments.push_back(input);
  }
  for (const NodeResult& result : node.results) arguments.push_back(result.output);
  arguments.insert(arguments.end(), scratch.begin(), scratch.end());
  return arguments;
}

KernelSlots declare_parameters(ir::Builder& builder, const Schedule& schedule, const Node& node,
                               std::span<const TensorId> scratch) {
  KernelSlots slots;
  const std::vector<TensorId> arguments = arguments_of(node, scratch);
  const size_t inputs = arguments.size() - node.results.size() - scratch.size();
  const auto declare = [&](TensorId id, std::string name, bool written) {
    const Placement& placement = schedule.placements[id];
    return builder.parameter(std::move(name), placement.storage, written, placement.element_count);
  };
  for (size_t i = 0; i < inputs; ++i) declare(arguments[i], "in" + std::to_string(i), false);
  for (TensorId input : node.inputs) {
    const auto found = std::ranges::find(arguments, input);
    slots.input_slots.push_back(static_cast<uint32_t>(found - arguments.begin()));
  }
  for (size_t i = 0; i < node.results.size(); ++i) {
    const std::string name = "out" + (i == 0 ? "" : std::to_string(i));
    slots.result_slots.push_back(declare(node.results[i].output, name, true));
  }
  for (size_t i = 0; i < scratch.size(); ++i) {
    slots.scratch_slots.push_back(declare(scratch[i], "scratch" + std::to_string(i), true));
  }
  return slots;
}

ValueId ExprLowering::value(ExprId id, const ElementContext& context) {
  memo_.assign(node_.exprs.size(), ir::kNone);
  if (context.known != kNoExpr) memo_[context.known] = context.known_value;
  return visit(id, context);
}

ValueId ExprLowering::stored_value(ExprId id, const ElementContext& context) {
  const ValueId result = value(id, context);
  if (builder_.type(result).scalar != ir::Scalar::b1) return result;
  return builder_.convert(Opcode::int_from_bool, result);
}

namespace {

/// Whole numbers of the model are 64-bit, the device's 32-bit.
ValueId saturated(ir::Builder& builder, double number) {
  constexpr double kLow = std::numeric_limits<int32_t>::min();
  constexpr double kHigh = std::numeric_limits<int32_t>::max();
  return builder.i32(static_cast<int64_t>(std::clamp(number, kLow, kHigh)));
}

}  // namespace

ValueId ExprLowering::visit(ExprId id, const ElementContext& context) {
  if (memo_[id] != ir::kNone) return memo_[id];
  const ExprNode& node = node_.exprs.node(id);
  ValueId result = ir::kNone;
  switch (node.kind) {
    case ExprKind::constant:
      if (node.type == ScalarType::f32) {
        result = builder_.f32(static_cast<float>(node.number));
      } else if (node.type == ScalarType::i32) {
        result = saturated(builder_, node.number);
      } else {
        result = builder_.b1(node.number != 0);
      }
      break;
    case ExprKind::axis: result = context.axes[node.index]; break;
    case ExprKind::accumulator:
      CHECK(context.accumulator != ir::kNone);
      result = context.accumulator;
      break;
    case ExprKind::load: result = load(id, node, context); break;
    case ExprKind::apply: result = apply(node, context); break;
  }
  return memo_[id] = result;
}

ValueId ExprLowering::address_of_load(ExprId id, const ExprNode& node,
                                      const ElementContext& context) {
  LinearForm address;
  if (merged_ != nullptr) {
    const Affine& affine = merged_->loads.at(id);
    address.constant = affine.constant;
    for (size_t i = 0; i < affine.coefficients.size(); ++i) {
      if (affine.coefficients[i] != 0) address.add(affine.coefficients[i], context.axes[i]);
    }
    return build(builder_, address);
  }
  const Placement& placement = schedule_.placements[node_.inputs[node.index]];
  CHECK(node.indices.size() == placement.strides.size());
  for (size_t d = 0; d < node.indices.size(); ++d) {
    address.add(placement.strides[d], visit(node.indices[d], context));
  }
  return build(builder_, address);
}

ValueId ExprLowering::load(ExprId id, const ExprNode& node, const ElementContext& context) {
  ValueId mask = context.mask;
  ValueId inside = ir::kNone;
  if (node.mask != kNoExpr && node.mask != context.holds) {
    inside = visit(node.mask, context);
    mask = mask == ir::kNone ? inside : builder_.logical_and(mask, inside);
  }
  ValueId result =
      builder_.load(slots_.input_slots[node.index], address_of_load(id, node, context), 1, mask);
  if (node.type == ScalarType::b1) {
    result = builder_.not_b(builder_.binary(Opcode::eq_i, result, builder_.i32(0)));
  }
  if (inside != ir::kNone && node.number != 0) {
    const ValueId fill = node.type == ScalarType::f32
                             ? builder_.f32(static_cast<float>(node.number))
                         : node.type == ScalarType::i32 ? saturated(builder_, node.number)
                                                        : builder_.b1(true);
    result = builder_.select(inside, result, fill);
  }
  return result;
}

namespace {

/// Opcode for an operation on f32 operands; `constant` when f32 has none.
Opcode float_opcode(ScalarOp op) {
  switch (op) {
    case ScalarOp::neg: return Opcode::neg;
    case ScalarOp::abs: return Opcode::abs;
    case ScalarOp::sqrt: return Opcode::sqrt;
    case ScalarOp::floor: return Opcode::floor;
    case ScalarOp::ceil: return Opcode::ceil;
    case ScalarOp::round_even: return Opcode::round_even;
    case ScalarOp::exp: return Opcode::exp;
    case ScalarOp::expm1: return Opcode::expm1;
    case ScalarOp::log: return Opcode::log;
    case ScalarOp::log1p: return Opcode::log1p;
    case ScalarOp::sin: return Opcode::sin;
    case ScalarOp::cos: return Opcode::cos;
    case ScalarOp::tan: return Opcode::tan;
    case ScalarOp::asin: return Opcode::asin;
    case ScalarOp::acos: return Opcode::acos;
    case ScalarOp::atan: return Opcode::atan;
    case ScalarOp::sinh: return Opcode::sinh;
    case ScalarOp::cosh: return Opcode::cosh;
    case ScalarOp::tanh: return Opcode::tanh;
    case ScalarOp::asinh: return Opcode::asinh;
    case ScalarOp::acosh: return Opcode::acosh;
    case ScalarOp::atanh: return Opcode::atanh;
    case ScalarOp::erf: return Opcode::erf;
    case ScalarOp::add: return Opcode::add_f;
    case ScalarOp::sub: return Opcode::sub_f;
    case ScalarOp::mul: return Opcode::mul_f;
    case ScalarOp::div: return Opcode::div_f;
    case ScalarOp::min: return Opcode::min_f;
    case ScalarOp::max: return Opcode::max_f;
    case ScalarOp::pow: return Opcode::pow;
    case ScalarOp::less: return Opcode::lt_f;
    case ScalarOp::less_equal: return Opcode::le_f;
    case ScalarOp::equal: return Opcode::eq_f;
    case ScalarOp::rem:
    case ScalarOp::bit_and:
    case ScalarOp::bit_or:
    case ScalarOp::bit_xor:
    case ScalarOp::shift_left:
    case ScalarOp::shift_right:
    case ScalarOp::logical_and:
    case ScalarOp::logical_or:
    case ScalarOp::logical_xor:
    case ScalarOp::logical_not:
    case ScalarOp::select:
    case ScalarOp::to_float:
    case ScalarOp::to_int: break;
  }
  return Opcode::constant;
}

/// Opcode for a two-operand operation on i32; `constant` when i32 has none.
Opcode int_opcode(ScalarOp op) {
  if (op == ScalarOp::add) return Opcode::add_i;
  if (op == ScalarOp::sub) return Opcode::sub_i;
  if (op == ScalarOp::mul) return Opcode::mul_i;
  if (op == ScalarOp::div) return Opcode::div_i;
  if (op == ScalarOp::rem) return Opcode::rem_i;
  if (op == ScalarOp::min) return Opcode::min_i;
  if (op == ScalarOp::max) return Opcode::max_i;
  if (op == ScalarOp::bit_and) return Opcode::and_i;
  if (op == ScalarOp::bit_or) return Opcode::or_i;
  if (op == ScalarOp::bit_xor) return Opcode::xor_i;
  if (op == ScalarOp::shift_left) return Opcode::shl_i;
  if (op == ScalarOp::shift_right) return Opcode::shr_u;
  if (op == ScalarOp::less) return Opcode::lt_i;
  if (op == ScalarOp::less_equal) return Opcode::le_i;
  if (op == ScalarOp::equal) return Opcode::eq_i;
  return Opcode::constant;
}

Opcode bool_opcode(ScalarOp op) {
  if (op == ScalarOp::logical_and) return Opcode::and_b;
  if (op == ScalarOp::logical_or) return Opcode::or_b;
  return Opcode::xor_b;
}

ValueId apply_bool(ir::Builder& builder, ScalarOp op, ValueId a, ValueId b) {
  if (op == ScalarOp::logical_not) return builder.not_b(a);
  if (op == ScalarOp::to_int) return builder.convert(Opcode::int_from_bool, a);
  if (op == ScalarOp::to_float) {
    return builder.convert(Opcode::float_from_int, builder.convert(Opcode::int_from_bool, a));
  }
  if (op == ScalarOp::equal) return builder.not_b(builder.binary(Opcode::xor_b, a, b));
  return builder.binary(bool_opcode(op), a, b);
}

ValueId apply_int(ir::Builder& builder, ScalarOp op, ValueId a, ValueId b) {
  if (op == ScalarOp::to_int) return a;
  if (op == ScalarOp::to_float) return builder.convert(Opcode::float_from_int, a);
  if (op == ScalarOp::neg) return builder.sub(builder.i32(0), a);
  if (op == ScalarOp::abs) {
    return builder.binary(Opcode::max_i, a, builder.sub(builder.i32(0), a));
  }
  return builder.binary(int_opcode(op), a, b);
}

}  // namespace

ValueId ExprLowering::apply(const ExprNode& node, const ElementContext& context) {
  const ValueId a = visit(node.arguments[0], context);
  const ValueId b = node.arguments[1] == kNoExpr ? ir::kNone : visit(node.arguments[1], context);
  if (node.op == ScalarOp::select) {
    return builder_.select(a, b, visit(node.arguments[2], context));
  }
  switch (builder_.type(a).scalar) {
    case ir::Scalar::b1: return apply_bool(builder_, node.op, a, b);
    case ir::Scalar::i32: return apply_int(builder_, node.op, a, b);
    case ir::Scalar::f32: break;
    case ir::Scalar::i64:
    case ir::Scalar::f64: CHECK(false);  // element expressions have none
  }
  if (node.op == ScalarOp::to_float) return a;
  if (node.op == ScalarOp::to_int) return builder_.convert(Opcode::int_from_float, a);
  return b == ir::kNone ? builder_.unary(float_opcode(node.op), a)
                        : builder_.binary(float_opcode(node.op), a, b);
}

}  // namespace leat
