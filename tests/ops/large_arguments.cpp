// Contractions whose constant is larger than what a kernel may have as one argument, on every
// device, under a limit made small: they are split and still equal the reference. What cannot be
// split is refused by name.
#include <gtest/gtest.h>

#include <cmath>

#include "leat/run/network.h"
#include "leat/tensor/ops_quantize.h"
#include "tests/ops/op_case.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

using namespace ops;

class LargeArguments : public DeviceTest {};

NetworkOptions limited(uint64_t bytes_max) {
  NetworkOptions options;
  options.schedule.argument_bytes_max = bytes_max;
  return options;
}

/// Runs `g` under the limit; its contractions must become at least `parts_min` kernels.
void expect_split(Device& device, OpGraph& g, TensorId output, uint64_t bytes_max,
                  size_t parts_min) {
  g.graph.outputs = {output};
  const auto want = evaluate(g.graph, g.feeds);
  ASSERT_OK(want);
  const auto network = Network::load(device, g.graph, limited(bytes_max));
  ASSERT_OK(network);
  size_t contractions = 0;
  for (const Step& step : (*network)->schedule().steps) {
    contractions += std::holds_alternative<ContractionParams>(step.params) ? 1 : 0;
  }
  EXPECT_GE(contractions, parts_min);
  for (size_t i = 0; i < g.feeds.size(); ++i) ASSERT_OK((*network)->set_input(i, g.feeds[i]));
  ASSERT_OK((*network)->run());
  const Result<HostTensor> got = (*network)->output(0);
  ASSERT_OK(got);
  ASSERT_EQ(got->shape, (*want)[0].shape);
  for (int64_t i = 0; i < element_count(got->shape); ++i) {
    const double w = (*want)[0].number(i);
    // Weights may be held as f16 where the graph says so; here all is f32 and sums have 150 terms.
    ASSERT_NEAR(got->number(i), w, sum_tolerance(150) * std::max(1.0, std::abs(w))) << i;
  }
}

// 150 x 300 floats are 180 kB: three parts or more of at most 64 kB, the last one narrower. Bias
// and activation go with the parts.
TEST_P(LargeArguments, GemmIsSplitByColumns) {
  OpGraph g;
  const auto product =
      gemm(g.graph, "fc", g.feed({5, 150}), g.constant({300, 150}), g.constant({300}),
           {.alpha = 1, .beta = 1, .transpose_a = false, .transpose_b = true});
  ASSERT_OK(product);
  const auto y = activation(g.graph, "y", Activation::relu, *product);
  ASSERT_OK(y);
  expect_split(device(), g, *y, 64 << 10, 3);
}

TEST_P(LargeArguments, ConvolutionIsSplitByChannels) {
  OpGraph g;
  ConvOptions options;
  options.window.pads = {1, 1, 1, 1};
  const auto y = conv(g.graph, "y", g.feed({2, 16, 7, 5}), g.constant({90, 16, 3, 3}),
                      g.constant({90}), options);
  ASSERT_OK(y);
  expect_split(device(), g, *y, 30 << 10, 2);
}

// The weights' scales lie along the columns that are cut; each part finds its own.
TEST_P(LargeArguments, ScalesOfColumnsGoWithTheParts) {
  OpGraph g;
  const TensorId weights = g.constant({150, 900}, DType::i8, -100, 100);
  const auto b = dequantize(g.graph, "b", weights, g.constant({900}, DType::f32, 0.005, 0.01),
                            kNoTensor, DType::f32, {.axis = 1});
  ASSERT_OK(b);
  const auto y = matmul(g.graph, "y", g.feed({4, 150}), *b);
  ASSERT_OK(y);
  expect_split(device(), g, *y, 64 << 10, 3);
}

// The residual is added by the epilogue, which must find its element in the whole tensor.
TEST_P(LargeArguments, ResidualGoesWithTheParts) {
  OpGraph g;
  const auto product = matmul(g.graph, "p", g.feed({4, 150}), g.constant({150, 257}));
  ASSERT_OK(product);
  const auto y = binary(g.graph, "y", ScalarOp::add, *product, g.feed({4, 257}));
  ASSERT_OK(y);
  expect_split(device(), g, *y, 64 << 10, 3);
}

TEST_P(LargeArguments, ConstantFirstFactorIsSplitByRows) {
  OpGraph g;
  const auto y = matmul(g.graph, "y", g.constant({300, 150}), g.feed({150, 6}));
  ASSERT_OK(y);
  expect_split(device(), g, *y, 64 << 10, 3);
}

// A concat's view and a split: each part writes its columns of its place.
TEST_P(LargeArguments, PartsWriteIntoAConcat) {
  OpGraph g;
  const auto a = matmul(g.graph, "a", g.feed({3, 150}), g.constant({150, 130}));
  ASSERT_OK(a);
  const TensorId parts[] = {g.feed({3, 9}), *a};
  const auto y = concat(g.graph, "y", parts, 1);
  ASSERT_OK(y);
  expect_split(device(), g, *y, 48 << 10, 2);
}

TEST_P(LargeArguments, LargeActivationIsRefusedByName) {
  OpGraph g;
  const auto y = activation(g.graph, "y", Activation::relu, g.feed({100, 100}));
  ASSERT_OK(y);
  g.graph.outputs = {*y};
  const auto network = Network::load(device(), g.graph, limited(39'999));
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().kind(), ErrorKind::unsupported);
  const std::string& message = network.error().message();
  EXPECT_NE(message.find("Size (40000 bytes) of tensor \"in0\""), std::string::npos) << message;
  EXPECT_NE(message.find("limit (39999)"), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(Devices, LargeArguments, testing::ValuesIn(tested_devices()),
                         test_name_of);

}  // namespace
}  // namespace leat
