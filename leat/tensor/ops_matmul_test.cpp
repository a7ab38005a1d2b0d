// Matrix products against loops over explicit strides; data are small whole numbers, results exact.
#include "leat/tensor/contraction.h"
#include "leat/tensor/ops_probe.h"

namespace leat::ops {
namespace {

/// A (batch, rows, columns) matrix stack; batch 1 stands for any.
struct Stack {
  int64_t batch, rows, columns;
  Numbers values;
  double at(int64_t b, int64_t r, int64_t c) const {
    const int64_t flat = ((batch == 1 ? 0 : b) * rows + r) * columns + c;
    return values[static_cast<size_t>(flat)];
  }
};

Numbers product(const Stack& a, const Stack& b) {
  Numbers out;
  for (int64_t i = 0; i < std::max(a.batch, b.batch); ++i)
    for (int64_t r = 0; r < a.rows; ++r)
      for (int64_t c = 0; c < b.columns; ++c) {
        double sum = 0;
        for (int64_t k = 0; k < a.columns; ++k) sum += a.at(i, r, k) * b.at(i, k, c);
        out.push_back(sum);
      }
  return out;
}

struct Case {
  Shape a, b, out;
  Stack stack_a, stack_b;  // the same data seen as one batch dimension
};

TEST(MatMul, FollowsNumpy) {
  const Case cases[] = {
      {{2, 3}, {3, 4}, {2, 4}, {1, 2, 3, {}}, {1, 3, 4, {}}},
      {{3}, {3, 4}, {4}, {1, 1, 3, {}}, {1, 3, 4, {}}},
      {{2, 3}, {3}, {2}, {1, 2, 3, {}}, {1, 3, 1, {}}},
      {{3}, {3}, {}, {1, 1, 3, {}}, {1, 3, 1, {}}},
      {{5, 2, 3}, {3, 4}, {5, 2, 4}, {5, 2, 3, {}}, {1, 3, 4, {}}},
      {{2, 3}, {5, 3, 4}, {5, 2, 4}, {1, 2, 3, {}}, {5, 3, 4, {}}},
      {{2, 2, 2, 3}, {2, 2, 3, 4}, {2, 2, 2, 4}, {4, 2, 3, {}}, {4, 3, 4, {}}},
      {{1, 5, 2, 3}, {5, 3, 4}, {1, 5, 2, 4}, {5, 2, 3, {}}, {5, 3, 4, {}}},
      {{5, 2, 3}, {3}, {5, 2}, {5, 2, 3, {}}, {1, 3, 1, {}}},
  };
  for (const Case& t : cases) {
    for (DType dtype : {DType::f32, DType::f16, DType::i32}) {
      Stack a = t.stack_a, b = t.stack_b;
      a.values = Probe::noise(t.a, 5);
      b.values = Probe::noise(t.b, 6);
      Probe probe;
      const TensorId ta = probe.feed(t.a, a.values, dtype), tb = probe.feed(t.b, b.values, dtype);
      const auto y = matmul(probe.graph, "mm", ta, tb);
      EXPECT_EQ(probe.numbers(y), product(a, b)) << to_string(t.a) << to_string(t.b);
      EXPECT_EQ(probe.shape(*y), t.out);
    }
  }
}

TEST(MatMul, BroadcastsBatchesBothWays) {
  Probe probe;
  const TensorId a = probe.feed({2, 1, 1, 2}, {1, 2, 3, 4});
  const TensorId b = probe.feed({1, 3, 2, 1}, {1, 0, 0, 1, 1, 1});
  const auto y = matmul(probe.graph, "mm", a, b);
  EXPECT_EQ(probe.numbers(y), (Numbers{1, 2, 3, 3, 4, 7}));
  EXPECT_EQ(probe.shape(*y), (Shape{2, 3, 1, 1}));
}

TEST(MatMul, OneMatrixForAllBatchesIsOneProduct) {
  Probe probe;
  const TensorId a = probe.feed({5, 2, 3}, Probe::noise({5, 2, 3}));
  const TensorId b = probe.feed({3, 4}, Probe::noise({3, 4}));
  ASSERT_TRUE(matmul(probe.graph, "mm", a, b));
  const auto product = find_contraction(probe.graph, probe.graph.nodes[0]);
  ASSERT_TRUE(product);
  EXPECT_TRUE(product->batch.empty());
  EXPECT_EQ(product->m, (Shape{5, 2}));
}

TEST(MatMul, ATensorTimesItself) {
  Probe probe;
  const TensorId a = probe.feed({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(probe.numbers(matmul(probe.graph, "", a, a)), (Numbers{7, 10, 15, 22}));
}

TEST(MatMul, EmptyInnerExtentGivesZeros) {
  Probe probe;
  const TensorId a = probe.feed({2, 0}, {});
  const TensorId b = probe.feed({0, 3}, {});
  EXPECT_EQ(probe.numbers(matmul(probe.graph, "", a, b)), Numbers(6, 0));
}

TEST(MatMul, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId a = probe.feed({2, 3}, Probe::noise({2, 3}));
  const TensorId b = probe.feed({2, 3, 4}, Probe::noise({2, 3, 4}));
  const TensorId c = probe.feed({3, 3, 3}, Probe::noise({3, 3, 3}));
  const TensorId scalar_tensor = probe.feed({}, {1});
  expect_error(matmul(probe.graph, "m", a, a), "(3 and 2)");
  expect_error(matmul(probe.graph, "m", a, scalar_tensor), "scalar");
  expect_error(matmul(probe.graph, "m", c, b), "(3) and (2)");
}

TEST(Gemm, AllVariants) {
  const Stack a = {1, 2, 3, Probe::noise({2, 3}, 7)};
  const Stack b = {1, 3, 4, Probe::noise({3, 4}, 8)};
  const Numbers sum = product(a, b);
  const auto transposed = [](const Stack& m) {
    Numbers out;
    for (int64_t c = 0; c < m.columns; ++c)
      for (int64_t r = 0; r < m.rows; ++r) out.push_back(m.at(0, r, c));
    return out;
  };
  for (bool ta : {false, true}) {
    for (bool tb : {false, true}) {
      for (const Shape& c_shape : {Shape{}, Shape{1}, Shape{4}, Shape{2, 1}, Shape{2, 4}}) {
        for (DType dtype : {DType::f32, DType::i32}) {
          Probe probe;
          const TensorId x =
              ta ? probe.feed({3, 2}, transposed(a), dtype) : probe.feed({2, 3}, a.values, dtype);
          const TensorId y =
              tb ? probe.feed({4, 3}, transposed(b), dtype) : probe.feed({3, 4}, b.values, dtype);
          const Numbers c = Probe::noise(c_shape, 11);
          const TensorId z = probe.feed(c_shape, c, dtype);
          Numbers expected;
          for (size_t i = 0; i < 8; ++i) {
            const size_t row = i / 4, column = i % 4;
            const size_t at = c.size() == 1 ? 0 : c.size() == 4 ? column : c.size() == 2 ? row : i;
            expected.push_back(2 * sum[i] + 3 * c[at]);
          }
          EXPECT_EQ(
              probe.numbers(gemm(probe.graph, "", x, y, z,
                                 {.alpha = 2, .beta = 3, .transpose_a = ta, .transpose_b = tb})),
              expected);
        }
      }
    }
  }
}

TEST(Gemm, RefusesWhatDoesNotFit) {
  Probe probe;
  const TensorId a = probe.feed({2, 3}, Probe::noise({2, 3}));
  const TensorId b = probe.feed({3, 4}, Probe::noise({3, 4}));
  const TensorId c = probe.feed({3}, {1, 2, 3});
  expect_error(gemm(probe.graph, "g", a, a, kNoTensor, {}), "(3 and 2)");
  expect_error(gemm(probe.graph, "g", a, b, c, {}), "(2, 4)");
  expect_error(gemm(probe.graph, "g", a, c, kNoTensor, {}), "matrices");
}

// A factor may share its parts many times over; finding its loads costs what it has of nodes.
TEST(Matmul, AFactorOfSharedPartsIsReadOnce) {
  Probe probe;
  const TensorId a = probe.feed({2, 2}, {1, 2, 3, 4});
  ASSERT_TRUE(matmul(probe.graph, "", a, probe.feed({2, 2}, {1, 0, 0, 1})));
  Node node = probe.graph.nodes[0];
  const ExprNode product = node.exprs.node(node.element);
  ExprId doubled = product.arguments[0];
  for (int i = 0; i < 60; ++i) doubled = node.exprs.apply(ScalarOp::add, doubled, doubled);
  node.element = node.exprs.apply(ScalarOp::mul, doubled, product.arguments[1]);
  const auto found = find_contraction(probe.graph, node);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->a.load, product.arguments[0]);
  EXPECT_EQ(found->a.value, doubled);
}

}  // namespace
}  // namespace leat::ops
