// The oracle's answer beside the kernels'.
#include "tests/lower/lowered_case.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/lower/interpreted_network.h"

namespace leat::testing {

namespace {

/// Sums of `terms` products of numbers below 1 in f32 against f64.
double tolerance(int64_t terms) { return 1e-6 * std::sqrt(static_cast<double>(terms)) + 1e-6; }

void expect_equal(const HostTensor& got, const HostTensor& want, double tolerance_value,
                  const std::string& what) {
  ASSERT_EQ(got.shape, want.shape) << what;
  for (int64_t i = 0; i < element_count(want.shape); ++i) {
    const double difference = std::abs(got.number(i) - want.number(i));
    ASSERT_LE(difference, tolerance_value * std::max(1.0, std::abs(want.number(i))))
        << what << ", element " << i << ": " << got.number(i) << " instead of " << want.number(i);
  }
}

}  // namespace

HostTensor random_tensor(Shape shape, uint32_t seed) {
  HostTensor value = HostTensor::zeros(DType::f32, std::move(shape));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_number(i, uniform(generator));
  }
  return value;
}

Target cpu_target(uint32_t lanes) {
  Target target;
  target.name = "test cpu";
  target.is_cpu = true;
  target.waves_hide_latency = false;
  target.local_memory_is_fast = false;
  target.uniform_loads_broadcast = true;
  target.wave_lanes = lanes;
  target.lanes_per_workgroup_max = lanes;
  target.vector_registers = 16;
  return target;
}

Target gpu_target(uint32_t lanes) {
  Target target;
  target.name = "test gpu";
  target.wave_lanes = lanes;
  target.compute_units = 4;
  return target;
}

Target software_target(uint32_t lanes) {
  Target target = gpu_target(lanes);
  target.name = "test software gpu";
  target.software = true;
  target.waves_hide_latency = false;
  target.local_memory_is_fast = false;
  return target;
}

void check(const Case& test, const Target& target, const ScheduleOptions& options,
           const std::string& what) {
  const auto want = evaluate(test.graph, test.inputs);
  ASSERT_TRUE(want) << want.error().message();
  for (const Openness openness : {Openness::none, Openness::all}) {
    const std::string how = what + (openness == Openness::all ? ", open" : "");
    const auto got = run_interpreted(test.graph, target, options, test.inputs, openness);
    ASSERT_TRUE(got) << how << ": " << got.error().message();
    ASSERT_EQ(got->size(), want->size());
    for (size_t i = 0; i < want->size(); ++i) {
      const double near = test.is_exact ? 0 : tolerance(test.terms) + test.rounding;
      expect_equal((*got)[i], (*want)[i], near, how);
    }
  }
}

void check_on_all_targets(const Case& test, const std::string& what) {
  for (bool last : {false, true}) {
    const ScheduleOptions options{.external_channels_last = last};
    for (uint32_t lanes : {4u, 8u}) {
      Target cpu = cpu_target(lanes);
      if (lanes == 8) cpu.vector_registers = 32;
      check(test, cpu, options, what + " on cpu " + std::to_string(lanes));
    }
    check(test, gpu_target(32), options, what + " on gpu");
    check(test, software_target(8), options, what + " on software gpu");
  }
}

}  // namespace leat::testing
