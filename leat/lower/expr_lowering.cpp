// The table from scalar operations to IR opcodes, and the walk over an expression.
#include "leat/lower/expr_lowering.h"

#include <algorithm>
#include <bit>

#include "leat/lower/address.h"
#include "leat/lower/conversions.h"
#include "leat/lower/lower.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

KernelSlots declare_parameters(KernelBuilder& builder, const StepSource& source) {
  KernelSlots slots;
  const Node& node = source.node;
  const std::vector<TensorId>& scratch = source.step.scratch;
  const std::vector<TensorId> arguments = arguments_of(node, scratch);
  const size_t inputs = arguments.size() - node.results.size() - scratch.size();
  const auto declare = [&](TensorId id, std::string name, bool written, bool is_open) {
    const Placement& placement = source.schedule.placements[id];
    return builder.parameter(std::move(name), placement.storage, written,
                             is_open ? kElementsMax : placement.element_count);
  };
  for (size_t i = 0; i < inputs; ++i) {
    const auto first = std::ranges::find(node.inputs, arguments[i]) - node.inputs.begin();
    const Number& count = source.numbers.inputs[static_cast<size_t>(first)].element_count;
    declare(arguments[i], "in" + std::to_string(i), false, count.is_open());
  }
  for (TensorId input : node.inputs) {
    const auto found = std::ranges::find(arguments, input);
    slots.input_slots.push_back(static_cast<uint32_t>(found - arguments.begin()));
    slots.words_of.push_back(source.schedule.placements[input].words_of);
    slots.input_storage.push_back(source.schedule.placements[input].storage);
  }
  for (size_t i = 0; i < node.results.size(); ++i) {
    const std::string name = "out" + (i == 0 ? "" : std::to_string(i));
    const bool is_open = source.numbers.outputs[i].element_count.is_open();
    slots.result_slots.push_back(declare(node.results[i].output, name, true, is_open));
    slots.result_storage.push_back(source.schedule.placements[node.results[i].output].storage);
  }
  for (size_t i = 0; i < scratch.size(); ++i) {
    slots.scratch_slots.push_back(declare(scratch[i], "scratch" + std::to_string(i), true, false));
  }
  if (source.formulas != nullptr) builder.open(*source.formulas);
  return slots;
}

ValueId ExprLowering::value(ExprId id, const ElementContext& context) {
  memo_.assign(node_.exprs.size(), ir::kNone);
  if (context.stretch != nullptr && context.stretch->place == 0) {
    vectors_.assign(node_.exprs.size(), ir::kNone);
  }
  if (context.known != kNoExpr) memo_[context.known] = context.known_value;
  return visit(id, context);
}

ValueId ExprLowering::stored_value(ExprId id, DType storage, const ElementContext& context) {
  const ValueId result = value(id, context);
  switch (builder_.type(result).scalar) {
    case ir::Scalar::b1: return builder_.convert(Opcode::int_from_bool, result);
    case ir::Scalar::i64:
      return storage == DType::u32 ? builder_.convert(Opcode::narrow_i, result) : result;
    case ir::Scalar::i32:
    case ir::Scalar::f32:
    case ir::Scalar::f64: return result;
  }
  return result;
}

namespace {

/// What a masked load has outside.
ValueId fill_value(ir::Builder& builder, const ExprNode& node) {
  if (is_float(node.type)) return constant_of(builder, node.type, node.number);
  if (node.type == ScalarType::b1) return builder.b1(node.integer != 0);
  return node.type == ScalarType::i32 ? builder.i32(node.integer) : builder.i64(node.integer);
}

}  // namespace

ValueId ExprLowering::constant(ExprId id) {
  const Number& number = numbers_.constants[id];
  const ExprNode& node = node_.exprs.node(id);
  switch (node.type) {
    case ScalarType::f32:
      if (number.is_open()) return builder_.convert(Opcode::float_from_bits, builder_.i32(number));
      return builder_.f32(std::bit_cast<float>(static_cast<int32_t>(number.fixed())));
    case ScalarType::i32: return builder_.i32(number);
    case ScalarType::b1: return builder_.b1(number.fixed() != 0);
    case ScalarType::i64:
    case ScalarType::u64: return builder_.i64(node.integer);
    case ScalarType::f64: return builder_.f64(node.number);
  }
  return ir::kNone;
}

ValueId ExprLowering::visit(ExprId id, const ElementContext& context) {
  if (memo_[id] != ir::kNone) return memo_[id];
  const ExprNode& node = node_.exprs.node(id);
  ValueId result = ir::kNone;
  switch (node.kind) {
    case ExprKind::constant: result = constant(id); break;
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
    return build(builder_, LinearForm::of(merged_->loads.at(id), context.axes));
  }
  const Numbers& strides = numbers_.inputs[node.index].strides;
  CHECK(node.indices.size() == strides.size());
  for (size_t d = 0; d < node.indices.size(); ++d) {
    address.add(strides[d], visit(node.indices[d], context));
  }
  return build(builder_, address);
}

namespace {

/// The element at `address` of those that lie in words.
ValueId element_of_word(ir::Builder& builder, DType dtype, uint32_t slot, ValueId address,
                        ValueId mask) {
  const int bits = bits_of(dtype);
  const int per_word_log2 = std::countr_zero(32u / static_cast<uint32_t>(bits));
  const ValueId word = builder.load(
      slot, builder.binary(Opcode::shr_u, address, builder.i32(per_word_log2)), 1, mask);
  const ValueId place =
      builder.binary(Opcode::and_i, address, builder.i32((1 << per_word_log2) - 1));
  const bool has_sign = dtype == DType::i4 || dtype == DType::i2;
  // Its bits go to the top of the word, and from there down.
  const ValueId below = builder.mul(place, builder.i32(bits));
  const ValueId unused = builder.i32(32 - bits);
  const ValueId top = builder.binary(Opcode::shl_i, word, builder.sub(unused, below));
  return builder.binary(has_sign ? Opcode::shr_s : Opcode::shr_u, top, unused);
}

}  // namespace

/// Whether the elements of a stretch lie side by side, the first where a vector may begin.
bool ExprLowering::comes_in_stretches(ExprId id, const ExprNode& node,
                                      const ElementContext& context) const {
  constexpr int kBytesMax = 4;
  if (context.stretch == nullptr || merged_ == nullptr || node.mask != kNoExpr) return false;
  if (bits_of(slots_.words_of[node.index]) < 8) return false;
  if (size_bytes_of(slots_.input_storage[node.index]) > kBytesMax) return false;
  const NumberForm& form = merged_->loads.at(id);
  const int64_t width = context.stretch->width;
  const auto divides = [&](const Number& number) {
    return !number.is_open() && number % width == 0;
  };
  if (!divides(form.constant)) return false;
  for (size_t axis = 0; axis < form.coefficients.size(); ++axis) {
    const Number& coefficient = form.coefficients[axis];
    if (axis != context.stretch->axis) {
      if (!divides(coefficient)) return false;
    } else if (coefficient.is_open() || !(coefficient == 1)) {
      return false;
    }
  }
  return true;
}

ValueId ExprLowering::load_of_stretch(ExprId id, const ExprNode& node,
                                      const ElementContext& context) {
  const Stretch& stretch = *context.stretch;
  if (vectors_[id] == ir::kNone) {
    NumberForm others = merged_->loads.at(id);
    others.coefficients[stretch.axis] = 0;
    const ValueId start = build(builder_, LinearForm::of(others, context.axes), stretch.width);
    vectors_[id] = builder_.load(slots_.input_slots[node.index],
                                 builder_.add(start, stretch.number), stretch.width, context.mask);
  }
  return builder_.extract(vectors_[id], stretch.place);
}

ValueId ExprLowering::load(ExprId id, const ExprNode& node, const ElementContext& context) {
  ValueId mask = context.mask;
  ValueId inside = ir::kNone;
  if (node.mask != kNoExpr && node.mask != context.holds) {
    inside = visit(node.mask, context);
    mask = mask == ir::kNone ? inside : builder_.logical_and(mask, inside);
  }
  const uint32_t slot = slots_.input_slots[node.index];
  const DType words_of = slots_.words_of[node.index];
  ValueId result = ir::kNone;
  if (comes_in_stretches(id, node, context)) {
    result = load_of_stretch(id, node, context);
  } else {
    const ValueId address = address_of_load(id, node, context);
    result = bits_of(words_of) < 8 ? element_of_word(builder_, words_of, slot, address, mask)
                                   : builder_.load(slot, address, 1, mask);
  }
  if (node.type == ScalarType::b1) {
    result = builder_.not_b(builder_.binary(Opcode::eq_i, result, builder_.i32(0)));
  } else if (slots_.input_storage[node.index] == DType::u32) {
    result = builder_.convert(Opcode::widen_u, result);
  }
  if (inside != ir::kNone && node.number != 0) {
    result = builder_.select(inside, result, fill_value(builder_, node));
  }
  return result;
}

namespace {

/// Opcode for an operation on floats; `constant` when they have none.
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
    case ScalarOp::pow: return Opcode::pow;
    case ScalarOp::fmod: return Opcode::fmod;
    case ScalarOp::less: return Opcode::lt_f;
    case ScalarOp::less_equal: return Opcode::le_f;
    case ScalarOp::equal: return Opcode::eq_f;
    case ScalarOp::min:
    case ScalarOp::max:
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
    case ScalarOp::to_f32:
    case ScalarOp::to_i32:
    case ScalarOp::to_i64:
    case ScalarOp::to_u64:
    case ScalarOp::to_f64:
    case ScalarOp::float_from_code:
    case ScalarOp::code_from_float: break;
  }
  return Opcode::constant;
}

/// Opcode for a two-operand operation on whole numbers with sign; `constant` when they have none.
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
  if (op == ScalarOp::equal) return builder.not_b(builder.binary(Opcode::xor_b, a, b));
  return builder.binary(bool_opcode(op), a, b);
}

ValueId apply_int(ir::Builder& builder, ScalarOp op, ValueId a, ValueId b) {
  if (op == ScalarOp::neg) return builder.sub(constant_like(builder, a, 0), a);
  if (op == ScalarOp::abs) {
    return builder.binary(Opcode::max_i, a, builder.sub(constant_like(builder, a, 0), a));
  }
  return builder.binary(int_opcode(op), a, b);
}

ValueId apply_float(ir::Builder& builder, ScalarOp op, ValueId a, ValueId b) {
  if (op == ScalarOp::min || op == ScalarOp::max) return apply_extreme(builder, op, a, b);
  const Opcode opcode = float_opcode(op);
  if (is_function(op)) return apply_function(builder, opcode, a, b);
  return b == ir::kNone ? builder.unary(opcode, a) : builder.binary(opcode, a, b);
}

}  // namespace

ValueId ExprLowering::apply(const ExprNode& node, const ElementContext& context) {
  const ValueId a = visit(node.arguments[0], context);
  const ValueId b = node.arguments[1] == kNoExpr ? ir::kNone : visit(node.arguments[1], context);
  const ScalarType type = node_.exprs.type(node.arguments[0]);
  if (node.op == ScalarOp::select) return builder_.select(a, b, visit(node.arguments[2], context));
  const auto small_float = [&] {
    return static_cast<DType>(numbers_.constants[node.arguments[1]].fixed());
  };
  if (node.op == ScalarOp::float_from_code) return small_float_value(builder_, small_float(), a);
  if (node.op == ScalarOp::code_from_float) return small_float_code(builder_, small_float(), a);
  if (const auto to = conversion_of(node.op)) return converted(builder_, a, type, *to);
  switch (type) {
    case ScalarType::b1: return apply_bool(builder_, node.op, a, b);
    case ScalarType::i32:
    case ScalarType::i64: return apply_int(builder_, node.op, a, b);
    case ScalarType::u64: return apply_unsigned(builder_, node.op, a, b);
    case ScalarType::f32:
    case ScalarType::f64: break;
  }
  return apply_float(builder_, node.op, a, b);
}

}  // namespace leat
