// Each feature that only makes kernels faster, looked for by itself: a golden list tells that a
// kernel changed, these tell that a feature died.
#include <gtest/gtest.h>

#include <algorithm>

#include "leat/ir/text.h"
#include "leat/lower/lower.h"
#include "leat/run/inspect.h"
#include "leat/schedule/schedule.h"
#include "leat/tensor/ops_quantize.h"
#include "tests/replay/network_builder.h"

namespace leat::replay {
namespace {

/// A graph as scheduled and lowered for a plain target.
struct Plan {
  Schedule schedule;
  std::vector<ir::Program> programs;  // by step

  const ContractionParams& contraction(size_t step = 0) const {
    return std::get<ContractionParams>(schedule.steps[step].params);
  }
};

Plan plan_of(const Result<Graph>& graph, std::string_view target_name) {
  CHECK(graph.has_value());
  const Target target = plain_target(target_name).value();
  Plan plan;
  plan.schedule = make_schedule(*graph, target, {}).value();
  for (const Step& step : plan.schedule.steps) {
    plan.programs.push_back(lower(plan.schedule, step, target).value().program);
  }
  return plan;
}

/// Instructions of the program that `wanted` holds for.
size_t count(const ir::Program& program, auto wanted) {
  return static_cast<size_t>(std::ranges::count_if(program.instructions, wanted));
}

auto is_load_of(uint32_t slot) {
  return [slot](const ir::Instruction& i) { return i.op == ir::Opcode::load && i.slot == slot; };
}

size_t vector_loads(const ir::Program& program, uint32_t slot) {
  return count(program, [&](const ir::Instruction& i) {
    return is_load_of(slot)(i) && program.values[i.first_result].width == 4;
  });
}

Result<Graph> conv_network(int64_t channels, int64_t extent, int64_t features) {
  NetworkBuilder net;
  const TensorId x = net.relu(
      net.conv(net.input({1, channels, extent, extent}), {.features = channels, .kernel = {1, 1}}));
  return net.finish({net.relu(net.conv(x, {.features = features, .pad = 1}))});
}

Result<Graph> matmul_network(int64_t m, int64_t k, int64_t n) {
  NetworkBuilder net;
  return net.finish({net.matmul(net.input({m, k}), net.weights({k, n}))});
}

TEST(SpeedFeature, AReadIsFusedIntoItsReader) {
  NetworkBuilder net;
  const TensorId turned = net.transpose(net.input({16, 24, 32}), {2, 0, 1});
  const auto graph = net.finish({net.keep(
      ops::reduce(net.graph(), "sum", ops::Reduction::sum, turned, {.axes = ops::Ints{2}}))});
  EXPECT_EQ(plan_of(graph, "x86-64-v3").programs.size(), 1u);
}

TEST(SpeedFeature, WeightsArePacked) {
  for (std::string_view target : {"x86-64-v3", "vulkan", "sm_90"}) {
    const Plan plan = plan_of(conv_network(32, 28, 40), target);
    size_t packed = 0;
    for (const Placement& placement : plan.schedule.placements) packed += placement.packed ? 1 : 0;
    EXPECT_EQ(packed, 2u) << target;
  }
  // 40 columns, in whole tiles of 16.
  const Plan plan = plan_of(conv_network(32, 28, 40), "x86-64-v3");
  const Node& conv = plan.schedule.graph.nodes[plan.schedule.steps[1].node];
  EXPECT_EQ(plan.schedule.placements[conv.inputs[1]].element_count, 3 * 3 * 32 * 48);
}

TEST(SpeedFeature, AxesAreMerged) {
  const auto graph_of = [](Shape shape) {
    NetworkBuilder net;
    return net.finish({net.relu(net.input(std::move(shape)))});
  };
  for (std::string_view target : {"x86-64-v3", "sm_90"}) {
    const Plan four = plan_of(graph_of({2, 3, 5, 7}), target);
    const Plan one = plan_of(graph_of({210}), target);
    EXPECT_EQ(four.programs[0].name, one.programs[0].name) << target;
  }
}

TEST(SpeedFeature, RowsOfTheTileAreLoadedInVectors) {
  const Plan plan = plan_of(matmul_network(8192 * 16, 64, 3), "sm_90");
  EXPECT_EQ(plan.contraction().stages, 0u);
  EXPECT_GT(vector_loads(plan.programs[0], 0), 0u);
}

TEST(SpeedFeature, ResultsAreStoredInVectors) {
  // The first convolution's output has its channels, the tile's columns, innermost.
  const Plan plan = plan_of(conv_network(64, 56, 64), "sm_90");
  const ir::Program& program = plan.programs[0];
  EXPECT_GT(count(program,
                  [&](const ir::Instruction& i) {
                    return i.op == ir::Opcode::store &&
                           program.values[program.operands_of(i)[1]].width == 4;
                  }),
            0u);
}

TEST(SpeedFeature, TilesAreStagedInVectors) {
  const Plan plan = plan_of(conv_network(64, 28, 64), "sm_90");
  const ir::Program& program = plan.programs[1];
  EXPECT_EQ(plan.contraction(1).stages, 2u);
  EXPECT_GT(vector_loads(program, 0), 0u);  // the input, k innermost
  EXPECT_GT(vector_loads(program, 1), 0u);  // packed weights
  EXPECT_EQ(program.locals[0].width, 4);
  EXPECT_EQ(program.locals[1].width, 4);
}

TEST(SpeedFeature, LanesAreFolded) {
  EXPECT_EQ(plan_of(conv_network(64, 56, 64), "sm_90").contraction(1).lane_fold, 2u);
}

TEST(SpeedFeature, TheModelWeighsTiles) {
  const ContractionParams large = plan_of(matmul_network(4096, 512, 4096), "sm_90").contraction();
  const ContractionParams small = plan_of(matmul_network(512, 128, 256), "sm_90").contraction();
  EXPECT_GT(large.reg_m * large.reg_n, small.reg_m * small.reg_n);
  EXPECT_GE(large.tile_m() * large.tile_n(), 4 * small.tile_m() * small.tile_n());
}

TEST(SpeedFeature, InnerTilesCheckNoBounds) {
  const Plan plan = plan_of(conv_network(16, 28, 32), "x86-64-v3");
  const ir::Program& program = plan.programs[1];
  const auto input_loads = [&](bool masked) {
    return count(program,
                 [&](const ir::Instruction& i) { return is_load_of(0)(i) && i.masked == masked; });
  };
  EXPECT_GT(count(program, [](const auto& i) { return i.op == ir::Opcode::branch; }), 0u);
  EXPECT_GT(input_loads(false), 0u);
  EXPECT_GT(input_loads(true), 0u);
}

// Of each of a tile's sums and in both of its forms it would be most of the code.
TEST(SpeedFeature, AFunctionBehindAProductIsALoopOverRows) {
  NetworkBuilder net;
  const TensorId x = net.conv(net.input({1, 16, 28, 28}), {.features = 32, .pad = 1});
  const Plan plan = plan_of(net.finish({net.activation(x, ops::Activation::sigmoid)}), "x86-64-v4");
  ASSERT_EQ(plan.schedule.steps.size(), 1u);
  EXPECT_GT(plan.contraction().reg_m, 2u);
  const size_t quotients =
      count(plan.programs[0], [](const auto& i) { return i.op == ir::Opcode::div_f; });
  EXPECT_EQ(quotients, plan.contraction().reg_n);
}

TEST(SpeedFeature, ChannelsThatComeToLieInnermostAreReadInRows) {
  NetworkBuilder net;
  const TensorId x = net.input({1, 3, 24, 32}, DType::u8);
  const TensorId w = net.weights({32, 3, 3, 3}, DType::i8);
  const auto y = ops::conv_integer(net.graph(), "y", {x, kNoTensor, kNoTensor},
                                   {w, kNoTensor, kNoTensor}, kNoTensor, {});
  const Plan plan = plan_of(net.finish({net.keep(y)}), "sapphirerapids");
  ASSERT_EQ(plan.schedule.steps.size(), 2u);  // the first makes four channels of three
  const ir::Program& program = plan.programs[0];
  const auto in_rows = [](const ir::Instruction& i) {
    return is_load_of(0)(i) && i.lane_stride == 1;
  };
  EXPECT_EQ(count(program, in_rows), 3u) << ir::print_program(program);
  EXPECT_EQ(count(program, is_load_of(0)), 3u);
}

TEST(SpeedFeature, AReshapeCopiesNothing) {
  NetworkBuilder net;
  const TensorId pooled = net.global_average(net.input({1, 64, 7, 7}));
  const Plan plan = plan_of(net.finish({net.linear(net.reshape(pooled, {1, 64}), 10)}), "sm_90");
  EXPECT_EQ(std::ranges::count_if(plan.schedule.placements,
                                  [](const Placement& p) { return p.alias_of != kNoTensor; }),
            1);
  for (const Step& step : plan.schedule.steps) {
    EXPECT_FALSE(plan.schedule.graph.nodes[step.node].reshape);
  }
}

TEST(SpeedFeature, ATransposeIsFusedIntoAProduct) {
  NetworkBuilder net;
  Graph& graph = net.graph();
  const TensorId keys = ops::transpose(graph, "t", net.input({4, 64, 32}), {0, 2, 1}).value();
  const TensorId scores = ops::matmul(graph, "s", net.input({4, 64, 32}), keys).value();
  const auto network = net.finish({scores});
  EXPECT_EQ(plan_of(network, "sm_90").schedule.steps.size(), 1u);
  // There lanes go along the columns, which must lie side by side.
  EXPECT_EQ(plan_of(network, "x86-64-v3").schedule.steps.size(), 2u);
}

TEST(SpeedFeature, KIsSplitWhereTilesAreFew) {
  const Plan plan = plan_of(matmul_network(64, 4096, 64), "sm_90");
  ASSERT_EQ(plan.schedule.steps.size(), 2u);
  EXPECT_GT(element_count(plan.schedule.graph.nodes[plan.schedule.steps[1].node].reduce), 1);
}

TEST(SpeedFeature, WavesStayInARow) {
  NetworkBuilder net;
  const TensorId narrow = net.input({40, 1});
  const Plan plan = plan_of(net.finish({net.add(narrow, net.input({3, 40, 64}))}), "x86-64-v3");
  const ir::Program& program = plan.programs[0];
  // One tensor's row is a stretch of memory, the other's element is the same for all lanes.
  const auto loads = [&](int32_t lane_stride, bool varying) {
    return count(program, [&](const ir::Instruction& i) {
      return i.op == ir::Opcode::load && i.lane_stride == lane_stride &&
             program.values[i.first_result].varying == varying;
    });
  };
  EXPECT_EQ(loads(1, true), 1u) << ir::print_program(program);
  EXPECT_EQ(loads(ir::kIndexed, false), 1u);
  EXPECT_EQ(loads(ir::kIndexed, true), 0u);
}

}  // namespace
}  // namespace leat::replay
