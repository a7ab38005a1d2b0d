#include "leat/tensor/constant_memory.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "leat/tensor/ops.h"

namespace leat {
namespace {

HostTensor numbers(DType dtype, std::initializer_list<double> values) {
  HostTensor tensor = HostTensor::zeros(dtype, {static_cast<int64_t>(values.size())});
  int64_t at = 0;
  for (const double value : values) tensor.set_number(at++, value);
  return tensor;
}

TEST(ConstantMemory, EqualValuesOfOneNameAreOneObject) {
  ConstantMemory memory;
  const ConstantValue first = memory.shared("w", numbers(DType::f32, {1, 2}));
  EXPECT_EQ(memory.shared("w", numbers(DType::f32, {1, 2})), first);
  EXPECT_NE(memory.shared("v", numbers(DType::f32, {1, 2})), first);
  const ConstantValue other = memory.shared("w", numbers(DType::f32, {1, 3}));
  EXPECT_NE(other, first);
  EXPECT_EQ(other->number(1), 3);
  EXPECT_NE(memory.shared("w", numbers(DType::i32, {1, 3})), other);
}

/// What "sum" of two constants is folded to.
ConstantValue folded(const std::shared_ptr<ConstantMemory>& memory, double a, ScalarOp op) {
  Graph graph;
  graph.memory = memory;
  const TensorId x = graph.add_constant("x", numbers(DType::f32, {a, 2}));
  const TensorId y = graph.add_constant("y", numbers(DType::f32, {5, 7}));
  const TensorId sum = ops::binary(graph, "sum", op, x, y).value();
  return graph.tensors[sum].constant;
}

TEST(ConstantMemory, NodesOfTheSameConstantsAreFoldedOnce) {
  const auto memory = std::make_shared<ConstantMemory>();
  const ConstantValue first = folded(memory, 1, ScalarOp::add);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->number(0), 6);
  EXPECT_EQ(folded(memory, 1, ScalarOp::add), first);
  EXPECT_EQ(folded(memory, 1, ScalarOp::mul)->number(0), 5);   // another node of this name
  EXPECT_EQ(folded(memory, 3, ScalarOp::mul)->number(0), 15);  // of another constant
  EXPECT_NE(folded(nullptr, 3, ScalarOp::mul), folded(nullptr, 3, ScalarOp::mul));
}

TEST(ConstantMemory, SignsOfZeroAreTold) {
  const auto memory = std::make_shared<ConstantMemory>();
  const auto times = [&](double factor) {
    Graph graph;
    graph.memory = memory;
    const TensorId x = graph.add_constant("x", numbers(DType::f32, {1, 2}));
    Node node = {.name = "times", .op = "Mul", .inputs = {x}};
    const ExprId value = node.exprs.load(0, ScalarType::f32, {node.exprs.axis(0)});
    const ExprId product = node.exprs.apply(ScalarOp::mul, value, node.exprs.constant(factor));
    const TensorId y = graph.add_tensor("y", DType::f32, {2});
    node.results.push_back({y, product, {}});
    EXPECT_TRUE(graph.add_node(std::move(node)));
    return graph.tensors[y].constant->number(0);
  };
  EXPECT_FALSE(std::signbit(times(0.0)));
  EXPECT_TRUE(std::signbit(times(-0.0)));
}

TEST(ConstantMemory, ResultsOfAnotherTypeAreNotTaken) {
  const auto memory = std::make_shared<ConstantMemory>();
  const auto cast_to = [&](DType dtype) {
    Graph graph;
    graph.memory = memory;
    const TensorId x = graph.add_constant("x", numbers(DType::i64, {300, 2}));
    const TensorId y = ops::cast(graph, "cast", x, dtype).value();
    return graph.tensors[y].constant;
  };
  EXPECT_EQ(cast_to(DType::i32)->dtype, DType::i32);
  EXPECT_EQ(cast_to(DType::i16)->dtype, DType::i16);
  EXPECT_EQ(cast_to(DType::i16), cast_to(DType::i16));
}

}  // namespace
}  // namespace leat
