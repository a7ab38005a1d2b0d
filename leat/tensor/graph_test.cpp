// Host tensors, constant folding, checks of nodes, counting and printing.
#include "leat/tensor/graph.h"

#include <gtest/gtest.h>

#include <limits>

#include "leat/tensor/fold.h"
#include "leat/tensor/ops_probe.h"
#include "leat/tensor/ops_quantize.h"

namespace leat::ops {
namespace {

TEST(HostTensor, RoundsAndWrapsToItsDtype) {
  const auto stored = [](DType dtype, double value) {
    HostTensor tensor = HostTensor::zeros(dtype, {1});
    tensor.set_number(0, value);
    return tensor.number(0);
  };
  EXPECT_EQ(stored(DType::f16, 1.0 / 3), 0.333251953125);
  EXPECT_EQ(stored(DType::bf16, 1.0 / 3), 0.333984375);
  EXPECT_EQ(stored(DType::u8, 300.9), 44);
  EXPECT_EQ(stored(DType::i8, 200), -56);
  EXPECT_EQ(stored(DType::u32, 4294967295.0), 4294967295.0);
  EXPECT_EQ(stored(DType::boolean, 0.25), 1);
  HostTensor wide = HostTensor::zeros(DType::i64, {2});
  wide.set_integer(1, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(wide.integer(1), std::numeric_limits<int64_t>::max());
}

TEST(Graph, FoldsConstantsOnly) {
  Probe probe;
  const TensorId a = probe.constant({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto sum = binary(probe.graph, "sum", ScalarOp::add, a, a);
  ASSERT_TRUE(sum);
  ASSERT_TRUE(probe.graph.tensors[*sum].constant);
  EXPECT_TRUE(probe.graph.nodes.empty());
  EXPECT_EQ(numbers_of(*probe.graph.tensors[*sum].constant), (Numbers{2, 4, 6, 8, 10, 12}));
  const TensorId x = probe.feed({2, 3}, {1, 1, 1, 1, 1, 1});
  const auto mixed = binary(probe.graph, "mixed", ScalarOp::add, *sum, x);
  ASSERT_TRUE(mixed);
  EXPECT_FALSE(probe.graph.tensors[*mixed].constant);
  EXPECT_EQ(probe.graph.nodes.size(), 1u);
}

TEST(Graph, ShapeArithmeticIsExactIn64Bits) {
  Probe probe;
  HostTensor big = HostTensor::zeros(DType::i64, {1});
  big.set_integer(0, (int64_t{1} << 62) + 1);
  const TensorId a = probe.graph.add_constant("big", big);
  const TensorId b = probe.constant({2}, {1, 2}, DType::i64);
  const auto sum = binary(probe.graph, "sum", ScalarOp::add, a, b);
  ASSERT_TRUE(sum);
  EXPECT_EQ(probe.graph.tensors[*sum].constant->integer(1), (int64_t{1} << 62) + 3);
}

TEST(Graph, DoesNotFoldWhatWouldBeLarge) {
  Probe probe;
  HostTensor one = host_tensor(DType::f32, {1}, {1});
  const auto large = constant_of_shape(probe.graph, "large", {1 << 20}, one);
  ASSERT_TRUE(large);
  EXPECT_FALSE(probe.graph.tensors[*large].constant);
  EXPECT_EQ(probe.graph.nodes.size(), 1u);
  const auto small = constant_of_shape(probe.graph, "small", {7}, one);
  ASSERT_TRUE(small);
  EXPECT_TRUE(probe.graph.tensors[*small].constant);
}

TEST(Graph, FoldsNoMoreThanAllNodesTogetherMay) {
  Probe probe;
  const TensorId a = probe.constant({16}, Probe::noise({16}));
  probe.graph.fold_bytes_left = 100;
  const auto first = unary(probe.graph, "first", ScalarOp::neg, a);
  const auto second = unary(probe.graph, "second", ScalarOp::neg, *first);
  EXPECT_TRUE(probe.graph.tensors[*first].constant);
  EXPECT_FALSE(probe.graph.tensors[*second].constant);
  probe.graph.fold_bytes_left = 1000;
  probe.graph.fold_steps_left = 10;
  EXPECT_FALSE(probe.graph.tensors[*unary(probe.graph, "x", ScalarOp::neg, *first)].constant);
}

// Bytes times a scale wait for a product that takes them as they are; what is made of them waits
// too.
TEST(Graph, FoldsWhatNobodyTookAsBytes) {
  const auto built = [] {
    Probe probe;
    const TensorId bytes = probe.constant({16, 8}, Probe::noise({16, 8}), DType::i8);
    const TensorId scale = probe.constant({}, {0.5});
    const auto wide =
        dequantize(probe.graph, "wide", bytes, scale, kNoTensor, DType::f32, {}).value();
    probe.graph.outputs = {transpose(probe.graph, "turned", wide, Ints{1, 0}).value()};
    EXPECT_EQ(probe.graph.nodes.size(), 2u);
    return probe.graph;
  };
  Graph graph = built();
  ASSERT_TRUE(fold_widened(graph, 100));
  EXPECT_EQ(graph.nodes.size(), 2u) << "128 are more than were asked for";
  ASSERT_TRUE(fold_widened(graph, 128));
  EXPECT_EQ(graph.nodes.size(), 1u) << "a kernel writes the output";
  graph = built();
  ASSERT_TRUE(fold_widened(graph, 128, true));
  EXPECT_TRUE(graph.nodes.empty());
  const auto& turned = graph.tensors[graph.outputs[0]].constant;
  ASSERT_TRUE(turned);
  const Numbers bytes = Probe::noise({16, 8});
  EXPECT_EQ(turned->number(1), bytes[8] / 2);
  EXPECT_EQ(turned->number(16), bytes[1] / 2);
}

TEST(Graph, TensorsWithoutElementsAreConstants) {
  Probe probe;
  const TensorId x = probe.feed({0, 4}, {});
  const auto y = activation(probe.graph, "relu", Activation::relu, x);
  ASSERT_TRUE(y);
  EXPECT_TRUE(probe.graph.nodes.empty());
  ASSERT_TRUE(probe.graph.tensors[*y].constant);
  EXPECT_EQ(probe.graph.tensors[*y].shape, (Shape{0, 4}));
}

TEST(Graph, RefusesAResultThatLeavesTheOutput) {
  Graph graph;
  const TensorId output = graph.add_tensor("out", DType::f32, {4});
  Node node;
  node.name = "bad";
  node.extents = {3};
  node.results = {{output, node.exprs.constant(1), {{0, {2}}}}};
  const auto added = graph.add_node(node);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind(), ErrorKind::internal);
}

TEST(Graph, EvaluateNamesAWrongInput) {
  Probe probe;
  const TensorId x = probe.feed({2}, {1, 2});
  probe.graph.outputs = {x};
  const HostTensor wrong = HostTensor::zeros(DType::f32, {3});
  const auto result = evaluate(probe.graph, std::span(&wrong, 1));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("(3)"), std::string::npos);
}

TEST(Graph, CountsFlopAndPrints) {
  Probe probe;
  const TensorId a = probe.feed({2, 3}, Probe::noise({2, 3}));
  const TensorId b = probe.feed({3, 4}, Probe::noise({3, 4}));
  const TensorId c = probe.feed({4}, {1, 2, 3, 4});
  ASSERT_TRUE(gemm(probe.graph, "fc", a, b, c, {}));
  ASSERT_EQ(probe.graph.nodes.size(), 1u);
  EXPECT_EQ(flop_count(probe.graph.nodes[0]), 2.0 * 2 * 3 * 4 + 8);
  const std::string text = to_string(probe.graph);
  EXPECT_NE(text.find("fc: Gemm sum(3) of load0[a0, a2] * load1[a2, a1]"), std::string::npos)
      << text;
}

}  // namespace
}  // namespace leat::ops
