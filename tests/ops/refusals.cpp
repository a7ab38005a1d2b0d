// What must be refused, with an Error of the right kind that says the values.
#include <gtest/gtest.h>

#include <tuple>

#include "leat/run/network.h"
#include "leat/tensor/index_check.h"
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

/// x[..., i, ...] of a fed x and fed indices, which are checked.
struct CheckedGather {
  OpGraph g;
  std::unique_ptr<Network> network;
  Shape index_shape;

  CheckedGather(Device& device, const Shape& indices, DType dtype) : index_shape(indices) {
    const TensorId x = g.feed({5, 3});
    const TensorId at = g.feed(indices, dtype, 0, 1);
    const auto y = ops::gather(g.graph, "rows", x, at, 0);
    EXPECT_TRUE(y.has_value());
    EXPECT_TRUE(ops::check_indices(g.graph, "Gather", "rows", *y, at, {5}).has_value());
    g.graph.outputs.push_back(*y);
    auto loaded = Network::load(device, g.graph, {});
    EXPECT_TRUE(loaded.has_value());
    network = std::move(*loaded);
    EXPECT_TRUE(network->set_input(0, HostTensor::zeros(DType::f32, {5, 3})).has_value());
  }

  Result<void> run(DType dtype, const std::vector<int64_t>& values) {
    HostTensor at = HostTensor::zeros(dtype, index_shape);
    for (size_t i = 0; i < values.size(); ++i) {
      at.set_integer(static_cast<int64_t>(i), values[i]);
    }
    TRY(network->set_input(1, at));
    return network->run();
  }
};

TEST_P(Refusals, IndexOutsideItsExtent) {
  for (const DType dtype : {DType::i32, DType::i64}) {
    CheckedGather gather(device(), {2, 2}, dtype);
    EXPECT_TRUE(gather.run(dtype, {4, -5, 0, -1}).has_value());
    EXPECT_TRUE(gather.network->output(0).has_value());
    const auto above = gather.run(dtype, {4, 0, 5, 9});
    ASSERT_FALSE(above.has_value());
    for (const char* part : {"Gather \"rows\"", "index (5)", "extent (5)", "(1, 0)"}) {
      expect_error(above.error(), ErrorKind::invalid_argument, part);
    }
    ASSERT_FALSE(gather.network->output(0).has_value());
    const auto below = gather.run(dtype, {4, -6, 0, 0});
    ASSERT_FALSE(below.has_value());
    expect_error(below.error(), ErrorKind::invalid_argument, "index (-6)");
    EXPECT_TRUE(gather.run(dtype, {1, 2, 3, 4}).has_value());
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Refusals, testing::ValuesIn(tested_devices()), test_name_of);

}  // namespace
}  // namespace leat
