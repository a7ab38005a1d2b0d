// Term arithmetic: each function appends one or a few nodes.
#include "leat/tensor/term.h"

#include "leat/base/check.h"

namespace leat::ops {

Term Term::constant(double value) const { return Term(*tree_, tree_->constant_of(type(), value)); }

Term Term::constant_whole(int64_t value) const {
  return Term(*tree_, tree_->constant_whole(type(), value));
}

bool Term::is_constant(double value) const {
  const ExprNode& node = tree_->node(id_);
  return node.kind == ExprKind::constant && node.number == value;
}

namespace {

/// Operands of two types of floats meet in f64, as the statistics of some operators may be of
/// another than their input.
void bring_together(Term& a, Term& b) {
  if (a.type() == b.type() || !is_float(a.type()) || !is_float(b.type())) return;
  a = convert(a, ScalarType::f64);
  b = convert(b, ScalarType::f64);
}

}  // namespace

Term apply(ScalarOp op, Term a) { return Term(a.tree(), a.tree().apply(op, a.id())); }

Term apply(ScalarOp op, Term a, Term b) {
  CHECK(&a.tree() == &b.tree());
  bring_together(a, b);
  return Term(a.tree(), a.tree().apply(op, a.id(), b.id()));
}

Term apply(ScalarOp op, Term a, double b) { return apply(op, a, a.constant(b)); }

Term operator-(Term a) { return apply(ScalarOp::neg, a); }
Term operator+(Term a, Term b) { return apply(ScalarOp::add, a, b); }
Term operator-(Term a, Term b) { return apply(ScalarOp::sub, a, b); }
Term operator*(Term a, Term b) { return apply(ScalarOp::mul, a, b); }
Term operator/(Term a, Term b) { return apply(ScalarOp::div, a, b); }
Term operator+(Term a, double b) { return a + a.constant(b); }
Term operator-(Term a, double b) { return a - a.constant(b); }
Term operator*(Term a, double b) { return a * a.constant(b); }
Term operator/(Term a, double b) { return a / a.constant(b); }
Term operator+(double a, Term b) { return b.constant(a) + b; }
Term operator-(double a, Term b) { return b.constant(a) - b; }
Term operator*(double a, Term b) { return b.constant(a) * b; }
Term operator/(double a, Term b) { return b.constant(a) / b; }
Term operator%(Term a, double b) { return apply(ScalarOp::rem, a, b); }

Term operator<(Term a, Term b) { return apply(ScalarOp::less, a, b); }
Term operator<=(Term a, Term b) { return apply(ScalarOp::less_equal, a, b); }
Term operator<(Term a, double b) { return a < a.constant(b); }
Term operator<(double a, Term b) { return b.constant(a) < b; }
Term operator<=(Term a, double b) { return a <= a.constant(b); }
Term operator<=(double a, Term b) { return b.constant(a) <= b; }
Term equal(Term a, Term b) { return apply(ScalarOp::equal, a, b); }
Term equal(Term a, double b) { return equal(a, a.constant(b)); }

Term is_nan(Term a) { return negate(equal(a, a)); }

Term is_extreme(Term value, Term extreme) {
  const Term hit = equal(value, extreme);
  return is_float(value.type()) ? either(hit, is_nan(value)) : hit;
}

Term both(Term a, Term b) { return apply(ScalarOp::logical_and, a, b); }
Term either(Term a, Term b) { return apply(ScalarOp::logical_or, a, b); }
Term negate(Term a) { return apply(ScalarOp::logical_not, a); }

Term min(Term a, Term b) { return apply(ScalarOp::min, a, b); }
Term max(Term a, Term b) { return apply(ScalarOp::max, a, b); }
Term min(Term a, double b) { return min(a, a.constant(b)); }
Term max(Term a, double b) { return max(a, a.constant(b)); }
Term abs(Term a) { return apply(ScalarOp::abs, a); }
Term exp(Term a) { return apply(ScalarOp::exp, a); }
Term expm1(Term a) { return apply(ScalarOp::expm1, a); }
Term log(Term a) { return apply(ScalarOp::log, a); }
Term log1p(Term a) { return apply(ScalarOp::log1p, a); }
Term sqrt(Term a) { return apply(ScalarOp::sqrt, a); }

Term pow(Term a, double b) {
  if (b == 1) return a;
  if (b == 2) return a * a;
  if (b == 3) return a * a * a;
  if (b == 0.5) return sqrt(a);
  if (b == -1) return 1.0 / a;
  return apply(ScalarOp::pow, a, b);
}

Term select(Term condition, Term a, Term b) {
  bring_together(a, b);
  return Term(a.tree(), a.tree().apply(ScalarOp::select, condition.id(), a.id(), b.id()));
}
Term select(Term condition, Term a, double b) { return select(condition, a, a.constant(b)); }
Term select(Term condition, double a, Term b) { return select(condition, b.constant(a), b); }

Term convert(Term a, ScalarType type) {
  if (a.type() == type) return a;
  switch (type) {
    case ScalarType::f32: return apply(ScalarOp::to_f32, a);
    case ScalarType::i32: return apply(ScalarOp::to_i32, a);
    case ScalarType::b1: return negate(equal(a, 0));
    case ScalarType::i64: return apply(ScalarOp::to_i64, a);
    case ScalarType::u64: return apply(ScalarOp::to_u64, a);
    case ScalarType::f64: return apply(ScalarOp::to_f64, a);
  }
  return a;
}

namespace {

Term low_bits(Term a, int bits) {
  return apply(ScalarOp::bit_and, a, static_cast<double>((int64_t{1} << bits) - 1));
}

}  // namespace

Term wrap_to(Term a, DType dtype) {
  switch (dtype) {
    case DType::u8:
    case DType::u16:
    case DType::u32:
    case DType::u4:
    case DType::u2: return low_bits(a, bits_of(dtype));
    case DType::i8:
    case DType::i16:
    case DType::i4:
    case DType::i2: {
      const double sign = static_cast<double>(int64_t{1} << (bits_of(dtype) - 1));
      return apply(ScalarOp::bit_xor, low_bits(a, bits_of(dtype)), sign) - sign;
    }
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f64:
    case DType::i32:
    case DType::i64:
    case DType::u64:
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1: return a;
  }
  return a;
}

}  // namespace leat::ops
