// Products whose k are multiplied several at once where a CPU has that: pairs of bf16 by dot
// products, 32 of them by tile registers. Run by the interpreter, as the model has them and in
// tiles of other forms, with rests of rows and columns, padding, strides and groups.
#include <gtest/gtest.h>

#include "leat/ir/text.h"
#include "leat/lower/lower.h"
#include "leat/tensor/ops.h"
#include "tests/lower/lowered_case.h"

namespace leat {

using namespace ops;
using namespace testing;

namespace {

Target dot_target() {
  Target target = cpu_target(16);
  target.name = "test cpu with dot products of bf16";
  target.format = CodeFormat::native_object;
  target.llvm_features = "+avx512f,+avx512bf16";
  target.local_memory_bytes_max = 65536;
  return target;
}

Target tile_target() {
  Target target = dot_target();
  target.name = "test cpu with tile registers";
  target.llvm_features += ",+amx-bf16,+amx-tile";
  return target;
}

// A result is rounded to 8 bits once; what the sum differs by may put it on the other side.
constexpr double kBrainUlp = 0x1p-7;

HostTensor random_of(Shape shape, uint32_t seed) {
  const HostTensor real = random_tensor(shape, seed);
  HostTensor value = HostTensor::zeros(DType::bf16, std::move(shape));
  for (int64_t i = 0; i < element_count(value.shape); ++i) value.set_number(i, real.number(i));
  return value;
}

struct ConvForm {
  Shape x, w;
  int64_t stride = 1, pad = 0, groups = 1;
};

Case conv_case(const ConvForm& form) {
  Case test;
  test.terms = form.w[1] * form.w[2] * form.w[3];
  test.rounding = kBrainUlp;
  const TensorId x = test.graph.add_tensor("x", DType::bf16, form.x);
  test.graph.inputs.push_back(x);
  test.inputs.push_back(random_of(form.x, 1));
  const TensorId w = test.graph.add_constant("w", random_of(form.w, 2));
  const TensorId bias = test.graph.add_constant("bias", random_of({form.w[0]}, 3));
  ConvOptions options;
  options.window.strides = {form.stride, form.stride};
  options.window.pads = {form.pad, form.pad, form.pad, form.pad};
  options.groups = form.groups;
  const auto y = conv(test.graph, "conv", x, w, bias, options);
  CHECK(y.has_value());
  const auto relu = activation(test.graph, "relu", Activation::relu, *y);
  CHECK(relu.has_value());
  test.graph.outputs.push_back(*relu);
  return test;
}

Case product_case(int64_t m, int64_t n, int64_t k) {
  Case test;
  test.terms = k;
  test.rounding = kBrainUlp;
  const TensorId x = test.graph.add_tensor("x", DType::bf16, {m, k});
  test.graph.inputs.push_back(x);
  test.inputs.push_back(random_of({m, k}, 1));
  const TensorId w = test.graph.add_constant("w", random_of({k, n}, 2));
  const auto y = matmul(test.graph, "matmul", x, w);
  CHECK(y.has_value());
  test.graph.outputs.push_back(*y);
  return test;
}

/// With `k_dot` and rows and columns that are not the model's; counts the kernels that are so.
ChooseFunction tile_of(uint32_t k_dot, uint32_t reg_m, uint32_t reg_n, size_t& used) {
  return [=, &used](const Schedule& schedule, const Node& node, const Target& target,
                    Splitting splitting) -> KernelParams {
    const ContractionParams params = {.lane_n = target.wave_lanes,
                                      .reg_m = reg_m,
                                      .reg_n = reg_n,
                                      .k_step = 1,
                                      .group_m = 3,
                                      .k_dot = k_dot};
    if (!is_legal(schedule, node, params, target)) {
      return choose_by_model(schedule, node, target, splitting);
    }
    ++used;
    return params;
  };
}

void check_forms(const Case& test, const std::string& what) {
  for (const auto& [k_dot, reg_m, reg_n] :
       {std::array{2u, 4u, 2u}, {2u, 3u, 1u}, {32u, 16u, 1u}, {32u, 32u, 2u}, {32u, 16u, 3u}}) {
    size_t used = 0;
    const Target target = k_dot == 2 ? dot_target() : tile_target();
    Chooser chooser(target, tile_of(k_dot, reg_m, reg_n, used));
    check(test, target, {.chooser = &chooser, .external_channels_last = true},
          what + " by " + std::to_string(k_dot));
    if (::testing::Test::HasFatalFailure()) return;
    EXPECT_GT(used, 0u) << what << " by " << k_dot;
  }
  for (const bool last : {false, true}) {
    check(test, dot_target(), {.external_channels_last = last}, what + ", dots by the model");
    check(test, tile_target(), {.external_channels_last = last}, what + ", tiles by the model");
  }
}

TEST(Dots, Convolutions) {
  check_forms(conv_case({.x = {2, 32, 7, 9}, .w = {24, 32, 3, 3}, .pad = 1}), "3x3");
  check_forms(conv_case({.x = {1, 64, 8, 8}, .w = {40, 64, 1, 1}}), "1x1");
  check_forms(conv_case({.x = {1, 32, 11, 9}, .w = {17, 32, 5, 5}, .stride = 2, .pad = 2}), "5x5");
  check_forms(conv_case({.x = {2, 64, 6, 6}, .w = {32, 32, 3, 3}, .pad = 1, .groups = 2}),
              "two groups");
}

TEST(Dots, ProductsOfMatrices) {
  check_forms(product_case(64, 48, 64), "whole tiles");
  check_forms(product_case(37, 19, 96), "rests");
  check_forms(product_case(1, 33, 32), "one row");
}

// What does not lie in words is paired one by one: channels that are odd, or outermost.
TEST(Dots, PairsAreGathered) {
  const auto k_dot = [](const Case& test, const Target& target, bool last) {
    const auto schedule = make_schedule(test.graph, target, {.external_channels_last = last});
    CHECK(schedule.has_value());
    return std::get<ContractionParams>(schedule->steps[0].params).k_dot;
  };
  const Case odd = conv_case({.x = {1, 3, 9, 9}, .w = {16, 3, 3, 3}, .pad = 1});
  const Case even = conv_case({.x = {1, 6, 9, 9}, .w = {20, 6, 3, 3}, .stride = 2, .pad = 1});
  for (const bool last : {false, true}) {
    for (const Case* test : {&odd, &even}) {
      check(*test, dot_target(), {.external_channels_last = last}, "dots");
      check(*test, tile_target(), {.external_channels_last = last}, "tiles");
      EXPECT_EQ(k_dot(*test, dot_target(), last), 2u);
      EXPECT_EQ(k_dot(*test, tile_target(), last), 2u);
      EXPECT_EQ(k_dot(*test, cpu_target(16), last), 1u);
    }
  }
  const Case one = conv_case({.x = {1, 1, 9, 9}, .w = {16, 1, 3, 3}, .pad = 1});
  EXPECT_EQ(k_dot(one, dot_target(), true), 1u);
  check(product_case(5, 17, 19), dot_target(), {}, "an odd depth");
}

TEST(Dots, WhatIsNotInGroupsIsRefused) {
  const Case test = product_case(37, 48, 64);
  const auto schedule = make_schedule(test.graph, tile_target(), {});
  ASSERT_TRUE(schedule);
  const Node& node = schedule->graph.nodes[schedule->steps[0].node];
  const ContractionParams good = {.lane_n = 16, .reg_m = 32, .reg_n = 2, .k_step = 1, .k_dot = 32};
  ASSERT_TRUE(is_legal(*schedule, node, good, tile_target()));
  const auto read = parse_contraction_params(to_string(good));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, good);
  EXPECT_FALSE(parse_contraction_params(to_string(good) + "x"));
  const auto refuses = [&](const std::string& why, const Target& target,
                           const std::function<void(ContractionParams&)>& change) {
    ContractionParams params = good;
    change(params);
    const Result<void> legal = is_legal(*schedule, node, params, target);
    ASSERT_FALSE(legal) << why;
    EXPECT_NE(legal.error().message().find(why), std::string::npos) << legal.error().message();
  };
  refuses("no dot product", dot_target(), [](ContractionParams&) {});
  refuses("no dot product", tile_target(), [](ContractionParams& p) { p.k_dot = 4; });
  refuses("no dot product", tile_target(), [](ContractionParams& p) { p.k_dot = 64; });
  refuses("whole fragments", tile_target(), [](ContractionParams& p) { p.reg_m = 24; });
  refuses("plain tile", tile_target(), [](ContractionParams& p) { p.split_k = 2; });
  refuses("plain tile", tile_target(), [](ContractionParams& p) { p.stages = 2; });
}

}  // namespace

}  // namespace leat
