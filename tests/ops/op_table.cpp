// Runs the rows of the table on every device found and compares with the f64 reference.
#include <gtest/gtest.h>

#include <cmath>

#include "leat/base/target_facts.h"
#include "leat/run/network.h"
#include "tests/ops/op_case.h"
#include "tests/ops/tested_devices.h"

namespace leat {

HostTensor OpGraph::random(const Shape& shape, DType dtype, double low, double high) {
  HostTensor value = HostTensor::zeros(dtype, shape);
  for (int64_t i = 0; i < element_count(shape); ++i) {
    state_ = state_ * 1664525u + 1013904223u;
    const double unit = static_cast<double>(state_ >> 8) / (1 << 24);
    if (dtype == DType::boolean) {
      value.set_integer(i, unit < 0.5 ? 0 : 1);
    } else if (is_float(dtype)) {
      value.set_number(i, low + (high - low) * unit);
    } else {
      value.set_integer(i, static_cast<int64_t>(std::floor(low + (high - low) * unit)));
    }
  }
  return value;
}

namespace {

HostTensor tensor_of(const Shape& shape, const std::vector<double>& values, DType dtype) {
  HostTensor tensor = HostTensor::zeros(dtype, shape);
  CHECK(values.size() == static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) {
    tensor.set_number(static_cast<int64_t>(i), values[i]);
  }
  return tensor;
}

}  // namespace

TensorId OpGraph::feed_values(const Shape& shape, const std::vector<double>& values, DType dtype) {
  const TensorId id = graph.add_tensor("in" + std::to_string(feeds.size()), dtype, shape);
  graph.inputs.push_back(id);
  feeds.push_back(tensor_of(shape, values, dtype));
  return id;
}

TensorId OpGraph::feed_whole(const Shape& shape, const std::vector<int64_t>& values, DType dtype) {
  const TensorId id = feed_values(shape, std::vector<double>(values.size()), dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    feeds.back().set_integer(static_cast<int64_t>(i), values[i]);
  }
  return id;
}

TensorId OpGraph::feed(const Shape& shape, DType dtype, double low, double high) {
  const TensorId id = graph.add_tensor("in" + std::to_string(feeds.size()), dtype, shape);
  graph.inputs.push_back(id);
  feeds.push_back(random(shape, dtype, low, high));
  return id;
}

TensorId OpGraph::constant(const Shape& shape, DType dtype, double low, double high) {
  return graph.add_constant("constant" + std::to_string(graph.tensors.size()),
                            random(shape, dtype, low, high));
}

TensorId OpGraph::constant_values(const Shape& shape, const std::vector<double>& values,
                                  DType dtype) {
  return graph.add_constant("constant" + std::to_string(graph.tensors.size()),
                            tensor_of(shape, values, dtype));
}

double sum_tolerance(int64_t terms) { return 1e-6 + 1e-6 * std::sqrt(static_cast<double>(terms)); }

namespace {

OpCases all_cases() {
  OpCases cases;
  add_contraction_cases(cases);
  add_elementwise_cases(cases);
  add_reduction_cases(cases);
  add_pool_cases(cases);
  add_norm_cases(cases);
  add_movement_cases(cases);
  add_resize_cases(cases);
  add_fusion_cases(cases);
  add_factor_cases(cases);
  add_type_cases(cases);
  add_nan_cases(cases);
  add_training_cases(cases);
  add_sample_cases(cases);
  add_feature_cases(cases);
  add_attention_cases(cases);
  add_quantize_cases(cases);
  add_scatter_cases(cases);
  add_recurrent_cases(cases);
  return cases;
}

const OpCases& cases() {
  static const OpCases table = all_cases();
  return table;
}

/// What an absolute error is measured by: 1, or the largest number where all are smaller.
double scale_of(const HostTensor& want) {
  double largest = 0;
  for (int64_t i = 0; i < element_count(want.shape); ++i) {
    const double magnitude = std::abs(want.number(i));
    if (std::isfinite(magnitude)) largest = std::max(largest, magnitude);
  }
  return largest > 0 ? std::min(largest, 1.0) : 1.0;
}

void expect_close(const HostTensor& got, const HostTensor& want, double tolerance) {
  ASSERT_EQ(got.shape, want.shape);
  ASSERT_EQ(got.dtype, want.dtype);
  const double scale = scale_of(want);
  for (int64_t i = 0; i < element_count(want.shape); ++i) {
    if (!is_float(want.dtype)) {
      ASSERT_EQ(got.integer(i), want.integer(i)) << "element " << i;
      continue;
    }
    const double g = got.number(i);
    const double w = want.number(i);
    if (std::isnan(w)) {
      ASSERT_TRUE(std::isnan(g)) << "element " << i << ": " << g << " instead of NaN";
    } else if (std::isinf(w)) {
      ASSERT_EQ(g, w) << "element " << i;
    } else {
      ASSERT_LE(std::abs(g - w), tolerance * std::max(scale, std::abs(w)))
          << "element " << i << ": " << g << " instead of " << w;
    }
  }
}

struct OpParameter {
  TestedDevice device;
  size_t row = 0;
};

void PrintTo(const OpParameter& parameter, std::ostream* out) {
  *out << cases()[parameter.row].name << " on " << parameter.device.name;
}

/// Software GPUs compile slowly. Each runs every third row in the normal run, a different third for
/// each, and the others in the slow one.
constexpr size_t kSoftwareShare = 3;

bool is_quick(const TestedDevice& device, size_t device_index, size_t row) {
  return !device.software_gpu || row % kSoftwareShare == device_index % kSoftwareShare;
}

std::vector<OpParameter> parameters(bool quick) {
  std::vector<OpParameter> chosen;
  const std::vector<TestedDevice>& devices = tested_devices();
  for (size_t i = 0; i < devices.size(); ++i) {
    for (size_t row = 0; row < cases().size(); ++row) {
      if (is_quick(devices[i], i, row) == quick) chosen.push_back({devices[i], row});
    }
  }
  return chosen;
}

/// Under a profile a device has a few rows of its own; all of them together about half the table.
constexpr size_t kProfileShare = 30;

std::vector<OpParameter> profiled_parameters(bool quick) {
  std::vector<OpParameter> chosen;
  const std::vector<TestedDevice> devices = profiled_devices();
  for (size_t i = 0; i < devices.size(); ++i) {
    for (size_t row = 0; row < cases().size(); ++row) {
      const bool is_own = row % kProfileShare == 2 * i % kProfileShare;
      if (is_own == quick) chosen.push_back({devices[i], row});
    }
  }
  return chosen;
}

std::string op_test_name_of(const testing::TestParamInfo<OpParameter>& info) {
  return info.param.device.test_name + "_" + cases()[info.param.row].name;
}

/// One read of theirs takes four tensors besides the result: indices and masks of two axes; or a
/// program takes a state and what tells how it changes.
bool is_beyond(const std::string& device, const std::string& row) {
  return device.ends_with("@vulkan-1.1-min") && (row.ends_with("_crop") || row.ends_with("_state"));
}

class Operators : public testing::TestWithParam<OpParameter> {};

TEST_P(Operators, EqualReference) {
  const auto& [tested, row] = GetParam();
  if (!tested.refusal.empty()) GTEST_SKIP() << tested.name << ": " << tested.refusal;
  const Result<Device*> device = open_devices().open(tested.name);
  ASSERT_OK(device);
  const OpCase& test = cases()[row];
  OpGraph g;
  const Result<TensorId> output = test.build(g);
  ASSERT_OK(output);
  g.graph.outputs.insert(g.graph.outputs.begin(), *output);
  const auto want = evaluate(g.graph, g.feeds);
  ASSERT_OK(want);
  const auto network = Network::load(**device, g.graph, {});
  if (!network && is_beyond(tested.name, test.name)) {
    EXPECT_EQ(network.error().kind(), ErrorKind::unsupported);
    GTEST_SKIP() << network.error().message();
  }
  ASSERT_OK(network);
  for (size_t i = 0; i < g.feeds.size(); ++i) ASSERT_OK((*network)->set_input(i, g.feeds[i]));
  ASSERT_OK((*network)->run());
  for (size_t i = 0; i < want->size(); ++i) {
    SCOPED_TRACE("output " + std::to_string(i));
    const Result<HostTensor> got = (*network)->output(i);
    ASSERT_OK(got);
    const bool is_exact = (*want)[i].dtype == DType::f64 && test.tolerance_f64 > 0 &&
                          facts_of((*device)->target()).has_f64;
    expect_close(*got, (*want)[i], is_exact ? test.tolerance_f64 : test.tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Operators, testing::ValuesIn(parameters(true)), op_test_name_of);
INSTANTIATE_TEST_SUITE_P(Slow, Operators, testing::ValuesIn(parameters(false)), op_test_name_of);
INSTANTIATE_TEST_SUITE_P(Profiles, Operators, testing::ValuesIn(profiled_parameters(true)),
                         op_test_name_of);
INSTANTIATE_TEST_SUITE_P(SlowProfiles, Operators, testing::ValuesIn(profiled_parameters(false)),
                         op_test_name_of);

}  // namespace
}  // namespace leat
