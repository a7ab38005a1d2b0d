// Products whose factors are dequantised where they are loaded: under the parameters that the model
// chooses for each kind of target, and under tiles, vectors and splits that it would not choose.
#include <gtest/gtest.h>

#include "leat/tensor/ops.h"
#include "tests/lower/lowered_case.h"

namespace leat {

using namespace ops;
using namespace testing;

namespace {

HostTensor random_bytes(DType dtype, Shape shape, uint32_t seed) {
  const HostTensor numbers = random_tensor(shape, seed);
  HostTensor value = HostTensor::zeros(dtype, std::move(shape));
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_integer(i, static_cast<int64_t>(100 * std::abs(numbers.number(i))));
  }
  return value;
}

/// (x - zero) * scale, both of `shape` and below 1 when x is below 100.
TensorId dequantised(Graph& graph, const std::string& name, TensorId x, const Shape& shape) {
  HostTensor scale = HostTensor::zeros(DType::f32, shape);
  HostTensor zero = scale;
  for (int64_t i = 0; i < element_count(shape); ++i) {
    scale.set_number(i, 0.005 + 0.0001 * static_cast<double>(i % 7));
    zero.set_number(i, static_cast<double>(40 + i % 5));
  }
  const TensorId number = cast(graph, name + "_cast", x, DType::f32).value();
  const TensorId moved = binary(graph, name + "_moved", ScalarOp::sub, number,
                                graph.add_constant(name + "_zero", zero))
                             .value();
  return binary(graph, name, ScalarOp::mul, moved, graph.add_constant(name + "_scale", scale))
      .value();
}

enum class Weights { fed, constant };

TensorId add_weights(Case& test, Weights weights, HostTensor value) {
  if (weights == Weights::constant) {
    test.graph.fold_steps_left = 0;
    return test.graph.add_constant("w", std::move(value));
  }
  test.graph.inputs.push_back(test.graph.add_tensor("w", value.dtype, value.shape));
  test.inputs.push_back(std::move(value));
  return test.graph.inputs.back();
}

TensorId add_input(Case& test, HostTensor value) {
  test.graph.inputs.push_back(test.graph.add_tensor("x", value.dtype, value.shape));
  test.inputs.push_back(std::move(value));
  return test.graph.inputs.back();
}

Case product_case(int64_t m, int64_t k, int64_t n, Weights weights) {
  Case test;
  test.terms = k;
  const TensorId x = add_input(test, random_bytes(DType::u8, {m, k}, 1));
  const TensorId w = add_weights(test, weights, random_bytes(DType::i8, {k, n}, 2));
  const TensorId a = dequantised(test.graph, "a", x, {m, 1});
  const TensorId b = dequantised(test.graph, "b", w, {n});
  test.graph.outputs = {matmul(test.graph, "y", a, b).value()};
  return test;
}

/// Padded with 0, which is not what a byte of 0 stands for.
Case conv_case(int64_t c, int64_t features, Weights weights) {
  Case test;
  test.terms = c * 9;
  const TensorId x = add_input(test, random_bytes(DType::u8, {1, c, 9, 10}, 1));
  const TensorId w = add_weights(test, weights, random_bytes(DType::i8, {features, c, 3, 3}, 2));
  const TensorId a = dequantised(test.graph, "a", x, {1});
  const TensorId b = dequantised(test.graph, "b", w, {features, 1, 1, 1});
  test.graph.outputs = {
      conv(test.graph, "y", a, b, kNoTensor, {.window = {.pads = {1, 1, 2, 0}}}).value()};
  return test;
}

TEST(Factors, OnAllTargets) {
  for (const Weights weights : {Weights::fed, Weights::constant}) {
    const std::string what = weights == Weights::fed ? "fed " : "constant ";
    check_on_all_targets(product_case(5, 7, 9, weights), what + "small");
    check_on_all_targets(product_case(66, 48, 70, weights), what + "tiles");
    check_on_all_targets(product_case(1, 256, 192, weights), what + "one row");
    check_on_all_targets(product_case(300, 64, 3, weights), what + "three columns");
    check_on_all_targets(conv_case(5, 20, weights), what + "conv");
  }
}

template <uint32_t stages, uint32_t k_step, uint32_t reg, uint32_t vec, uint32_t parts,
          uint32_t last_adds>
KernelParams tile(const Schedule& schedule, const Node& node, const Target& target,
                  Splitting splitting) {
  KernelParams params = choose_by_model(schedule, node, target, splitting);
  auto* product = std::get_if<ContractionParams>(&params);
  if (product == nullptr || splitting != Splitting::allowed) return params;
  *product = {.lane_m = target.wave_lanes / 4,
              .lane_n = 4,
              .reg_m = reg,
              .reg_n = reg,
              .vec_m = vec,
              .vec_n = vec,
              .k_step = k_step,
              .stages = stages,
              .split_k = parts,
              .last_adds = last_adds};
  return params;
}

// All of them keep the factors in the product: one kernel, or two where another adds the parts.
TEST(Factors, UnderManyParameters) {
  const ChooseFunction choices[] = {tile<0, 4, 2, 1, 1, 0>, tile<0, 4, 4, 4, 1, 0>,
                                    tile<1, 8, 4, 4, 1, 0>, tile<2, 8, 4, 2, 1, 0>,
                                    tile<2, 4, 2, 1, 2, 0>, tile<2, 8, 4, 4, 2, 1>,
                                    tile<0, 4, 4, 4, 4, 1>};
  for (size_t i = 0; i < std::size(choices); ++i) {
    for (const Weights weights : {Weights::fed, Weights::constant}) {
      const Target target = gpu_target(16);
      Chooser chooser(target, choices[i]);
      const Case test = product_case(37, 48, 44, weights);
      const auto schedule = make_schedule(test.graph, target, {.chooser = &chooser});
      ASSERT_TRUE(schedule) << schedule.error().message();
      EXPECT_LE(schedule->steps.size(), 2u) << to_string(*schedule);
      check(test, target, {.chooser = &chooser}, "choice " + std::to_string(i));
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace leat
