// Models whose sizes follow from values, on every device: right whatever the sizes, kept where
// these come again, and refused where a part alone would not do.
#include <gtest/gtest.h>

#include <vector>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"
#include "leat/run/session.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

/// y = those of 2x that are above 0 without those that are not below `most`; and 3x.
OnnxModel chosen_model() {
  OnnxBuilder builder;
  builder.input("x", {-1});
  HostTensor number = HostTensor::zeros(DType::f32, {1});
  builder.constant("zero", number);
  number.set_number(0, 10);
  builder.constant("most", number);
  builder.node("Add", {"x", "x"}, {"twice"});
  builder.node("Greater", {"twice", "zero"}, {"is_above"});
  builder.node("Compress", {"twice", "is_above"}, {"above"});
  builder.node("Neg", {"above"}, {"minus"});
  builder.node("Neg", {"minus"}, {"plus"});
  builder.node("Less", {"plus", "most"}, {"is_below"});
  builder.node("Compress", {"plus", "is_below"}, {"chosen"});
  builder.node("Add", {"chosen", "zero"}, {"y"});
  builder.node("Add", {"x", "twice"}, {"z"});
  builder.output("y");
  builder.output("z");
  return std::move(OnnxModel::parse(builder.bytes(), "chosen.onnx")).value();
}

HostTensor floats(const std::vector<double>& values) {
  HostTensor made = HostTensor::zeros(DType::f32, {std::ssize(values)});
  for (size_t i = 0; i < values.size(); ++i) made.set_number(static_cast<int64_t>(i), values[i]);
  return made;
}

std::vector<double> numbers(const HostTensor& tensor) {
  std::vector<double> values;
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) values.push_back(tensor.number(i));
  return values;
}

class FlowParts : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
    LoadOptions options;
    options.device = GetParam().name;
    options.specialise = [this](std::span<const Shape> shapes) {
      ImportOptions import;
      import.in_parts = true;
      import.input_shapes = {{ "x", shapes[0] }};
      return file_.specialised(import);
    };
    auto loaded = session_.load(options.specialise(std::vector<Shape>{{5}}).value(), options);
    ASSERT_OK(loaded);
    loaded_ = std::move(*loaded);
  }

  void expect_run(const std::vector<double>& x, const std::vector<double>& y) {
    const auto got = loaded_->run(std::vector<HostTensor>{floats(x)});
    ASSERT_OK(got);
    ASSERT_EQ(got->size(), 2u);
    EXPECT_EQ(numbers(got->at(0)), y);
    std::vector<double> z;
    for (const double value : x) z.push_back(3 * value);
    EXPECT_EQ(numbers(got->at(1)), z);
  }

  OnnxModel file_ = chosen_model();
  Session session_{{.devices = machine_devices(2)}};
  std::unique_ptr<LoadedModel> loaded_;
};

TEST_P(FlowParts, RunForEverySize) {
  for (int round = 0; round < 2; ++round) {
    expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
    expect_run({-1, -1, -2, -7, 0}, {});
    expect_run({8, 7, 6, 5, -7}, {});
    expect_run({4, 3, 2, 1, 0.5}, {8, 6, 4, 2, 1});
    expect_run({4, 3}, {8, 6});
  }
}

TEST_P(FlowParts, WhatComesAgainIsThere) {
  expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
  const std::vector<Network*> first = loaded_->networks();
  EXPECT_EQ(first.size(), 3u);
  expect_run({-1, -1, -2, -7, 0}, {});
  expect_run({3, 9, -2, 1, 2}, {6, 2, 4});
  EXPECT_EQ(loaded_->networks(), first);
  EXPECT_GT(loaded_->stats().kernels, loaded_->network().stats().kernels);
}

TEST_P(FlowParts, ManySizesAreForgotten) {
  std::vector<double> x(2 * kNextPartsMax, -1.0);
  std::vector<double> y;
  for (double& value : x) {
    value = 1;
    y.push_back(2);
    expect_run(x, y);
  }
}

TEST_P(FlowParts, AreNotStartedInPlace) {
  const Result<StartedRun> run = loaded_->start();
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(run.error().message().find("part by part"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowParts, testing::ValuesIn(tested_devices()), test_name_of);

}  // namespace
}  // namespace leat
