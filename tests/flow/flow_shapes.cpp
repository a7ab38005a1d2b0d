// Models whose inputs change their shapes: once two shapes of a class have been seen nothing is
// compiled for another, since the kernels are told what differs; and each is right on every device.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "leat/run/compiling_cpu_test.h"
#include "leat/run/session.h"
#include "leat/tensor/constant_memory.h"
#include "leat/tensor/ops.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

using ops::Activation;

/// Numbers from -1 to 1.
HostTensor random_tensor(Shape shape, uint32_t seed) {
  HostTensor value = HostTensor::zeros(DType::f32, std::move(shape));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_number(i, uniform(generator));
  }
  return value;
}

TensorId weights(Graph& graph, const std::string& name, Shape shape, uint32_t seed) {
  return graph.add_constant(name, random_tensor(std::move(shape), seed));
}

Model model_of(Graph graph, Shape input) {
  Model model;
  model.name = "shapes";
  model.inputs = {{"x", DType::f32, std::move(input), graph.inputs[0]}};
  const TensorId y = graph.outputs[0];
  model.outputs = {{"y", DType::f32, graph.tensors[y].shape, y}};
  model.graph = std::move(graph);
  return model;
}

/// Convolutions, pooling, a mean over what is left of a picture of any size, and classes of it.
Model picture(const Shape& shape, std::shared_ptr<ConstantMemory> memory = nullptr) {
  Graph graph;
  graph.memory = std::move(memory);
  const TensorId x = graph.add_tensor("x", DType::f32, shape);
  graph.inputs = {x};
  const auto conv = [&](const std::string& name, TensorId from, int64_t channels, int64_t out,
                        int64_t kernel, int64_t stride, int64_t groups) {
    ops::ConvOptions options;
    options.window.strides = {stride, stride};
    options.window.pads = {kernel / 2, kernel / 2, kernel / 2, kernel / 2};
    options.groups = groups;
    const TensorId w = weights(graph, name + "_w", {out, channels / groups, kernel, kernel}, 3);
    const TensorId bias = weights(graph, name + "_b", {out}, 4);
    const TensorId y = ops::conv(graph, name, from, w, bias, options).value();
    return ops::activation(graph, name + "_relu", Activation::relu, y).value();
  };
  TensorId y = conv("first", x, 3, 16, 3, 2, 1);
  y = ops::max_pool(graph, "pool", y, {.kernel = {2, 2}, .strides = {2, 2}}).value();
  const TensorId side = conv("depthwise", y, 16, 16, 3, 1, 16);
  y = conv("wide", y, 16, 16, 3, 1, 1);
  y = ops::binary(graph, "sum", ScalarOp::add, y, side).value();
  y = conv("last", y, 16, 24, 1, 1, 1);
  y = ops::global_average_pool(graph, "mean", y).value();
  y = ops::flatten(graph, "flat", y).value();
  y = ops::matmul(graph, "classes", y, weights(graph, "classes_w", {24, 10}, 8)).value();
  graph.outputs = {y};
  return model_of(std::move(graph), shape);
}

/// One layer of attention over any number of tokens, and a soft-max over them.
Model tokens(const Shape& shape) {
  constexpr int64_t kWidth = 32;
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, shape);
  graph.inputs = {x};
  const auto product = [&](const std::string& name, TensorId from, int64_t rows, int64_t columns) {
    return ops::matmul(graph, name, from, weights(graph, name + "_w", {rows, columns}, 5)).value();
  };
  const TensorId query = product("query", x, kWidth, kWidth);
  const TensorId key = product("key", x, kWidth, kWidth);
  const TensorId value = product("value", x, kWidth, kWidth);
  const TensorId turned = ops::transpose(graph, "turned", key, {0, 2, 1}).value();
  const TensorId scores = ops::matmul(graph, "scores", query, turned).value();
  const TensorId shares = ops::softmax(graph, "shares", scores, {.axis = -1}).value();
  TensorId y = ops::matmul(graph, "mixed", shares, value).value();
  y = ops::binary(graph, "sum", ScalarOp::add, y, x).value();
  const TensorId scale = weights(graph, "scale", {kWidth}, 6);
  const TensorId shift = weights(graph, "shift", {kWidth}, 7);
  y = ops::layer_norm(graph, "norm", y, scale, shift).value().y;
  y = product("wide", y, kWidth, 2 * kWidth);
  y = ops::activation(graph, "mish", Activation::mish, y).value();
  y = product("narrow", y, 2 * kWidth, kWidth);
  graph.outputs = {y};
  return model_of(std::move(graph), shape);
}

void expect_right(const Model& model, const HostTensor& x,
                  const Result<std::vector<HostTensor>>& got) {
  ASSERT_OK(got);
  const auto want = evaluate(model.graph, std::vector<HostTensor>{x});
  ASSERT_OK(want);
  ASSERT_EQ(got->at(0).shape, want->at(0).shape);
  for (int64_t i = 0; i < element_count(want->at(0).shape); ++i) {
    const double wanted = want->at(0).number(i);
    ASSERT_NEAR(got->at(0).number(i), wanted, 2e-4 * std::max(1.0, std::abs(wanted))) << i;
  }
}

using FlowShapes = DeviceTest;

/// Runs all shapes so often that each class is known. They are more than stay ready, so each is
/// made ready anew the last time, and nothing may be compiled for it.
void run_shapes(const std::string& device, const std::function<Model(const Shape&)>& make,
                const std::vector<Shape>& shapes) {
  constexpr int kPasses = 3;
  constexpr size_t kReadyMax = 4;
  ASSERT_GT(shapes.size(), kReadyMax);
  Session session({.devices = machine_devices(2)});
  LoadOptions options;
  options.device = device;
  options.shapes_ready_max = kReadyMax;
  options.specialise = [&](std::span<const Shape> given) { return Result<Model>(make(given[0])); };
  const auto loaded = session.load(make(shapes[0]), options);
  ASSERT_OK(loaded);
  uint32_t told = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      SCOPED_TRACE(to_string(shapes[i]));
      const HostTensor x = random_tensor(shapes[i], static_cast<uint32_t>(i));
      expect_right(make(shapes[i]), x, (*loaded)->run(std::vector<HostTensor>{x}));
      const NetworkStats& stats = (*loaded)->network().stats();
      if (pass + 1 == kPasses) {
        EXPECT_EQ(stats.compiled, 0u);
        told += stats.told;
      }
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(told, 0u);
}

Model a_picture(const Shape& shape) { return picture(shape); }

/// A session with a model of pictures that are foreseen to be larger, whose constants are shared.
LoadOptions foreseeing(const std::string& device) {
  LoadOptions options;
  options.device = device;
  const auto memory = std::make_shared<ConstantMemory>();
  options.specialise = [memory](std::span<const Shape> given) -> Result<Model> {
    if (given[0].size() != 4 || given[0][2] < 8) {
      return Error(ErrorKind::invalid_argument, "The picture is too small.");
    }
    return picture(given[0], memory);
  };
  options.foresee = [](std::span<const Shape> given) {
    std::vector<ShapeSets> groups;
    for (const int64_t more : {int64_t{-1000}, int64_t{160}}) {  // the first cannot be had
      ShapeSets sets;
      for (const auto& [down, right] : {std::pair{more, 2 * more}, std::pair{2 * more, more}}) {
        sets.push_back({{given[0][0], given[0][1], given[0][2] + down, given[0][3] + right}});
      }
      groups.push_back(std::move(sets));
    }
    return groups;
  };
  return options;
}

TEST_P(FlowShapes, WhatIsForeseenCompilesNothingAndWeightsAreThere) {
  if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
  Session session({.devices = machine_devices(2)});
  const LoadOptions options = foreseeing(GetParam().name);
  const std::vector<Shape> first = {{1, 3, 40, 56}};
  const auto loaded = session.load(*options.specialise(first), options);
  ASSERT_OK(loaded);
  EXPECT_GT((*loaded)->network().stats().compiled, 0u);
  const uint64_t weights_bytes = (*loaded)->network().stats().copies[CopyCause::weights];
  EXPECT_GT(weights_bytes, 0u);
  for (const Shape& shape : std::vector<Shape>{{1, 3, 40, 56}, {1, 3, 48, 72}, {1, 3, 56, 88}}) {
    SCOPED_TRACE(to_string(shape));
    const HostTensor x = random_tensor(shape, 1);
    expect_right(picture(shape), x, (*loaded)->run(std::vector<HostTensor>{x}));
    if (shape == first[0]) continue;
    EXPECT_EQ((*loaded)->network().stats().compiled, 0u);
    EXPECT_EQ((*loaded)->network().stats().copies[CopyCause::weights], 0u);
  }
}

TEST_P(FlowShapes, AModelWaitsForShapesThatItCanHave) {
  if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
  Session session({.devices = machine_devices(2)});
  LoadOptions options = foreseeing(GetParam().name);
  options.waits_for_shapes = true;
  Model declared = picture({1, 3, 8, 8});
  declared.inputs[0].shape = {-1, 3, -1, -1};
  declared.graph = {};
  const auto loaded = session.load(std::move(declared), options);
  ASSERT_OK(loaded);
  ASSERT_OK((*loaded)->check_device());
  const auto expect_waits = [&] {
    const Result<void> ready = (*loaded)->check_ready();
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().kind(), ErrorKind::invalid_argument);
    EXPECT_FALSE((*loaded)->start());
  };
  expect_waits();
  EXPECT_NE((*loaded)->check_ready().error().message().find("(-1, 3, -1, -1)"), std::string::npos);
  const std::vector<Shape> small = {{1, 3, 4, 4}};
  EXPECT_FALSE((*loaded)->take_shapes(small));
  expect_waits();
  EXPECT_EQ((*loaded)->model().inputs[0].shape, (Shape{-1, 3, -1, -1}));
  EXPECT_FALSE((*loaded)->take_shapes({}));
  const HostTensor x = random_tensor({1, 3, 33, 47}, 1);
  expect_right(picture(x.shape), x, (*loaded)->run(std::vector<HostTensor>{x}));
  ASSERT_OK((*loaded)->check_ready());
}

// Memory of the caller's is its own again once the model has other shapes.
TEST(FlowPlacedShapes, PlacedMemoryIsForgottenWithItsShape) {
  if (const auto cpu = open_compiling_cpu(1); !cpu) GTEST_SKIP() << cpu.error().message();
  Session session({.devices = machine_devices(2)});
  const LoadOptions options = foreseeing("cpu");
  const std::vector<Shape> first = {{1, 3, 40, 56}}, second = {{1, 3, 48, 72}};
  const auto loaded = session.load(*options.specialise(first), options);
  ASSERT_OK(loaded);
  const HostTensor x = random_tensor(first[0], 1);
  const auto place = [](Network& network) -> Result<void> {
    TRY_ASSIGN(Buffer memory, network.device().allocate(size_t{1} << 16, MemoryKind::shared));
    return network.place_input(0, std::move(memory));
  };
  ASSERT_OK((*loaded)->alone(place));
  EXPECT_TRUE((*loaded)->network().has_placed());
  expect_right(picture(first[0]), x, (*loaded)->run(std::vector<HostTensor>{x}));
  EXPECT_TRUE((*loaded)->network().has_placed());  // the shapes are the same
  ASSERT_OK((*loaded)->take_shapes(second));
  ASSERT_OK((*loaded)->take_shapes(first));
  EXPECT_FALSE((*loaded)->network().has_placed());
  expect_right(picture(first[0]), x, (*loaded)->run(std::vector<HostTensor>{x}));
}

// An even extent ends its last window of stride 2 elsewhere than an odd one; square pictures have
// fewer numbers.
TEST_P(FlowShapes, PicturesOfAnySize) {
  if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
  run_shapes(GetParam().name, a_picture,
             {{1, 3, 40, 56}, {1, 3, 47, 75}, {1, 3, 52, 61}, {1, 3, 33, 90}, {1, 3, 64, 70}});
}

TEST_P(FlowShapes, SquarePictures) {
  if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
  run_shapes(GetParam().name, a_picture,
             {{1, 3, 64, 64}, {1, 3, 51, 51}, {1, 3, 80, 80}, {1, 3, 96, 96}, {1, 3, 47, 47}});
}

TEST_P(FlowShapes, AnyNumberOfTokens) {
  if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
  run_shapes(GetParam().name, tokens,
             {{2, 20, 32}, {2, 37, 32}, {2, 48, 32}, {2, 25, 32}, {2, 61, 32}, {2, 56, 32}});
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowShapes, testing::ValuesIn(tested_devices()), test_name_of);

}  // namespace
}  // namespace leat
