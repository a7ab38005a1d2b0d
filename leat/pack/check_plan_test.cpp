// Plans that nobody made: each is right but for one number, and refused in words that name it.
#include <gtest/gtest.h>

#include "leat/pack/packed_model.h"

namespace leat {
namespace {

TensorId add_tensor(RunPlan& plan, const char* name, Space space, DType dtype, Shape shape) {
  Placement placement;
  placement.space = space;
  placement.storage = dtype;
  placement.strides = row_major_strides(shape);
  placement.element_count = element_count(shape);
  plan.schedule.graph.tensors.push_back({name, dtype, std::move(shape), nullptr});
  plan.schedule.placements.push_back(placement);
  return static_cast<TensorId>(plan.schedule.placements.size() - 1);
}

/// x to y by way of h, with a counter and a check of three indices.
RunPlan sound_plan() {
  RunPlan plan;
  Graph& graph = plan.schedule.graph;
  graph.inputs = {add_tensor(plan, "x", Space::external, DType::f32, {2, 3})};
  graph.outputs = {add_tensor(plan, "y", Space::external, DType::f32, {2, 3})};
  add_tensor(plan, "h", Space::activations, DType::f32, {100});
  add_tensor(plan, "arrivals", Space::state, DType::i32, {1});
  IndexCheck check;
  check.node = "Gather \"g\"";
  check.position = add_tensor(plan, "position", Space::external, DType::i32, {});
  check.index = add_tensor(plan, "index", Space::external, DType::i64, {});
  check.shape = {3};
  check.extents = {4};
  graph.outputs.insert(graph.outputs.end(), {check.position, check.index});
  graph.checks.push_back(check);
  plan.schedule.memory.activations_bytes = 512;
  plan.schedule.memory.state_bytes = 256;
  return plan;
}

TEST(CheckPlan, TakesASoundOne) {
  const Result<void> checked = check_plan(sound_plan());
  EXPECT_TRUE(checked) << checked.error().message();
}

TEST(CheckPlan, RefusesWhatCannotBeRun) {
  struct Case {
    const char* part;
    void (*change)(RunPlan& plan);
  };
  const Case cases[] = {
      {"an arena has (768) bytes for tensors of (512)",
       [](RunPlan& plan) { plan.schedule.memory.activations_bytes = 768; }},
      {"an arena has (70368744177664) bytes for tensors of (256)",
       [](RunPlan& plan) { plan.schedule.memory.state_bytes = size_t{1} << 46; }},
      {"\"arrivals\" leaves its arena",
       [](RunPlan& plan) { plan.schedule.memory.state_bytes = 0; }},
      {"\"h\" leaves its arena",
       [](RunPlan& plan) { plan.schedule.placements[2].offset_bytes = 512; }},
      {"\"h\" is for the host and neither input nor output",
       [](RunPlan& plan) {
         plan.schedule.placements[2].space = Space::external;
         plan.schedule.memory.activations_bytes = 0;
       }},
      {"\"x\" has too many dimensions",
       [](RunPlan& plan) {
         plan.schedule.graph.tensors[0].shape = {1, 1, 1, 1, 1, 1, 1, 2, 3};
         plan.schedule.placements[0].strides = row_major_strides({1, 1, 1, 1, 1, 1, 1, 2, 3});
       }},
      {"have no extents", [](RunPlan& plan) { plan.schedule.graph.checks[0].shape = {0}; }},
      {"have no extents", [](RunPlan& plan) { plan.schedule.graph.checks[0].extents.clear(); }},
      {"is no index", [](RunPlan& plan) { plan.schedule.graph.checks[0].position = 1; }},
  };
  for (const Case& one : cases) {
    RunPlan plan = sound_plan();
    one.change(plan);
    const Result<void> checked = check_plan(plan);
    ASSERT_FALSE(checked) << one.part;
    EXPECT_EQ(checked.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(checked.error().message().find(one.part), std::string::npos)
        << checked.error().message();
  }
}

}  // namespace
}  // namespace leat
