// The plan of the activations' arena: tensors that live together never share bytes, and the arena
// is near the lower bound.
#include "leat/schedule/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace leat {
namespace {

constexpr int64_t kUnit = 64;  // floats of one aligned placement

/// Tensor i is written by step i, and read by the steps that name it.
struct Line {
  int64_t units = 1;
  std::vector<TensorId> reads;
};

Schedule schedule_of(const std::vector<Line>& lines) {
  Schedule schedule;
  for (uint32_t i = 0; i < lines.size(); ++i) {
    Node node;
    node.inputs = lines[i].reads;
    node.results.resize(1);
    node.results[0].output =
        schedule.graph.add_tensor("t" + std::to_string(i), DType::f32, {lines[i].units * kUnit});
    schedule.graph.nodes.push_back(node);
    schedule.steps.push_back({i, {}});
    Placement placement;
    placement.space = Space::activations;
    placement.element_count = lines[i].units * kUnit;
    schedule.placements.push_back(placement);
  }
  return schedule;
}

struct Life {
  size_t first, last, begin, end;
};

/// No two tensors that are alive at one step overlap, and all lie in the arena.
void expect_apart(const Schedule& schedule) {
  std::vector<Life> lives;
  for (size_t i = 0; i < schedule.placements.size(); ++i) {
    const Placement& placement = schedule.placements[i];
    const size_t begin = placement.offset_bytes;
    lives.push_back({i, i, begin, begin + static_cast<size_t>(placement.element_count) * 4});
    for (TensorId id : schedule.graph.nodes[i].inputs) lives[id].last = i;
  }
  for (size_t i = 0; i < lives.size(); ++i) {
    EXPECT_LE(lives[i].end, schedule.memory.activations_bytes) << i;
    for (size_t j = 0; j < i; ++j) {
      const bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
      const bool overlap = lives[i].begin < lives[j].end && lives[j].begin < lives[i].end;
      EXPECT_FALSE(together && overlap) << i << " and " << j;
    }
  }
}

// A squeeze-and-excite block: the small tensors live between two large ones and beside the skip.
std::vector<Line> squeeze_and_excite_blocks(TensorId count) {
  std::vector<Line> lines = {{8, {}}};
  for (TensorId block = 0; block < count; ++block) {
    const auto x = static_cast<TensorId>(lines.size() - 1);
    lines.push_back({32, {x}});             // expanded
    lines.push_back({32, {x + 1}});         // depthwise
    lines.push_back({1, {x + 2}});          // pooled
    lines.push_back({1, {x + 3}});          // squeezed
    lines.push_back({1, {x + 4}});          // gate
    lines.push_back({32, {x + 2, x + 5}});  // gated
    lines.push_back({8, {x + 6, x}});       // projected, with the skip added
  }
  return lines;
}

TEST(MemoryPlan, SqueezeAndExciteReachesTheLowerBound) {
  for (TensorId blocks : {1u, 2u, 5u, 8u, 16u}) {
    Schedule schedule = schedule_of(squeeze_and_excite_blocks(blocks));
    plan_memory(schedule);
    EXPECT_EQ(schedule.memory.lower_bound_bytes, 73u * 256);
    EXPECT_EQ(schedule.memory.activations_bytes, schedule.memory.lower_bound_bytes) << blocks;
    expect_apart(schedule);
  }
}

// Random graphs: what matters here is that plans are valid; how near they come is a promise for
// networks only.
TEST(MemoryPlan, TensorsThatLiveTogetherLieApart) {
  uint32_t state = 7;
  const auto draw = [&](uint32_t below) {
    return (state = state * 1664525u + 1013904223u) % below;
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<Line> lines;
    for (TensorId i = 0; i < 30; ++i) {
      Line line = {1 + draw(9), {}};
      for (uint32_t reads = std::min(i, 1 + draw(3)); reads > 0; --reads) {
        line.reads.push_back(i - 1 - draw(std::min<uint32_t>(i, 6)));
      }
      lines.push_back(line);
    }
    Schedule schedule = schedule_of(lines);
    plan_memory(schedule);
    EXPECT_GE(schedule.memory.activations_bytes, schedule.memory.lower_bound_bytes);
    expect_apart(schedule);
  }
}

TEST(MemoryPlan, NothingToPlan) {
  Schedule schedule = schedule_of({});
  plan_memory(schedule);
  EXPECT_EQ(schedule.memory.activations_bytes, 0u);
}

}  // namespace
}  // namespace leat
