// The elementary functions of leat/lower/math_kernels.h on every device, against the C library in
// double: on half a million floats spread over all exponents, a dense range, and special values.
//
// The bounds are measured and rounded up: on cpu (AVX2), lavapipe and llvmpipe (Mesa 22.3.6). The
// last two have no fused multiply-add. Near their zeros sin, cos and tan show the rounding of the
// third part of pi/2, hence 16; elsewhere they are within 2.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "leat/run/network.h"
#include "leat/tensor/ops.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNormalMin = std::numeric_limits<float>::min();
constexpr float kLargest = std::numeric_limits<float>::max();

std::vector<float> special_values() {
  std::vector<float> values = {0.0f,     kInfinity, std::nanf(""), kNormalMin,
                               kLargest, 1e-45f,    1e-40f};
  for (float near : {0.5f, 0.625f, 1.0f, 2.0f, 88.0f, 88.72283f, 88.72284f, 89.0f, 89.4f, 103.97f,
                     104.0f, 1e5f, 8388608.0f, 1e9f, 2147483648.0f}) {
    values.insert(values.end(),
                  {std::nextafter(near, 0.0f), near, std::nextafter(near, kInfinity)});
  }
  for (int n = 1; n < 64; ++n) values.push_back(static_cast<float>(n * 0.7853981633974483));
  const size_t count = values.size();
  for (size_t i = 0; i < count; ++i) values.push_back(-values[i]);
  return values;
}

/// Special values, every 8191st float, and a dense range.
std::vector<float> inputs_of(float low, float high) {
  std::vector<float> values = special_values();
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 8191) {
    const auto word = static_cast<uint32_t>(bits);
    float value = 0;
    std::memcpy(&value, &word, sizeof value);
    values.push_back(value);
  }
  constexpr int kDense = 1 << 18;
  for (int i = 0; i <= kDense; ++i) {
    values.push_back(low + (high - low) * (static_cast<float>(i) / kDense));
  }
  return values;
}

HostTensor tensor_of(const std::vector<float>& values) {
  HostTensor tensor = HostTensor::zeros(DType::f32, {static_cast<int64_t>(values.size())});
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

using Build = Result<TensorId> (*)(Graph& graph, ScalarOp op, const std::vector<TensorId>& inputs);

Result<TensorId> build_unary(Graph& graph, ScalarOp op, const std::vector<TensorId>& inputs) {
  return ops::unary(graph, "y", op, inputs[0]);
}

Result<TensorId> build_power(Graph& graph, ScalarOp, const std::vector<TensorId>& inputs) {
  return ops::pow(graph, "y", inputs[0], inputs[1]);
}

Result<std::vector<float>> run_function(Device& device, ScalarOp op, Build build,
                                        const std::vector<std::vector<float>>& inputs) {
  Graph graph;
  for (size_t i = 0; i < inputs.size(); ++i) {
    graph.inputs.push_back(graph.add_tensor("x" + std::to_string(i), DType::f32,
                                            {static_cast<int64_t>(inputs[i].size())}));
  }
  TRY_ASSIGN(const TensorId y, build(graph, op, graph.inputs));
  graph.outputs.push_back(y);
  TRY_ASSIGN(const std::unique_ptr<Network> network, Network::load(device, graph, {}));
  for (size_t i = 0; i < inputs.size(); ++i) TRY(network->set_input(i, tensor_of(inputs[i])));
  TRY(network->run());
  TRY_ASSIGN(const HostTensor output, network->output(0));
  std::vector<float> results(inputs[0].size());
  std::memcpy(results.data(), output.bytes.data(), output.bytes.size());
  return results;
}

/// |got - want| in units in the last place of `want`; infinity where one is NaN or infinite and
/// the other is not. GPUs may flush results below the normal numbers.
double ulp_error(float got, double want, bool may_flush) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : kInfinity;
  if (std::isnan(got)) return kInfinity;
  if (std::abs(want) >= 0x1.ffffffp127) want = std::copysign(kInfinity, want);
  if (std::isinf(want)) return std::isinf(got) && (got > 0) == (want > 0) ? 0 : kInfinity;
  if (may_flush && std::abs(want) < kNormalMin && std::abs(got) <= kNormalMin) return 0;
  const double magnitude = std::abs(want);
  const int exponent = magnitude < kNormalMin ? -126 : std::min(std::ilogb(magnitude), 127);
  // Infinity stands for the number after the largest.
  const double value = std::isinf(got) ? std::copysign(0x1p128, got) : got;
  return std::abs(value - want) / std::ldexp(1.0, exponent - 23);
}

struct FunctionRow {
  ScalarOp op;
  double (*reference)(double);
  float low, high;      // dense here
  float magnitude_max;  // of finite inputs for which the bound holds
  double ulp_max;
};

constexpr FunctionRow kRows[] = {
    {ScalarOp::sqrt, std::sqrt, 0, 9, kLargest, 0.501},
    {ScalarOp::exp, std::exp, -105, 89, kLargest, 1.5},
    {ScalarOp::expm1, std::expm1, -20, 2, kLargest, 1.5},
    {ScalarOp::log, std::log, 0.25, 4, kLargest, 2.5},
    {ScalarOp::log1p, std::log1p, -1, 3, kLargest, 4},
    {ScalarOp::sin, std::sin, -100, 100, 100, 16},
    {ScalarOp::cos, std::cos, -100, 100, 100, 16},
    {ScalarOp::tan, std::tan, -100, 100, 100, 16},
    {ScalarOp::asin, std::asin, -1, 1, kLargest, 3},
    {ScalarOp::acos, std::acos, -1, 1, kLargest, 2},
    {ScalarOp::atan, std::atan, -9, 9, kLargest, 3},
    {ScalarOp::sinh, std::sinh, -90, 90, kLargest, 3.5},
    {ScalarOp::cosh, std::cosh, -90, 90, kLargest, 3.5},
    {ScalarOp::tanh, std::tanh, -10, 10, kLargest, 2},
    {ScalarOp::asinh, std::asinh, -9, 9, kLargest, 4},
    {ScalarOp::acosh, std::acosh, 1, 9, kLargest, 4},
    {ScalarOp::atanh, std::atanh, -1, 1, kLargest, 4},
    {ScalarOp::erf, std::erf, -4, 4, kLargest, 4},
};

class ScalarFunctions : public DeviceTest {
 protected:
  bool is_cpu() { return device().target().is_cpu; }

  /// GPUs may read numbers below the normal ones as 0.
  bool is_tested(float x, float magnitude_max) {
    const float magnitude = std::abs(x);
    if (magnitude > magnitude_max && magnitude <= kLargest) return false;
    return is_cpu() || x == 0 || !(magnitude < kNormalMin);
  }
};

TEST_P(ScalarFunctions, WithinUlp) {
  for (const FunctionRow& row : kRows) {
    SCOPED_TRACE(name_of(row.op));
    const std::vector<float> inputs = inputs_of(row.low, row.high);
    const auto results = run_function(device(), row.op, build_unary, {inputs});
    ASSERT_OK(results);
    double worst = 0;
    float worst_at = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!is_tested(inputs[i], row.magnitude_max)) continue;
      const double error = ulp_error((*results)[i], row.reference(inputs[i]), !is_cpu());
      if (error > worst) {
        worst = error;
        worst_at = inputs[i];
      }
    }
    RecordProperty(std::string(name_of(row.op)), std::to_string(worst));
    EXPECT_LE(worst, row.ulp_max) << "at " << worst_at;
  }
}

/// The floats that are nearest to multiples of pi/2, and others far out.
std::vector<float> far_inputs() {
  std::vector<float> values = inputs_of(-1e5f, 1e5f);
  for (float near : {8192.0f, 13176795.0f, 16367173.0f * 0x1p72f, 1e22f, kLargest}) {
    for (float value : {std::nextafter(near, 0.0f), near}) {
      values.insert(values.end(), {value, -value});
    }
  }
  return values;
}

// From 8192 on the argument is reduced exactly. Before that n times a part of pi/2 is rounded,
// which near a zero is many units of the last place, but little in all: measured 6e-8.
TEST_P(ScalarFunctions, SinesFarOut) {
  constexpr float kExactFrom = 8192;
  const std::vector<float> inputs = far_inputs();
  const std::pair<ScalarOp, double (*)(double)> functions[] = {
      {ScalarOp::sin, std::sin}, {ScalarOp::cos, std::cos}, {ScalarOp::tan, std::tan}};
  for (const auto& [op, reference] : functions) {
    SCOPED_TRACE(name_of(op));
    const auto results = run_function(device(), op, build_unary, {inputs});
    ASSERT_OK(results);
    double worst_ulp = 0, worst_absolute = 0;
    float worst_at = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const float x = inputs[i];
      const double want = reference(x);
      if (std::abs(x) < kExactFrom) {
        const double error = std::abs((*results)[i] - want);
        if (op != ScalarOp::tan) worst_absolute = std::max(worst_absolute, error);
        continue;
      }
      const double error = ulp_error((*results)[i], want, !is_cpu());
      if (error > worst_ulp) worst_at = x;
      worst_ulp = std::max(worst_ulp, error);
    }
    RecordProperty(std::string(name_of(op)) + "_far", std::to_string(worst_ulp));
    EXPECT_LE(worst_ulp, op == ScalarOp::tan ? 5 : 2.5) << "at " << worst_at;
    EXPECT_LE(worst_absolute, 1e-7);
  }
}

Result<TensorId> build_remainder(Graph& graph, ScalarOp, const std::vector<TensorId>& inputs) {
  return ops::mod(graph, "y", inputs[0], inputs[1], true);
}

// A remainder has no rounding, however large the quotient is.
TEST_P(ScalarFunctions, RemainderIsExact) {
  std::vector<float> dividends, divisors;
  const std::vector<float> special = special_values();
  for (float a : special) {
    for (float b : special) {
      dividends.push_back(a);
      divisors.push_back(b);
    }
  }
  std::mt19937 random(7);
  for (int i = 0; i < 200000; ++i) {
    for (std::vector<float>* values : {&dividends, &divisors}) {
      const auto word = static_cast<uint32_t>(random());
      float value = 0;
      std::memcpy(&value, &word, sizeof value);
      values->push_back(value);
    }
  }
  const auto results =
      run_function(device(), ScalarOp::rem, build_remainder, {dividends, divisors});
  ASSERT_OK(results);
  for (size_t i = 0; i < dividends.size(); ++i) {
    if (!is_tested(dividends[i], kLargest) || !is_tested(divisors[i], kLargest)) continue;
    const float want = std::fmod(dividends[i], divisors[i]);
    const float got = (*results)[i];
    if (std::isnan(want) && std::isnan(got)) continue;
    if (!is_cpu() && std::abs(want) < kNormalMin && std::abs(got) < kNormalMin) continue;
    ASSERT_EQ(got, want) << dividends[i] << " modulo " << divisors[i];
    ASSERT_EQ(std::signbit(got), std::signbit(want)) << dividends[i] << " modulo " << divisors[i];
  }
}

// exp(y log x): the rounding of y log x, 2^-24 of it, is one of the result. By squaring, the
// rounding of each step is doubled in the next.
TEST_P(ScalarFunctions, PowerWithinUlp) {
  std::vector<float> bases, exponents;
  for (bool whole : {false, true}) {
    for (int i = -300; i <= 300; ++i) {
      for (int j = -200; j <= 200; ++j) {
        const float magnitude = std::exp2(static_cast<float>(i) * 0.0631f);
        bases.push_back(whole && i % 3 == 0 ? -magnitude : magnitude);
        exponents.push_back(static_cast<float>(j) * (whole ? 1.0f : 0.0377f));
      }
    }
  }
  const auto results = run_function(device(), ScalarOp::pow, build_power, {bases, exponents});
  ASSERT_OK(results);
  double worst = 0;
  size_t worst_at = 0;
  for (size_t i = 0; i < bases.size(); ++i) {
    const double want = std::pow(static_cast<double>(bases[i]), exponents[i]);
    // At the ends of the range 1 / x^n overflows or vanishes before the result does.
    if (std::abs(want) < kNormalMin || std::abs(want) > kLargest / 2) continue;
    const double scale = 1 + std::abs(std::log(std::abs(want)));
    const double error = ulp_error((*results)[i], want, !is_cpu()) / scale;
    if (error > worst) {
      worst = error;
      worst_at = i;
    }
  }
  RecordProperty("pow", std::to_string(worst));
  EXPECT_LE(worst, 5) << bases[worst_at] << " to the power " << exponents[worst_at] << " is "
                      << (*results)[worst_at];
}

TEST_P(ScalarFunctions, PowerOfSpecialValues) {
  std::vector<float> bases, exponents;
  for (float a : {0.0f, 0.5f, 1.0f, 2.0f, -0.5f, -1.0f, -2.0f, kInfinity, -kInfinity, -3e38f,
                  std::nanf("")}) {
    for (float b : {0.0f, 0.5f, 1.0f, 2.0f, 3.0f, -0.5f, -1.0f, -2.0f, -3.0f, 64.0f, 65.0f, -65.0f,
                    1e9f, -1e9f, 3e9f, 3e38f, kInfinity, -kInfinity, std::nanf("")}) {
      bases.push_back(a);
      exponents.push_back(b);
    }
  }
  const auto results = run_function(device(), ScalarOp::pow, build_power, {bases, exponents});
  ASSERT_OK(results);
  for (size_t i = 0; i < bases.size(); ++i) {
    const double want = std::pow(bases[i], exponents[i]);
    EXPECT_LE(ulp_error((*results)[i], want, !is_cpu()), 64)
        << bases[i] << " to the power " << exponents[i] << " is " << (*results)[i] << " instead of "
        << want;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, ScalarFunctions, testing::ValuesIn(tested_devices()),
                         test_name_of);

}  // namespace
}  // namespace leat
