// What must be refused, with an Error of the right kind that says the values.
#include <gtest/gtest.h>

#include <tuple>

#include "leat/run/network.h"
#include "tests/ops/op_case.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

void expect_error(const Error& error, ErrorKind kind, const std::string& part) {
  EXPECT_EQ(error.kind(), kind) << error.message();
  EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
}

TEST(DeviceNames, AbsentOnes) {
  for (const std::string spec : {"gpu99", "gpu99:vulkan", "gpu0:glide", "CPU", "cpu:0", "gpu"}) {
    const auto device = open_device(spec, 0);
    ASSERT_FALSE(device.has_value()) << spec;
    expect_error(device.error(), ErrorKind::invalid_argument, spec);
  }
}

class Refusals : public DeviceTest {};

TEST_P(Refusals, TensorTooLargeForIndices) {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {1, 65536});
  graph.inputs.push_back(x);
  const Result<TensorId> y = ops::expand(graph, "huge", x, {65536, 65536});
  if (y) {
    graph.outputs.push_back(*y);
    const auto network = Network::load(device(), graph, {});
    ASSERT_FALSE(network.has_value());
    expect_error(network.error(), ErrorKind::unsupported, "huge");
  } else {
    expect_error(y.error(), ErrorKind::invalid_argument, "65536");
  }
}

TEST_P(Refusals, InputOfAnotherShapeOrType) {
  OpGraph g;
  const auto y = ops::unary(g.graph, "y", ScalarOp::neg, g.feed({2, 3}));
  ASSERT_OK(y);
  g.graph.outputs.push_back(*y);
  const auto network = Network::load(device(), g.graph, {});
  ASSERT_OK(network);
  const auto shape = (*network)->set_input(0, HostTensor::zeros(DType::f32, {3, 2}));
  ASSERT_FALSE(shape.has_value());
  expect_error(shape.error(), ErrorKind::invalid_argument, "(3, 2)");
  const auto dtype = (*network)->set_input(0, HostTensor::zeros(DType::f16, {2, 3}));
  ASSERT_FALSE(dtype.has_value());
  expect_error(dtype.error(), ErrorKind::invalid_argument, "f16");
}

INSTANTIATE_TEST_SUITE_P(Devices, Refusals, testing::ValuesIn(tested_devices()), test_name_of);

}  // namespace
}  // namespace leat
