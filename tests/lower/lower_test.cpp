// Both families, lowered under many parameters for several kinds of target, run by the interpreter
// and compared with the reference evaluator. Parameters may only change speed, never results.
#include <gtest/gtest.h>

#include "leat/tensor/ops.h"
#include "tests/lower/interpreted_network.h"
#include "tests/lower/lowered_case.h"

namespace leat {

using namespace ops;
using namespace testing;

namespace {

struct ConvCase {
  int64_t n, c, h, w, k, r, stride, pad, groups, dilation;
};

Case conv_case(const ConvCase& s, bool constant_weights, Activation function = Activation::relu) {
  Case test;
  test.terms = s.c / s.groups * s.r * s.r;
  const TensorId x = test.graph.add_tensor("x", DType::f32, {s.n, s.c, s.h, s.w});
  test.graph.inputs.push_back(x);
  test.inputs.push_back(random_tensor({s.n, s.c, s.h, s.w}, 1));
  const HostTensor weights = random_tensor({s.k, s.c / s.groups, s.r, s.r}, 2);
  TensorId w = kNoTensor;
  if (constant_weights) {
    w = test.graph.add_constant("w", weights);
  } else {
    w = test.graph.add_tensor("w", DType::f32, weights.shape);
    test.graph.inputs.push_back(w);
    test.inputs.push_back(weights);
  }
  const TensorId bias = test.graph.add_constant("bias", random_tensor({s.k}, 3));
  ConvOptions options;
  options.groups = s.groups;
  options.window.strides = {s.stride, s.stride};
  options.window.dilations = {s.dilation, s.dilation};
  options.window.pads = {s.pad, s.pad, s.pad, s.pad};
  auto y = conv(test.graph, "conv", x, w, bias, options);
  CHECK(y.has_value());
  auto z = activation(test.graph, "activation", function, *y);
  CHECK(z.has_value());
  test.graph.outputs.push_back(*z);
  return test;
}

TEST(Lower, ConvolutionsOnAllTargets) {
  const ConvCase cases[] = {
      {1, 3, 9, 9, 5, 3, 1, 1, 1, 1},   {2, 8, 7, 7, 16, 3, 1, 1, 1, 1},
      {1, 3, 17, 13, 9, 7, 2, 3, 1, 1}, {1, 16, 6, 6, 24, 1, 1, 0, 1, 1},
      {1, 8, 9, 9, 12, 3, 2, 0, 4, 1},  {1, 4, 11, 11, 6, 3, 1, 2, 2, 2},
      {1, 6, 8, 8, 6, 3, 1, 1, 6, 1},   {1, 1, 1, 1, 1, 1, 1, 0, 1, 1},
  };
  for (const ConvCase& shape : cases) {
    for (bool constant_weights : {true, false}) {
      check_on_all_targets(conv_case(shape, constant_weights),
                           "conv c" + std::to_string(shape.c) + " r" + std::to_string(shape.r) +
                               " g" + std::to_string(shape.groups));
      if (HasFatalFailure()) return;
    }
  }
}

template <uint32_t stages, uint32_t k_step, uint32_t reg, uint32_t vec>
KernelParams staged(const Schedule& schedule, const Node& node, const Target& target,
                    Splitting splitting) {
  const KernelParams params = choose_by_model(schedule, node, target, splitting);
  if (!std::holds_alternative<ContractionParams>(params)) return params;
  return ContractionParams{.lane_m = 4,
                           .lane_n = target.wave_lanes / 4,
                           .waves_m = 2,
                           .waves_n = 1,
                           .reg_m = reg,
                           .reg_n = reg,
                           .vec_m = vec,
                           .vec_n = vec,
                           .k_step = k_step,
                           .stages = stages,
                           .group_m = 3};
}

TEST(Lower, StagedTilesUnderManyParameters) {
  const ConvCase cases[] = {
      {1, 16, 10, 10, 32, 3, 1, 1, 1, 1},
      {1, 3, 12, 12, 20, 3, 1, 1, 1, 1},
      {1, 12, 5, 5, 36, 1, 1, 0, 1, 1},
      {2, 8, 6, 7, 16, 3, 2, 1, 2, 1},
  };
  const ChooseFunction choices[] = {staged<1, 8, 4, 4>,  staged<2, 8, 4, 4>, staged<2, 4, 4, 2>,
                                    staged<2, 16, 8, 4>, staged<1, 4, 2, 1>, staged<2, 8, 2, 2>};
  for (const ConvCase& shape : cases) {
    for (size_t i = 0; i < std::size(choices); ++i) {
      for (bool constant_weights : {true, false}) {
        for (bool last : {true, false}) {
          Chooser chooser(gpu_target(16), choices[i]);
          check(conv_case(shape, constant_weights), gpu_target(16),
                {.chooser = &chooser, .external_channels_last = last},
                "staged choice " + std::to_string(i) + " c" + std::to_string(shape.c));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

template <uint32_t parts, uint32_t last_adds = 0>
KernelParams split(const Schedule& schedule, const Node& node, const Target& target,
                   Splitting splitting) {
  KernelParams params = choose_by_model(schedule, node, target, splitting);
  auto* product = std::get_if<ContractionParams>(&params);
  if (splitting == Splitting::allowed && product != nullptr) {
    product->split_k = parts;
    product->last_adds = last_adds;
  }
  return params;
}

TEST(Lower, SplitOfKWhereTheLastWorkgroupAdds) {
  const Case plain = conv_case({2, 16, 6, 6, 24, 3, 1, 1, 1, 1}, true);
  const Case grouped = conv_case({1, 16, 6, 6, 24, 3, 1, 1, 2, 1}, true);
  const Case row = conv_case({1, 512, 1, 1, 300, 1, 1, 0, 1, 1}, true);
  const Case uneven = conv_case({1, 96, 7, 10, 70, 1, 1, 0, 1, 1}, false);
  for (const Case& test : {plain, grouped, row, uneven}) {
    for (const Target& target : {cpu_target(8), gpu_target(32)}) {
      Chooser in_four(target, split<4, 1>);
      check(test, target, {.chooser = &in_four}, "the last adds");
    }
  }
  Chooser in_four(gpu_target(32), split<4, 1>);
  const auto schedule = make_schedule(plain.graph, gpu_target(32), {.chooser = &in_four});
  ASSERT_TRUE(schedule);
  ASSERT_EQ(schedule->steps.size(), 1u);
  EXPECT_EQ(schedule->steps[0].scratch.size(), 2u);
}

// WGSL has no way to tell who comes last.
TEST(Lower, WhereNobodyCanTellTheLastNobodyAdds) {
  Target target = gpu_target(32);
  target.format = CodeFormat::wgsl;
  Chooser in_four(target, split<4, 1>);
  const Case test = conv_case({2, 16, 6, 6, 24, 3, 1, 1, 1, 1}, true);
  const auto schedule = make_schedule(test.graph, target, {.chooser = &in_four});
  ASSERT_FALSE(schedule);
  EXPECT_NE(schedule.error().message().find("last_adds (1)"), std::string::npos);
}

TEST(Lower, SplitOfK) {
  const ConvCase shape = {2, 16, 6, 6, 24, 3, 1, 1, 1, 1};
  const ConvCase grouped = {1, 16, 6, 6, 24, 3, 1, 1, 2, 1};
  for (const ConvCase& s : {shape, grouped}) {
    for (const Target& target : {cpu_target(8), gpu_target(32)}) {
      Chooser in_four(target, split<4>);
      check(conv_case(s, true), target, {.chooser = &in_four}, "split 4");
      Chooser in_two(target, split<2>);
      check(conv_case(s, true), target, {.chooser = &in_two, .external_channels_last = true},
            "split 2");
    }
  }
}

Case matmul_case(Shape a_shape, Shape b_shape) {
  Case test;
  test.terms = a_shape.back();
  for (const Shape& shape : {a_shape, b_shape}) {
    test.graph.inputs.push_back(test.graph.add_tensor("i", DType::f32, shape));
    test.inputs.push_back(random_tensor(shape, static_cast<uint32_t>(test.inputs.size())));
  }
  auto y = matmul(test.graph, "matmul", test.graph.inputs[0], test.graph.inputs[1]);
  CHECK(y.has_value());
  test.graph.outputs.push_back(*y);
  return test;
}

TEST(Lower, MatrixProducts) {
  check_on_all_targets(matmul_case({5, 7}, {7, 9}), "5x7x9");
  check_on_all_targets(matmul_case({2, 33, 20}, {2, 20, 17}), "batched");
  check_on_all_targets(matmul_case({64, 32}, {32, 64}), "64x32x64");
  check_on_all_targets(matmul_case({7}, {7}), "dot product");
}

/// Rows times a constant matrix, as at the end of a classifier, with what follows in the epilogue.
Case dense_case(int64_t rows, int64_t terms, int64_t columns) {
  Case test;
  test.terms = terms;
  const TensorId x = test.graph.add_tensor("x", DType::f32, {rows, terms});
  test.graph.inputs = {x};
  test.inputs = {random_tensor({rows, terms}, 5)};
  const TensorId w = test.graph.add_constant("w", random_tensor({terms, columns}, 6));
  const TensorId bias = test.graph.add_constant("bias", random_tensor({columns}, 7));
  const TensorId y = matmul(test.graph, "y", x, w).value();
  const TensorId z = binary(test.graph, "z", ScalarOp::add, y, bias).value();
  test.graph.outputs = {activation(test.graph, "relu", Activation::relu, z).value()};
  return test;
}

TEST(Lower, FewRowsTimesManyColumns) {
  check_on_all_targets(dense_case(1, 512, 300), "1x512x300");
  check_on_all_targets(dense_case(7, 36, 130), "7x36x130");
  check_on_all_targets(dense_case(3, 1030, 129), "3x1030x129");
  check_on_all_targets(dense_case(1, 256, 40), "1x256x40");
  check_on_all_targets(matmul_case({1, 512}, {512, 300}), "1x512x300, not constant");
  // These are split along k: four units want 32 waves.
  Case test = dense_case(2, 512, 300);
  const auto schedule = make_schedule(test.graph, gpu_target(32), {});
  ASSERT_TRUE(schedule);
  EXPECT_EQ(schedule->steps.size(), 2u);
  EXPECT_EQ(std::get<ContractionParams>(schedule->steps[0].params).lane_n, 32u);
}

/// The second factor has its k innermost.
Case turned_case(int64_t rows, int64_t terms, int64_t columns) {
  Case test;
  test.terms = terms;
  for (const Shape& shape : {Shape{rows, terms}, Shape{columns, terms}}) {
    test.graph.inputs.push_back(test.graph.add_tensor("i", DType::f32, shape));
    test.inputs.push_back(random_tensor(shape, static_cast<uint32_t>(test.inputs.size())));
  }
  const TensorId turned = transpose(test.graph, "turned", test.graph.inputs[1], {1, 0}).value();
  test.graph.outputs = {matmul(test.graph, "y", test.graph.inputs[0], turned).value()};
  return test;
}

template <uint32_t stages, uint32_t k_step, uint32_t reg_n, uint32_t vec_n>
KernelParams turned_tile(const Schedule& schedule, const Node& node, const Target& target,
                         Splitting splitting) {
  KernelParams params = choose_by_model(schedule, node, target, splitting);
  auto* product = std::get_if<ContractionParams>(&params);
  if (product == nullptr) return params;
  *product = {.lane_m = target.wave_lanes / 8,
              .lane_n = 8,
              .waves_n = 2,
              .reg_m = 2,
              .reg_n = reg_n,
              .vec_n = vec_n,
              .k_step = k_step,
              .stages = stages};
  return params;
}

// Where columns are fetched along k they stand in an order of their own in local memory.
TEST(Lower, SecondFactorWithItsTermsInnermost) {
  check_on_all_targets(turned_case(40, 36, 48), "40x36x48 turned");
  const ChooseFunction choices[] = {
      turned_tile<1, 4, 1, 1>,  turned_tile<1, 8, 4, 4>,  turned_tile<2, 16, 4, 4>,
      turned_tile<2, 16, 2, 2>, turned_tile<2, 16, 4, 1>, turned_tile<1, 32, 4, 2>,
      turned_tile<2, 12, 4, 4>, turned_tile<2, 64, 2, 1>, turned_tile<2, 6, 2, 2>};
  for (size_t i = 0; i < std::size(choices); ++i) {
    Chooser chooser(gpu_target(32), choices[i]);
    const std::string what = "choice " + std::to_string(i);
    const Case test = turned_case(37, 72, 75);
    check(test, gpu_target(32), {.chooser = &chooser}, what);
    const auto schedule = make_schedule(test.graph, gpu_target(32), {.chooser = &chooser});
    ASSERT_TRUE(schedule);
    EXPECT_GT(std::get<ContractionParams>(schedule->steps.back().params).stages, 0u) << what;
    if (HasFatalFailure()) return;
  }
}

// One row of many: as a sum that lanes share, each with four neighbours of the weights' row at
// once.
TEST(Lower, OneRowTimesMatrix) {
  for (const int64_t terms : {256, 516, 1030, 1032}) {
    check_on_all_targets(dense_case(1, terms, 33), "1x" + std::to_string(terms) + "x33");
  }
  const auto params_of = [](const Case& test) {
    const auto schedule = make_schedule(test.graph, gpu_target(32), {});
    CHECK(schedule && schedule->steps.size() == 1);
    const Placement& weights = schedule->placements[test.graph.nodes[0].inputs[1]];
    EXPECT_FALSE(weights.packed);
    EXPECT_EQ(weights.strides[0], 1) << "terms lie side by side";
    return std::get<MapReduceParams>(schedule->steps[0].params);
  };
  EXPECT_EQ(params_of(dense_case(1, 516, 33)),
            (MapReduceParams{.per_lane = 4, .lanes_reduce = 1, .unroll = 8}));
  // Where waves fill the chip as well: outputs of a lane's own would lie a row apart.
  EXPECT_EQ(params_of(dense_case(1, 256, 8192)).lanes_reduce, 1u);
  Target small_grids = gpu_target(32);
  for (uint32_t& count : small_grids.workgroups_max) count = 7;
  check(dense_case(1, 256, 40), small_grids, {}, "two workgroups without an output");
  EXPECT_EQ(params_of(dense_case(1, 1030, 33)), (MapReduceParams{.lanes_reduce = 1, .unroll = 8}))
      << "no whole vectors";
}

TEST(Lower, ManyRowsTimesFewColumns) {
  for (const int64_t columns : {1, 2, 3, 5, 7}) {
    const std::string what = "x" + std::to_string(columns);
    check_on_all_targets(dense_case(530, 36, columns), "530x36" + what);
    check_on_all_targets(matmul_case({2, 300, 20}, {2, 20, columns}), "2x300x20" + what);
    check_on_all_targets(conv_case({1, 16, 24, 25, columns, 5, 1, 2, 1, 1}, true), "conv" + what);
  }
  check_on_all_targets(conv_case({1, 3, 24, 25, 3, 3, 1, 1, 1, 1}, false), "3 channels to 3");
  check_on_all_targets(conv_case({3, 6, 24, 25, 6, 3, 2, 1, 3, 1}, true), "groups of 2");
  check(dense_case(9001, 16, 3), gpu_target(32), {}, "several rows a lane");
  Case test = dense_case(9001, 16, 3);
  const auto schedule = make_schedule(test.graph, gpu_target(32), {});
  ASSERT_TRUE(schedule);
  const ContractionParams& params = std::get<ContractionParams>(schedule->steps[0].params);
  EXPECT_EQ(params.lane_m, 32u);
  EXPECT_EQ(params.reg_m, 4u);
  EXPECT_EQ(params.tile_n(), 4u);
}

// Tiles of many rows, whole and not, of one column or more, with padding and without, and a
// sum over k that is long enough for parts.
TEST(Lower, FunctionsBehindProducts) {
  const ConvCase cases[] = {
      {1, 3, 9, 9, 16, 3, 1, 1, 1, 1},  {1, 8, 20, 20, 32, 3, 1, 1, 1, 1},
      {2, 16, 7, 6, 48, 1, 1, 0, 1, 1}, {1, 6, 13, 11, 10, 3, 2, 1, 2, 1},
      {1, 512, 2, 2, 8, 3, 1, 1, 1, 1}, {1, 4, 1, 1, 33, 1, 1, 0, 1, 1},
  };
  for (const ConvCase& shape : cases) {
    check_on_all_targets(conv_case(shape, true, Activation::sigmoid),
                         "sigmoid of conv c" + std::to_string(shape.c));
    if (HasFatalFailure()) return;
  }
}

// The rows of a tile are those of one product, however many products there are.
TEST(Lower, ManySmallProductsWithFewColumns) {
  struct Row {
    int64_t m;
    uint32_t tile_m;
  };
  for (const Row& row : {Row{3, 4}, {9, 4}, {16, 32}, {31, 32}, {33, 64}, {49, 64}, {130, 128}}) {
    const Case test = matmul_case({600, row.m, 5}, {600, 5, 3});
    check(test, gpu_target(32), {}, "600 products of " + std::to_string(row.m) + " rows");
    const auto schedule = make_schedule(test.graph, gpu_target(32), {});
    ASSERT_TRUE(schedule);
    EXPECT_EQ(std::get<ContractionParams>(schedule->steps[0].params).tile_m(), row.tile_m) << row.m;
  }
}

TEST(Lower, WeightsThatTheEpilogueReadsToo) {
  Case test;
  const TensorId x = test.graph.add_tensor("x", DType::f32, {24, 24});
  test.graph.inputs = {x};
  test.inputs = {random_tensor({24, 24}, 5)};
  const TensorId w = test.graph.add_constant("w", random_tensor({24, 24}, 6));
  const TensorId y = matmul(test.graph, "y", x, w).value();
  test.graph.outputs = {binary(test.graph, "z", ScalarOp::add, y, w).value()};
  test.terms = 24;
  check_on_all_targets(test, "x*w+w");
}

// A lane that takes in one number after another is wrong by 1.4e-4 in the first of these.
TEST(Lower, LongSumsLoseLittle) {
  HostTensor x = HostTensor::zeros(DType::f32, {1, 200, 500, 4});
  for (int64_t i = 0; i < element_count(x.shape); ++i) x.set_number(i, 0.1);
  for (const Ints& axes : {Ints{1, 2}, Ints{2}, Ints{1}}) {
    Graph graph;
    graph.inputs = {graph.add_tensor("x", DType::f32, x.shape)};
    graph.outputs = {reduce(graph, "sum", Reduction::sum, graph.inputs[0], {.axes = axes}).value()};
    const HostTensor want = evaluate(graph, std::span(&x, 1)).value()[0];
    for (const Openness openness : {Openness::none, Openness::all}) {
      const auto got = run_interpreted(graph, cpu_target(4), {}, std::span(&x, 1), openness);
      ASSERT_TRUE(got) << got.error().message();
      for (int64_t i = 0; i < element_count(want.shape); ++i) {
        EXPECT_NEAR((*got)[0].number(i) / want.number(i), 1, 4e-6) << axes.size() << " axes";
      }
    }
  }
}

TEST(Lower, GridsBeyondTheLimits) {
  Target target = gpu_target(32);
  for (uint32_t& limit : target.workgroups_max) limit = 3;
  check(matmul_case({5, 9, 20}, {5, 20, 17}), target, {}, "batch beyond grid z");
  check(conv_case({1, 4, 23, 23, 20, 3, 1, 1, 1, 1}, true), target, {}, "tiles beyond grid x");
}

TEST(Lower, SharedExpressionsOfManyMapsStaySmall) {
  Case test;
  TensorId y = test.graph.add_tensor("x", DType::f32, {8});
  test.graph.inputs = {y};
  test.inputs = {random_tensor({8}, 7)};
  for (int i = 0; i < 40; ++i) y = binary(test.graph, "square", ScalarOp::mul, y, y).value();
  test.graph.outputs = {y};
  check_on_all_targets(test, "x to the power 2^40");
}

// Each layer reads all before it and writes its part of the same tensor (join_concats.h).
TEST(Lower, LayersThatReadAllBeforeThem) {
  Case test;
  Graph& g = test.graph;
  const TensorId x = g.add_tensor("x", DType::f32, {1, 8, 5, 4});
  g.inputs.push_back(x);
  test.inputs.push_back(random_tensor({1, 8, 5, 4}, 31));
  std::vector<TensorId> parts = {unary(g, "start", ScalarOp::abs, x).value()};
  for (uint32_t i = 0; i < 3; ++i) {
    const TensorId all = parts.size() == 1 ? parts[0] : concat(g, "all", parts, 1).value();
    const TensorId w = g.add_constant("w", random_tensor({8, 8 * (i + 1), 3, 3}, 32 + i));
    const TensorId y =
        conv(g, "conv", all, w, kNoTensor, {.window = {.pads = {1, 1, 1, 1}}}).value();
    parts.push_back(unary(g, "relu", ScalarOp::abs, y).value());
  }
  g.outputs = {unary(g, "end", ScalarOp::neg, concat(g, "last", parts, 1).value()).value()};
  test.terms = 9 * 24;
  check_on_all_targets(test, "layers");
  const auto schedule = make_schedule(g, gpu_target(32), {});
  ASSERT_TRUE(schedule);
  EXPECT_EQ(schedule->steps.size(), 5u) << "a concatenation has kernels of its own";
}

TEST(Lower, MapReduceChains) {
  Case test;
  const TensorId x = test.graph.add_tensor("x", DType::f32, {2, 5, 6, 7});
  test.graph.inputs.push_back(x);
  test.inputs.push_back(random_tensor({2, 5, 6, 7}, 9));
  auto add = [&](Result<TensorId> result) {
    CHECK(result.has_value());
    test.graph.outputs.push_back(*result);
  };
  Window window;
  window.kernel = {3, 3};
  window.strides = {2, 2};
  window.pads = {1, 1, 1, 1};
  add(max_pool(test.graph, "pool", x, window));
  add(global_average_pool(test.graph, "gap", x));
  add(softmax(test.graph, "softmax", x, {.axis = 1}));
  add(transpose(test.graph, "transpose", x, {3, 1, 0, 2}));
  add(reshape(test.graph, "reshape", x, {10, 42}));
  add(lrn(test.graph, "lrn", x, {.size = 3}));
  check_on_all_targets(test, "map-reduce");
}

TEST(Lower, FusedResidualBlockIsOneKernelPerConvolution) {
  Case test;
  Graph& g = test.graph;
  const TensorId x = g.add_tensor("x", DType::f32, {1, 8, 6, 6});
  g.inputs.push_back(x);
  test.inputs.push_back(random_tensor({1, 8, 6, 6}, 4));
  ConvOptions options;
  options.window.pads = {1, 1, 1, 1};
  TensorId y = x;
  for (uint32_t i = 0; i < 2; ++i) {
    const TensorId w = g.add_constant("w", random_tensor({8, 8, 3, 3}, 10 + i));
    y = conv(g, "conv", y, w, kNoTensor, options).value();
    if (i == 0) y = activation(g, "relu", Activation::relu, y).value();
  }
  y = binary(g, "residual", ScalarOp::add, y, x).value();
  y = activation(g, "relu2", Activation::relu, y).value();
  g.outputs.push_back(y);
  test.terms = 72 * 72;
  check_on_all_targets(test, "residual block");
  const auto schedule = make_schedule(g, cpu_target(8), {});
  ASSERT_TRUE(schedule);
  EXPECT_EQ(schedule->steps.size(), 2u);
}

}  // namespace

}  // namespace leat
