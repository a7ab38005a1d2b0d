// The builder's arithmetic on floats and booleans, compares, selects and conversions. Floats are
// folded only where the result is the same bits on every device: x * 1 and x - 0, but not x + 0 (-0
// + 0 is +0) and no function that a device computes to a few units in the last place.
#include <algorithm>
#include <bit>
#include <cmath>

#include "leat/base/check.h"
#include "leat/ir/builder.h"
#include "leat/ir/scalar_ops.h"

namespace leat::ir {
namespace {

bool is_exact(Opcode op) {
  using enum Opcode;
  return op == neg || op == abs || op == sqrt || op == floor || op == ceil || op == round_even;
}

bool is_commutative(Opcode op) {
  using enum Opcode;
  return op == add_f || op == mul_f || op == add_i || op == mul_i || op == min_i || op == max_i ||
         op == and_i || op == or_i || op == xor_i || op == eq_f || op == eq_i ||
         class_constant(op) == OpClass::binary_bool;
}

float bits_to_float(int64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }

}  // namespace

const Instruction* Builder::definition(ValueId value, Opcode op) const {
  const InstructionId id = facts_[value].definition;
  if (id == kNone || program_.instructions[id].op != op) return nullptr;
  return &program_.instructions[id];
}

ValueId Builder::operand(const Instruction& instruction, size_t i) const {
  return program_.operands_of(instruction)[i];
}

Type Builder::common_type(ValueId a, ValueId b, Scalar scalar) const {
  const Type ta = type(a);
  const Type tb = type(b);
  CHECK(ta.width == tb.width || ta.width == 1 || tb.width == 1);
  return {scalar, std::max(ta.width, tb.width), ta.varying || tb.varying};
}

std::optional<float> Builder::float_constant(ValueId value) const {
  const std::optional<int64_t> bits = constant(value);
  if (!bits || type(value).scalar != Scalar::f32) return std::nullopt;
  return bits_to_float(*bits);
}

ValueId Builder::unary(Opcode op, ValueId a) {
  if (class_of(op) == OpClass::unary_int) return unary_int(op, a);
  CHECK(is_unary_float(op) && is_float(type(a).scalar));
  if (const std::optional<float> value = float_constant(a); value && is_exact(op)) {
    float result = 0;
    visit_opcode(op, [&]<Opcode known>() {
      if constexpr (is_unary_float(known)) {
        result = apply_unary_float<known>(*value);
      }
    });
    return f32(result);
  }
  if (const Instruction* inner = definition(a, op); inner != nullptr) {
    if (op == Opcode::neg) return operand(*inner, 0);
    if (op == Opcode::abs || op == Opcode::floor || op == Opcode::ceil) return a;
  }
  return emit(op, type(a), std::span(&a, 1));
}

ValueId Builder::binary(Opcode op, ValueId a, ValueId b) {
  const Scalar scalar = type(a).scalar;
  CHECK(type(b).scalar == scalar);
  // One order for all, so that equal values are found equal: constants last, older values first.
  if (is_commutative(op) && !constant(b) && (constant(a) || a > b)) std::swap(a, b);
  std::optional<ValueId> folded;
  Scalar result = scalar;
  switch (class_of(op)) {
    case OpClass::binary_float:
    case OpClass::function:
      CHECK(is_float(scalar) && is_binary_float(op));
      if (scalar == Scalar::f32) folded = fold_float(op, a, b);
      break;
    case OpClass::binary_int:
      CHECK(is_int(scalar));
      folded = scalar == Scalar::i32 ? fold_int(op, a, b) : fold_i64(op, a, b);
      break;
    case OpClass::binary_bool:
      CHECK(scalar == Scalar::b1);
      folded = fold_bool(op, a, b);
      break;
    case OpClass::compare:
      CHECK(compares_floats(op) ? is_float(scalar) : is_int(scalar));
      if (bytes_of(scalar) == 4) folded = fold_compare(op, a, b);
      result = Scalar::b1;
      break;
    case OpClass::unary_float:
    case OpClass::unary_int:
    case OpClass::other: CHECK(false);
  }
  if (folded) return *folded;
  return emit(op, common_type(a, b, result), std::array{a, b});
}

std::optional<ValueId> Builder::fold_float(Opcode op, ValueId a, ValueId b) {
  const std::optional<float> ca = float_constant(a);
  const std::optional<float> cb = float_constant(b);
  if (ca && cb && !is_function(op)) {
    float result = 0;
    visit_opcode(op, [&]<Opcode known>() {
      if constexpr (class_constant(known) == OpClass::binary_float) {
        result = apply_binary_float<known>(*ca, *cb);
      }
    });
    return f32(result);
  }
  const bool is_one = cb == 1.0f;
  if (is_one && (op == Opcode::mul_f || op == Opcode::div_f || op == Opcode::pow)) return a;
  if (cb && *cb == 0.0f) {
    if (op == Opcode::sub_f && !std::signbit(*cb)) return a;
    if (op == Opcode::add_f && std::signbit(*cb)) return a;
  }
  if (a == b && (op == Opcode::min_f || op == Opcode::max_f)) return a;
  return std::nullopt;
}

std::optional<ValueId> Builder::fold_bool(Opcode op, ValueId a, ValueId b) {
  if (const std::optional<int64_t> cb = constant(b)) {
    const bool value = *cb != 0;
    // A constant in a's place would lose a's width.
    const bool is_scalar = type(a).width == 1;
    if (op == Opcode::and_b && (value || is_scalar)) return value ? a : b;
    if (op == Opcode::or_b && (!value || is_scalar)) return value ? b : a;
    if (op == Opcode::xor_b) return value ? not_b(a) : a;
  }
  if (a == b && op != Opcode::xor_b) return a;
  if (a == b && type(a).width == 1) return b1(false);
  return std::nullopt;
}

std::optional<ValueId> Builder::fold_compare(Opcode op, ValueId a, ValueId b) {
  if (type(a).width != 1 || type(b).width != 1) return std::nullopt;
  const std::optional<int64_t> ca = constant(a);
  const std::optional<int64_t> cb = constant(b);
  if (ca && cb) {
    bool result = false;
    visit_opcode(op, [&]<Opcode known>() {
      if constexpr (class_constant(known) == OpClass::compare) {
        result = apply_compare<known>(bits_to_float(*ca), bits_to_float(*cb),
                                      static_cast<int32_t>(*ca), static_cast<int32_t>(*cb));
      }
    });
    return b1(result);
  }
  if (compares_floats(op)) return std::nullopt;
  if (a == b) return b1(op == Opcode::le_i || op == Opcode::eq_i);
  const Range ra = range(a);
  const Range rb = range(b);
  const bool is_unsigned_same = op == Opcode::lt_u && ra.lo >= 0 && rb.lo >= 0;
  if (op == Opcode::lt_i || is_unsigned_same) {
    if (ra.hi < rb.lo) return b1(true);
    if (ra.lo >= rb.hi) return b1(false);
  }
  if (op == Opcode::le_i) {
    if (ra.hi <= rb.lo) return b1(true);
    if (ra.lo > rb.hi) return b1(false);
  }
  if (op == Opcode::eq_i && (ra.hi < rb.lo || ra.lo > rb.hi)) return b1(false);
  return std::nullopt;
}

ValueId Builder::add(ValueId a, ValueId b) {
  return binary(is_int(type(a).scalar) ? Opcode::add_i : Opcode::add_f, a, b);
}

ValueId Builder::sub(ValueId a, ValueId b) {
  return binary(is_int(type(a).scalar) ? Opcode::sub_i : Opcode::sub_f, a, b);
}

ValueId Builder::mul(ValueId a, ValueId b) {
  return binary(is_int(type(a).scalar) ? Opcode::mul_i : Opcode::mul_f, a, b);
}

ValueId Builder::fma(ValueId a, ValueId b, ValueId c) {
  const Scalar scalar = type(a).scalar;
  CHECK(is_float(scalar) && type(b).scalar == scalar && type(c).scalar == scalar);
  const std::optional<float> ca = float_constant(a);
  const std::optional<float> cb = float_constant(b);
  const std::optional<float> cc = float_constant(c);
  if (ca && cb && cc) return f32(std::fma(*ca, *cb, *cc));
  if (cb == 1.0f) return add(a, c);
  if (ca == 1.0f) return add(b, c);
  const Type product = common_type(a, b, scalar);
  const Type addend = type(c);
  CHECK(product.width == addend.width || product.width == 1 || addend.width == 1);
  return emit(Opcode::fma,
              {scalar, std::max(product.width, addend.width), product.varying || addend.varying},
              std::array{a, b, c});
}

ValueId Builder::select(ValueId condition, ValueId a, ValueId b) {
  const Type choice = type(condition);
  CHECK(choice.scalar == Scalar::b1 && type(a).scalar == type(b).scalar);
  Type result = common_type(a, b, type(a).scalar);
  CHECK(choice.width == 1 || choice.width == result.width);
  const std::optional<int64_t> known = constant(condition);
  const ValueId chosen = a == b ? a : known ? (*known != 0 ? a : b) : kNone;
  if (chosen != kNone && type(chosen).width == result.width) return chosen;
  result.varying = result.varying || choice.varying;
  return emit(Opcode::select, result, std::array{condition, a, b});
}

ValueId Builder::not_b(ValueId a) {
  CHECK(type(a).scalar == Scalar::b1);
  if (const std::optional<int64_t> value = constant(a)) return b1(*value == 0);
  if (const Instruction* inner = definition(a, Opcode::not_b)) return operand(*inner, 0);
  return emit(Opcode::not_b, type(a), std::span(&a, 1));
}

ValueId Builder::logical_and(ValueId a, ValueId b) { return binary(Opcode::and_b, a, b); }

ValueId Builder::convert(Opcode op, ValueId a) {
  using enum Opcode;
  const bool is_wide = bytes_of(type(a).scalar) == 8;
  if (op == bits_from_float) return convert(op, a, is_wide ? Scalar::i64 : Scalar::i32);
  if (op == float_from_bits) return convert(op, a, is_wide ? Scalar::f64 : Scalar::f32);
  if (op == widen_i || op == widen_u) return convert(op, a, Scalar::i64);
  if (op == widen_f) return convert(op, a, Scalar::f64);
  const bool to_float = op == float_from_int || op == narrow_f;
  return convert(op, a, to_float ? Scalar::f32 : Scalar::i32);
}

ValueId Builder::convert(Opcode op, ValueId a, Scalar to) {
  CHECK(is_conversion(op, type(a).scalar, to));
  if (const std::optional<ValueId> folded = fold_conversion(op, a, to)) return *folded;
  return emit(op, {to, type(a).width, type(a).varying}, std::span(&a, 1));
}

std::optional<ValueId> Builder::fold_conversion(Opcode op, ValueId a, Scalar to) {
  using enum Opcode;
  const std::optional<int64_t> bits = this->constant(a);
  if (!bits) return std::nullopt;
  if (op == widen_i) return i64(*bits);
  if (op == widen_u) return i64(static_cast<uint32_t>(*bits));
  if (op == narrow_i) return i32(static_cast<int32_t>(*bits));
  if (op == int_from_bool) return i32(*bits);
  if (bytes_of(to) == 8 || bytes_of(type(a).scalar) == 8) return std::nullopt;
  if (op == int_from_float) return i32(int_from_float_saturated<int32_t>(bits_to_float(*bits)));
  if (op == bits_from_float) return i32(*bits);
  if (op == float_from_int) return f32(static_cast<float>(*bits));
  return f32(bits_to_float(*bits));
}

ValueId Builder::vector(std::span<const ValueId> components) {
  CHECK(components.size() == 1 || components.size() == 2 || components.size() == 4);
  if (components.size() == 1) return components[0];
  Type result = {type(components[0]).scalar, static_cast<uint8_t>(components.size()), false};
  for (ValueId component : components) {
    CHECK(type(component).width == 1 && type(component).scalar == result.scalar);
    result.varying = result.varying || type(component).varying;
  }
  return emit(Opcode::vector, result, components);
}

ValueId Builder::extract(ValueId vector, int component) {
  const Type whole = type(vector);
  CHECK(component >= 0 && component < whole.width);
  if (whole.width == 1) return vector;
  if (const Instruction* parts = definition(vector, Opcode::vector)) {
    return operand(*parts, static_cast<size_t>(component));
  }
  return emit(Opcode::extract, {whole.scalar, 1, whole.varying}, std::span(&vector, 1), component);
}

}  // namespace leat::ir
