// The search on times made by hand: the fastest right way wins, and what fails costs itself only.
#include "leat/tune/search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "leat/schedule/schedule.h"
#include "leat/tensor/ops.h"
#include "leat/tune/ways.h"

namespace leat {
namespace {

Target cpu_like() {
  Target target;
  target.name = "cpu";
  target.is_cpu = true;
  target.wave_lanes = 8;
  target.lanes_per_workgroup_max = 8;
  target.vector_registers = 16;
  target.waves_hide_latency = false;
  target.local_memory_is_fast = false;
  target.uniform_loads_broadcast = true;
  return target;
}

Target gpu_like() {
  Target target;
  target.name = "gpu";
  target.compute_units = 16;
  return target;
}

Schedule product(const Target& target) {
  Graph graph;
  graph.inputs = {graph.add_tensor("a", DType::f32, {96, 256}),
                  graph.add_tensor("b", DType::f32, {256, 64})};
  graph.outputs = {ops::matmul(graph, "y", graph.inputs[0], graph.inputs[1]).value()};
  return *make_schedule(graph, target, {});
}

/// What the trials of one search find, and what was asked of them.
struct Machine {
  std::function<double(const ContractionParams&)> seconds;
  std::function<bool(const ContractionParams&)> is_wrong = [](const auto&) { return false; };
  std::function<std::optional<Error>(const ContractionParams&)> fails = [](const auto&) {
    return std::nullopt;
  };
  std::function<bool(const ContractionParams&)> is_refused = [](const auto&) { return false; };
  std::map<std::string, int> sampled;
};

class HandTrials : public TrialSet {
 public:
  HandTrials(Machine& machine, std::span<const KernelParams> ways)
      : machine_(machine), ways_(ways.begin(), ways.end()) {}

  Result<double> sample(size_t index) override {
    const auto& way = std::get<ContractionParams>(ways_[index]);
    ++machine_.sampled[to_string(way)];
    if (const auto error = machine_.fails(way)) return *error;
    return machine_.seconds(way);
  }
  Result<bool> is_right(size_t index) override {
    return !machine_.is_wrong(std::get<ContractionParams>(ways_[index]));
  }

 private:
  Machine& machine_;
  std::vector<KernelParams> ways_;
};

class HandLog : public TrialLog {
 public:
  bool may_try(const KernelParams& params) override {
    return !forbidden.contains(to_string(params));
  }
  void begin(const KernelParams& params) override { running.insert(to_string(params)); }
  void end(const KernelParams& params, const std::string& reason) override {
    EXPECT_EQ(running.erase(to_string(params)), 1u) << to_string(params);
    if (!reason.empty()) bad[to_string(params)] = reason;
  }
  std::set<std::string> forbidden, running;
  std::map<std::string, std::string> bad;
};

Result<SearchResult> search_on(const Target& target, Machine& machine, HandLog& log,
                               SearchLimits limits = {.seconds = 10},
                               std::vector<KernelParams> seeds = {}) {
  const Schedule schedule = product(target);
  const MakeTrials make =
      [&](const Schedule&, const Node&,
          std::span<const KernelParams> ways) -> Result<std::unique_ptr<TrialSet>> {
    for (const KernelParams& way : ways) {
      if (machine.is_refused(std::get<ContractionParams>(way))) {
        return Error(ErrorKind::unsupported, "This way is refused.");
      }
    }
    return std::unique_ptr<TrialSet>(std::make_unique<HandTrials>(machine, ways));
  };
  return search(schedule, schedule.graph.nodes[schedule.steps[0].node], target, Splitting::allowed,
                seeds, make, log, limits);
}

/// The best is 3 rows of 4 vectors, k in steps of 8; every step away from it costs.
double hilly(const ContractionParams& p) {
  const auto away = [](uint32_t a, uint32_t b) { return std::abs(std::log2(a) - std::log2(b)); };
  return 1e-4 * (1 + away(p.reg_m, 3) + away(p.reg_n, 4) + away(p.k_step, 8) + 10 * p.split_k);
}

TEST(Search, ClimbsToTheBestAndEndsThere) {
  Machine machine = {.seconds = hilly};
  HandLog log;
  const auto found = search_on(cpu_like(), machine, log);
  ASSERT_TRUE(found) << found.error().message();
  const auto& best = std::get<ContractionParams>(found->params);
  EXPECT_EQ(best.reg_m, 3u);
  EXPECT_EQ(best.reg_n, 4u);
  EXPECT_EQ(best.k_step, 8u);
  EXPECT_GT(found->model_seconds, found->seconds);
  EXPECT_EQ(found->tried, machine.sampled.size());
  EXPECT_TRUE(log.running.empty());
  EXPECT_TRUE(log.bad.empty());
}

TEST(Search, ExhaustiveFindsABestThatNoClimbReaches) {
  // One way far from the model's is fast, all around it are slow.
  const auto seconds = [](const ContractionParams& p) {
    return p.reg_m == 16 && p.reg_n == 1 && p.k_step == 1 ? 1e-6 : hilly(p);
  };
  for (const bool exhaustive : {false, true}) {
    Machine machine = {.seconds = seconds};
    HandLog log;
    const auto found =
        search_on(cpu_like(), machine, log, {.seconds = 60, .exhaustive = exhaustive});
    ASSERT_TRUE(found);
    EXPECT_EQ(std::get<ContractionParams>(found->params).reg_m == 16, exhaustive);
  }
}

TEST(Search, WithoutTimeTheModelsWaysAreMeasuredAllTheSame) {
  Machine machine = {.seconds = hilly};
  HandLog log;
  const auto found = search_on(cpu_like(), machine, log, {.seconds = 0, .batch = 3});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tried, 3u);
  EXPECT_GT(found->model_seconds, 0);
}

TEST(Search, WrongResultsNeverWin) {
  Machine machine = {.seconds = hilly};
  machine.is_wrong = [](const ContractionParams& p) { return p.reg_n == 4; };
  HandLog log;
  const auto found = search_on(cpu_like(), machine, log);
  ASSERT_TRUE(found);
  EXPECT_NE(std::get<ContractionParams>(found->params).reg_n, 4u);
  ASSERT_FALSE(log.bad.empty());
  EXPECT_NE(log.bad.begin()->second.find("reference"), std::string::npos);
}

TEST(Search, AWayThatFailsOrIsRefusedCostsItselfOnly) {
  Machine machine = {.seconds = hilly};
  machine.fails = [](const ContractionParams& p) {
    return p.reg_m == 3 ? std::optional(Error(ErrorKind::unsupported, "It hung.")) : std::nullopt;
  };
  machine.is_refused = [](const ContractionParams& p) { return p.reg_n == 8; };
  HandLog log;
  const auto found = search_on(cpu_like(), machine, log);
  ASSERT_TRUE(found);
  const auto& best = std::get<ContractionParams>(found->params);
  EXPECT_EQ(best.reg_n, 4u);
  EXPECT_NE(best.reg_m, 3u);
  bool has_hung = false, was_refused = false;
  for (const auto& [way, reason] : log.bad) {
    has_hung |= reason == "It hung.";
    was_refused |= reason == "This way is refused.";
    const int runs = machine.sampled[way];
    EXPECT_LE(runs, 1) << way;
  }
  EXPECT_TRUE(has_hung && was_refused);
}

TEST(Search, ALostDeviceEndsIt) {
  Machine machine = {.seconds = hilly};
  machine.fails = [](const ContractionParams&) {
    return std::optional(Error(ErrorKind::device_lost, "It is gone."));
  };
  HandLog log;
  const auto found = search_on(cpu_like(), machine, log);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::device_lost);
  EXPECT_EQ(log.bad.size(), 1u);
}

TEST(Search, QuarantinedWaysAreNotRun) {
  Machine machine = {.seconds = hilly};
  HandLog log;
  const std::string best = to_string(search_on(cpu_like(), machine, log)->params);
  log.forbidden = {best};
  machine.sampled.clear();
  const auto found = search_on(cpu_like(), machine, log);
  ASSERT_TRUE(found);
  EXPECT_NE(to_string(found->params), best);
  EXPECT_FALSE(machine.sampled.contains(best));
}

TEST(Search, BeginsWithWhatItIsGiven) {
  const ContractionParams seed = {.lane_m = 1, .lane_n = 8, .reg_m = 2, .reg_n = 8, .k_step = 2};
  Machine machine = {.seconds = hilly};
  HandLog log;
  const auto found =
      search_on(cpu_like(), machine, log, {.seconds = 0, .batch = 2}, {KernelParams(seed)});
  ASSERT_TRUE(found);
  EXPECT_TRUE(machine.sampled.contains(to_string(seed)));
}

TEST(Ways, AllAreLegalAndDiffer) {
  for (const Target& target : {cpu_like(), gpu_like()}) {
    const Schedule schedule = product(target);
    const Node& node = schedule.graph.nodes[schedule.steps[0].node];
    for (const Splitting splitting : {Splitting::allowed, Splitting::forbidden}) {
      std::set<std::string> texts;
      const std::vector<KernelParams> ways = all_ways(schedule, node, target, splitting);
      EXPECT_GT(ways.size(), 30u) << target.name;
      for (const KernelParams& way : ways) {
        EXPECT_TRUE(is_legal(schedule, node, way, target)) << to_string(way);
        EXPECT_TRUE(texts.insert(to_string(way)).second) << to_string(way);
        for (const KernelParams& near : neighbours(schedule, node, way, target, splitting)) {
          EXPECT_TRUE(is_possible(schedule, node, near, target, splitting)) << to_string(near);
          EXPECT_NE(to_string(near), to_string(way));
        }
      }
    }
  }
}

}  // namespace
}  // namespace leat
