// Expression trees: sharing, folding, copying, printing.
#include "leat/tensor/expr.h"

#include <gtest/gtest.h>

#include <cmath>

namespace leat {
namespace {

TEST(Expr, EqualNodesShareAnId) {
  ExprTree tree;
  const ExprId x = tree.load(0, ScalarType::f32, {tree.axis(0)});
  EXPECT_EQ(x, tree.load(0, ScalarType::f32, {tree.axis(0)}));
  EXPECT_NE(x, tree.load(1, ScalarType::f32, {tree.axis(0)}));
  const ExprId sum = tree.apply(ScalarOp::add, x, tree.constant(2));
  EXPECT_EQ(sum, tree.apply(ScalarOp::add, x, tree.constant(2)));
  EXPECT_NE(tree.constant(0.0), tree.constant(-0.0));
  EXPECT_EQ(tree.constant(std::nan("")), tree.constant(std::nan("")));
}

TEST(Expr, FoldsConstantsAndIdentities) {
  ExprTree tree;
  const ExprId x = tree.load(0, ScalarType::f32, {});
  const ExprId i = tree.axis(0);
  EXPECT_EQ(tree.apply(ScalarOp::add, x, tree.constant(0)), x);
  EXPECT_EQ(tree.apply(ScalarOp::mul, tree.constant(1), x), x);
  EXPECT_NE(tree.apply(ScalarOp::mul, x, tree.constant(0)), tree.constant(0));  // NaN * 0
  EXPECT_EQ(tree.apply(ScalarOp::mul, i, tree.constant_int(0)), tree.constant_int(0));
  EXPECT_EQ(tree.apply(ScalarOp::rem, i, tree.constant_int(1)), tree.constant_int(0));
  EXPECT_EQ(tree.apply(ScalarOp::div, tree.constant_int(-7), tree.constant_int(2)),
            tree.constant_int(-3));
  EXPECT_EQ(tree.apply(ScalarOp::sqrt, tree.constant(9)), tree.constant(3));
  EXPECT_EQ(tree.apply(ScalarOp::less, tree.constant(1), tree.constant(2)),
            tree.constant_bool(true));
  EXPECT_EQ(tree.apply(ScalarOp::select, tree.constant_bool(false), x, tree.constant(4)),
            tree.constant(4));
  const ExprId condition = tree.apply(ScalarOp::less, i, tree.constant_int(3));
  EXPECT_EQ(tree.apply(ScalarOp::logical_and, tree.constant_bool(true), condition), condition);
  EXPECT_EQ(tree.type(condition), ScalarType::b1);
}

TEST(Expr, NotANumberIsNotEqualToItself) {
  ExprTree tree;
  const ExprId x = tree.load(0, ScalarType::f32, {});
  const ExprId same = tree.apply(ScalarOp::equal, x, x);
  EXPECT_EQ(tree.node(same).kind, ExprKind::apply);
}

TEST(Expr, LoadWithAConstantMaskIsSimplified) {
  ExprTree tree;
  const ExprId always = tree.load(0, ScalarType::f32, {tree.axis(0)}, tree.constant_bool(true), 5);
  EXPECT_EQ(tree.node(always).mask, kNoExpr);
  EXPECT_EQ(tree.load(0, ScalarType::f32, {tree.axis(0)}, tree.constant_bool(false), 5),
            tree.constant(5));
}

TEST(Expr, Prints) {
  ExprTree tree;
  const ExprId x = tree.load(0, ScalarType::f32, {tree.axis(0), tree.axis(1)});
  const ExprId shifted = tree.apply(ScalarOp::add, x, tree.constant(0.5));
  EXPECT_EQ(to_string(tree, tree.apply(ScalarOp::max, shifted, tree.constant(0))),
            "max(load0[a0, a1] + 0.5, 0)");
  EXPECT_EQ(to_string(tree, tree.apply(ScalarOp::mul, shifted, tree.accumulator(ScalarType::f32))),
            "(load0[a0, a1] + 0.5) * acc");
  const ExprId inside = tree.apply(ScalarOp::less, tree.axis(0), tree.constant_int(3));
  EXPECT_EQ(to_string(tree, tree.load(1, ScalarType::f32, {tree.axis(0)}, inside, -1)),
            "load1[a0 if a0 < 3 else -1]");
}

TEST(Expr, CopiesUnderASubstitution) {
  ExprTree source;
  const ExprId acc = source.accumulator(ScalarType::f32);
  const ExprId bias = source.load(1, ScalarType::f32, {source.axis(1)});
  const ExprId skip = source.load(2, ScalarType::f32, {source.axis(0), source.axis(1)});
  const ExprId sum = source.apply(ScalarOp::add, source.apply(ScalarOp::add, acc, bias), skip);
  ExprTree target;
  ExprSubstitution substitution;
  substitution.axes = {target.axis(2),
                       target.apply(ScalarOp::mul, target.axis(0), target.constant_int(4))};
  substitution.inputs = {7, 8, 9};
  substitution.accumulator = target.constant(3);
  const ExprId exponential = target.apply(ScalarOp::exp, target.accumulator(ScalarType::f32));
  substitution.load = [&](const ExprNode& load, const std::vector<ExprId>&, ExprId) {
    return load.index == 2 ? exponential : kNoExpr;
  };
  const ExprId copy = copy_expr(source, sum, target, substitution);
  EXPECT_EQ(to_string(target, copy), "(3 + load8[a0 * 4]) + exp(acc)");
}

TEST(Expr, ACopiedLoadTakesTheMaskBesideItsOwn) {
  ExprTree source;
  const ExprId own = source.apply(ScalarOp::less, source.axis(0), source.constant_int(3));
  const ExprId masked = source.load(0, ScalarType::f32, {source.axis(0)}, own, -1);
  const ExprId sum = source.apply(ScalarOp::add, masked, source.load(1, ScalarType::f32, {}));
  ExprTree target;
  ExprSubstitution substitution;
  substitution.mask = target.apply(ScalarOp::equal, target.axis(1), target.constant_int(2));
  EXPECT_EQ(to_string(target, copy_expr(source, sum, target, substitution)),
            "load0[a0 if (a0 < 3) && (a1 == 2) else -1] + load1[ if a1 == 2 else 0]");
}

}  // namespace
}  // namespace leat
