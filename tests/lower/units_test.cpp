// Products by matrix units, run by the interpreter on a target that has them, under tiles of many
// forms: operands that are copied in whole vectors or gathered, along k or along the rows, with
// rests of all three sizes, batches, parts of k and an epilogue. What the model chooses is among
// them.
#include <gtest/gtest.h>

#include "leat/lower/lower.h"
#include "leat/schedule/widen_channels.h"
#include "leat/tensor/ops.h"
#include "tests/lower/lowered_case.h"

namespace leat {

using namespace ops;
using namespace testing;

namespace {

Target unit_target() {
  Target target = gpu_target(32);
  target.name = "test gpu with matrix units";
  target.format = CodeFormat::cubin;
  target.llvm_cpu = "sm_80";
  target.tile_rates = TileRates::ptxas;
  target.local_memory_bytes_max = 160 * 1024;
  return target;
}

Target hopper_target() {
  Target target = unit_target();
  target.llvm_cpu = "sm_90a";
  target.local_memory_bytes_max = 227 * 1024;
  target.lanes_per_workgroup_max = 1024;
  return target;
}

/// What NVIDIA's Vulkan driver offers.
Target shader_target() {
  Target target = gpu_target(32);
  target.name = "test gpu with cooperative matrices";
  target.format = CodeFormat::spirv_pointers;
  target.local_memory_bytes_max = 49152;
  for (const ShaderProduct product :
       {ShaderProduct::f16_16x16x16, ShaderProduct::f16_16x8x16, ShaderProduct::bf16_16x16x16}) {
    target.shader_products |= 1u << static_cast<uint32_t>(product);
  }
  return target;
}

HostTensor random_of(DType dtype, Shape shape, uint32_t seed) {
  const HostTensor real = random_tensor(shape, seed);
  HostTensor value = HostTensor::zeros(dtype, std::move(shape));
  for (int64_t i = 0; i < element_count(value.shape); ++i) value.set_number(i, real.number(i));
  return value;
}

/// Sums that hardly differ may be rounded to neighbours among the outputs' numbers.
constexpr double kHalfUlp = 0x1p-10, kBrainUlp = 0x1p-7;

struct UnitTileForm {
  uint32_t waves_m, waves_n, reg_m, reg_n, vec_n, k_step, stages, split_k;
  uint32_t unit_m = 16, unit_n = 8, unit_waves = 1;
};

ChooseFunction tile_of(const UnitTileForm& form, size_t& used) {
  return [&used, form](const Schedule& schedule, const Node& node, const Target& target,
                       Splitting splitting) -> KernelParams {
    const ContractionParams params = {
        .waves_m = form.waves_m,
        .waves_n = form.waves_n,
        .reg_m = form.reg_m,
        .reg_n = form.reg_n,
        .vec_n = form.vec_n,
        .k_step = form.k_step,
        .stages = form.stages,
        .split_k = splitting == Splitting::allowed ? form.split_k : 1,
        .group_m = 3,
        .unit_m = form.unit_m,
        .unit_n = form.unit_n,
        .unit_k = 16,
        .unit_waves = form.unit_waves,
    };
    if (!is_legal(schedule, node, params, target)) {
      return choose_by_model(schedule, node, target, splitting);
    }
    ++used;
    return params;
  };
}

constexpr UnitTileForm kForms[] = {
    {2, 2, 2, 2, 4, 32, 3, 1}, {1, 1, 1, 1, 1, 16, 2, 1}, {2, 1, 1, 4, 2, 16, 4, 1},
    {1, 2, 3, 1, 2, 64, 2, 1}, {2, 2, 1, 2, 2, 16, 3, 2},
};
/// Of products that four waves share.
constexpr UnitTileForm kTileForms[] = {
    {4, 1, 1, 1, 4, 64, 3, 1, 64, 64, 4},
    {8, 1, 1, 1, 1, 64, 3, 1, 64, 128, 4},
    {4, 1, 2, 1, 2, 128, 3, 1, 64, 64, 4},
    {4, 2, 1, 2, 4, 64, 4, 2, 64, 64, 4},
};

/// Of drivers' products, 2 x 2 waves of 64x64 among them, whose sums come back fragment by
/// fragment.
constexpr UnitTileForm kShaderForms[] = {
    {2, 2, 4, 4, 4, 32, 2, 1, 16, 16}, {4, 1, 2, 4, 4, 32, 2, 1, 16, 16},
    {1, 1, 1, 1, 1, 16, 2, 1, 16, 16}, {1, 2, 1, 3, 4, 16, 2, 2, 16, 16},
    {2, 1, 2, 2, 2, 48, 2, 1, 16, 16},
};

Case product_case(DType dtype, Shape a, Shape b, bool constant, bool turn_a, bool turn_b) {
  Case test;
  test.terms = a.back();
  test.rounding = dtype == DType::f16 ? kHalfUlp : kBrainUlp;
  const auto add = [&](const char* name, Shape shape, uint32_t seed, bool is_constant) {
    HostTensor value = random_of(dtype, shape, seed);
    if (is_constant) return test.graph.add_constant(name, std::move(value));
    const TensorId id = test.graph.add_tensor(name, dtype, shape);
    test.graph.inputs.push_back(id);
    test.inputs.push_back(std::move(value));
    return id;
  };
  if (turn_a || turn_b) {
    if (turn_a) std::swap(a[0], a[1]);
    if (turn_b) std::swap(b[0], b[1]);
    const TensorId x = add("a", a, 1, false), y = add("b", b, 2, constant);
    const GemmOptions options = {.transpose_a = turn_a, .transpose_b = turn_b};
    const auto product = gemm(test.graph, "gemm", x, y, kNoTensor, options);
    CHECK(product.has_value());
    test.graph.outputs.push_back(*product);
    return test;
  }
  const TensorId x = add("a", a, 1, false), y = add("b", b, 2, constant);
  const auto product = matmul(test.graph, "matmul", x, y);
  CHECK(product.has_value());
  const auto relu = activation(test.graph, "relu", Activation::relu, *product);
  CHECK(relu.has_value());
  test.graph.outputs.push_back(*relu);
  return test;
}

Case conv_case(DType dtype, Shape x_shape, Shape w_shape, int64_t stride, int64_t pad) {
  Case test;
  test.terms = w_shape[1] * w_shape[2] * w_shape[3];
  test.rounding = dtype == DType::f16 ? kHalfUlp : kBrainUlp;
  const TensorId x = test.graph.add_tensor("x", dtype, x_shape);
  test.graph.inputs.push_back(x);
  test.inputs.push_back(random_of(dtype, x_shape, 1));
  const TensorId w = test.graph.add_constant("w", random_of(dtype, w_shape, 2));
  const TensorId bias = test.graph.add_constant("bias", random_of(dtype, {w_shape[0]}, 3));
  ConvOptions options;
  options.window.strides = {stride, stride};
  options.window.pads = {pad, pad, pad, pad};
  const auto y = conv(test.graph, "conv", x, w, bias, options);
  CHECK(y.has_value());
  test.graph.outputs.push_back(*y);
  return test;
}

void check_forms(const Case& test, const Target& target, std::span<const UnitTileForm> forms,
                 const std::string& what) {
  for (size_t i = 0; i < forms.size(); ++i) {
    for (const bool last : {false, true}) {
      size_t used = 0;
      Chooser chooser(target, tile_of(forms[i], used));
      check(test, target, {.chooser = &chooser, .external_channels_last = last},
            what + ", form " + std::to_string(i));
      if (::testing::Test::HasFatalFailure()) return;
      EXPECT_TRUE(used > 0 || test.terms % 2 == 1) << what << ", form " << i;
    }
  }
  check(test, target, {}, what + ", by the model");
}

void check_forms(const Case& test, const std::string& what) {
  check_forms(test, unit_target(), kForms, what);
  check_forms(test, hopper_target(), kTileForms, what + " in tiles");
  check_forms(test, shader_target(), kShaderForms, what + " by shaders");
}

TEST(Units, ProductsOfMatrices) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    for (const bool constant : {true, false}) {
      check_forms(product_case(dtype, {40, 64}, {64, 48}, constant, false, false), "plain");
      check_forms(product_case(dtype, {37, 50}, {50, 19}, constant, false, false), "odd");
    }
  }
  check_forms(product_case(DType::f16, {40, 64}, {64, 48}, false, true, false), "a turned");
  check_forms(product_case(DType::f16, {40, 64}, {64, 48}, false, false, true), "b turned");
  check_forms(product_case(DType::f16, {37, 70}, {70, 21}, true, true, true), "both turned");
  check_forms(product_case(DType::f16, {3, 24, 32}, {3, 32, 16}, false, false, false), "batches");
}

TEST(Units, Convolutions) {
  check_forms(conv_case(DType::f16, {2, 16, 9, 7}, {24, 16, 3, 3}, 1, 1), "3x3");
  check_forms(conv_case(DType::bf16, {1, 32, 8, 8}, {16, 32, 1, 1}, 1, 0), "1x1");
  check_forms(conv_case(DType::f16, {1, 3, 15, 13}, {16, 3, 5, 5}, 2, 2), "few channels");
  check_forms(conv_case(DType::f16, {1, 8, 11, 11}, {10, 8, 3, 3}, 2, 1), "stride");
}

// The first convolution of a picture: the copy, and what the units make of it.
TEST(Units, FewChannelsAreWidened) {
  Case test = conv_case(DType::f16, {1, 3, 15, 13}, {16, 3, 5, 5}, 2, 2);
  const auto want = evaluate(test.graph, test.inputs);
  ASSERT_TRUE(want);
  widen_channels(test.graph, hopper_target(), 1);
  ASSERT_EQ(test.graph.nodes.size(), 2u);
  EXPECT_EQ(test.graph.nodes[0].op, "Pad");
  const auto same = evaluate(test.graph, test.inputs);
  ASSERT_TRUE(same);
  EXPECT_EQ((*same)[0].bytes, (*want)[0].bytes);
  size_t used = 0;
  Chooser chooser(hopper_target(), tile_of(kTileForms[0], used));
  check(test, hopper_target(), {.chooser = &chooser, .external_channels_last = true}, "widened");
  EXPECT_GT(used, 0u);

  Case small = conv_case(DType::f16, {1, 3, 15, 13}, {16, 3, 5, 5}, 2, 2);
  widen_channels(small.graph, hopper_target());
  EXPECT_EQ(small.graph.nodes.size(), 1u) << "too small to repay a copy";
  Case wide = conv_case(DType::f16, {1, 4, 15, 13}, {16, 4, 5, 5}, 2, 2);
  widen_channels(wide.graph, hopper_target(), 1);
  EXPECT_EQ(wide.graph.nodes.size(), 1u);
}

std::string text_of(const Case& test, const Target& target) {
  const auto schedule = make_schedule(test.graph, target, {});
  if (!schedule) return schedule.error().message();
  const auto kernel = lower(*schedule, schedule->steps.back(), target);
  return kernel ? kernel->text : kernel.error().message();
}

TEST(Units, PackedWeightsAreFetchedAheadWhereTheyFit) {
  const auto fetches = [](const Case& test, const Target& target) {
    return text_of(test, target).find("prefetch in1[") != std::string::npos;
  };
  const Case small = product_case(DType::f16, {40, 64}, {64, 48}, true, false, false);
  EXPECT_TRUE(fetches(small, hopper_target()));
  EXPECT_FALSE(fetches(small, unit_target())) << "no such instruction before sm_90";
  const Case given = product_case(DType::f16, {40, 64}, {64, 48}, false, false, false);
  EXPECT_FALSE(fetches(given, hopper_target())) << "not packed";
  const Case rows = product_case(DType::f16, {64 * 300, 64}, {64, 48}, true, false, false);
  EXPECT_FALSE(fetches(rows, hopper_target())) << "others have fetched them";
  const Case large = product_case(DType::f16, {64, 2048}, {2048, 4608}, true, false, false);
  EXPECT_FALSE(fetches(large, hopper_target())) << "18 MiB";
}

TEST(Units, AreChosenWhereTheTargetHasThem) {
  const Case test = conv_case(DType::f16, {2, 64, 28, 28}, {64, 64, 3, 3}, 1, 1);
  const auto with = make_schedule(test.graph, unit_target(), {});
  ASSERT_TRUE(with);
  EXPECT_TRUE(std::get<ContractionParams>(with->steps[0].params).by_units());
  Target turing = unit_target();
  turing.llvm_cpu = "sm_75";
  const auto without = make_schedule(test.graph, turing, {});
  ASSERT_TRUE(without);
  EXPECT_FALSE(std::get<ContractionParams>(without->steps[0].params).by_units());
}

TEST(Units, AreChosenWhereTheDriverOffersThem) {
  const Case test = conv_case(DType::f16, {2, 64, 28, 28}, {64, 64, 3, 3}, 1, 1);
  const auto with = make_schedule(test.graph, shader_target(), {});
  ASSERT_TRUE(with);
  const auto& params = std::get<ContractionParams>(with->steps[0].params);
  EXPECT_TRUE(params.by_units());
  EXPECT_LE(units_local_bytes(params, 2, true), shader_target().local_memory_bytes_max);
  Target others[] = {shader_target(), shader_target()};
  others[0].shader_products = 0;
  others[1].format = CodeFormat::spirv_bindings;
  for (const Target& other : others) {
    const auto without = make_schedule(test.graph, other, {});
    ASSERT_TRUE(without);
    EXPECT_FALSE(std::get<ContractionParams>(without->steps[0].params).by_units());
  }
}

// A whole tile of four waves and its sums do not fit into 48 KiB at once, but fragment by fragment.
TEST(Units, SumsComeBackInAsManyPartsAsFit) {
  const ContractionParams params = {.waves_m = 2,
                                    .waves_n = 2,
                                    .reg_m = 4,
                                    .reg_n = 4,
                                    .vec_n = 4,
                                    .k_step = 32,
                                    .stages = 2,
                                    .unit_m = 16,
                                    .unit_n = 16,
                                    .unit_k = 16};
  EXPECT_EQ(unit_patch_fragments(params, 2), 1u);
  EXPECT_LE(units_local_bytes(params, 2, true), kUnitLocalBytesWanted);
  ContractionParams half = params;
  half.reg_m = half.reg_n = 2;
  EXPECT_EQ(unit_patch_fragments(half, 2), 2u);
}

// Illegal ones name the field and its value.
TEST(Units, WhatTheUnitsDoNotTakeIsRefused) {
  const Case halves = product_case(DType::f16, {40, 64}, {64, 48}, true, false, false);
  const auto schedule = make_schedule(halves.graph, unit_target(), {});
  ASSERT_TRUE(schedule);
  const Node& node = schedule->graph.nodes[schedule->steps[0].node];
  const ContractionParams good = {
      .vec_n = 2, .k_step = 32, .stages = 3, .unit_m = 16, .unit_n = 8, .unit_k = 16};
  ASSERT_TRUE(is_legal(*schedule, node, good, unit_target()));
  const auto refuses = [&](const char* part,
                           const std::function<void(ContractionParams&)>& change) {
    ContractionParams params = good;
    change(params);
    const Result<void> legal = is_legal(*schedule, node, params, unit_target());
    ASSERT_FALSE(legal) << part;
    EXPECT_NE(legal.error().message().find(part), std::string::npos) << legal.error().message();
  };
  refuses("unit (32)", [](ContractionParams& p) { p.unit_m = 32; });
  refuses("unit_k (16)", [](ContractionParams& p) { p.k_step = 24; });
  refuses("stages (1)", [](ContractionParams& p) { p.stages = 1; });
  refuses("stages (9)", [](ContractionParams& p) { p.stages = 9; });
  refuses("last_adds (1)", [](ContractionParams& p) { p.split_k = 2, p.last_adds = 1; });
  Node of_nothing = node;
  of_nothing.reduce.assign(of_nothing.reduce.size(), 0);
  const Result<void> legal = is_legal(*schedule, of_nothing, good, unit_target());
  ASSERT_FALSE(legal);
  EXPECT_NE(legal.error().message().find("k of one or more"), std::string::npos)
      << legal.error().message();
  refuses("local memory", [](ContractionParams& p) { p.reg_m = p.reg_n = 12, p.k_step = 512; });
}

}  // namespace

}  // namespace leat
