// Term: an expression under construction, so that an operator's formula can be written as C++
// arithmetic. A Term refers to a node of an ExprTree; every operator appends to that tree. A number
// beside a Term becomes a constant of the Term's type.
#pragma once

#include <cstdint>

#include "leat/base/dtype.h"
#include "leat/tensor/expr.h"

namespace leat::ops {

class Term {
 public:
  Term() = default;
  Term(ExprTree& tree, ExprId id) : tree_(&tree), id_(id) {}

  ExprTree& tree() const { return *tree_; }
  ExprId id() const { return id_; }
  ScalarType type() const { return tree_->type(id_); }
  /// A constant of this term's type in the same tree.
  Term constant(double value) const;
  Term constant_whole(int64_t value) const;
  /// Whether this is a constant of that value.
  bool is_constant(double value) const;

 private:
  ExprTree* tree_ = nullptr;
  ExprId id_ = kNoExpr;
};

Term apply(ScalarOp op, Term a);
Term apply(ScalarOp op, Term a, Term b);
Term apply(ScalarOp op, Term a, double b);

Term operator-(Term a);
Term operator+(Term a, Term b);
Term operator-(Term a, Term b);
Term operator*(Term a, Term b);
Term operator/(Term a, Term b);
Term operator+(Term a, double b);
Term operator-(Term a, double b);
Term operator*(Term a, double b);
Term operator/(Term a, double b);
Term operator+(double a, Term b);
Term operator-(double a, Term b);
Term operator*(double a, Term b);
Term operator/(double a, Term b);
/// i32 only.
Term operator%(Term a, double b);

/// Comparisons give b1.
Term operator<(Term a, Term b);
Term operator<=(Term a, Term b);
Term operator<(Term a, double b);
Term operator<(double a, Term b);
Term operator<=(Term a, double b);
Term operator<=(double a, Term b);
Term equal(Term a, Term b);
Term equal(Term a, double b);

/// Of floats.
Term is_nan(Term a);
/// Whether the value is what a minimum or maximum of it and others is; NaN is, wherever it occurs.
Term is_extreme(Term value, Term extreme);

/// b1. (Plain functions: an overloaded && would not short-circuit.)
Term both(Term a, Term b);
Term either(Term a, Term b);
Term negate(Term a);

Term min(Term a, Term b);
Term max(Term a, Term b);
Term min(Term a, double b);
Term max(Term a, double b);
Term abs(Term a);
Term exp(Term a);
Term expm1(Term a);
Term log(Term a);
Term log1p(Term a);
Term sqrt(Term a);
Term pow(Term a, double b);

/// condition ? a : b.
Term select(Term condition, Term a, Term b);
Term select(Term condition, Term a, double b);
Term select(Term condition, double a, Term b);

/// Any type to any; to b1 is != 0, from b1 0 or 1.
Term convert(Term a, ScalarType type);
/// Wraps whole numbers to the width and sign of a dtype that is narrower than its expression type;
/// leaves all others as they are.
Term wrap_to(Term a, DType dtype);

}  // namespace leat::ops
