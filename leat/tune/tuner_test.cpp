// In which order a tuner believes what it knows.
#include "leat/tune/tuner.h"

#include <gtest/gtest.h>

#include "leat/base/scratch_folder_test.h"
#include "leat/schedule/schedule.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

Target gpu() {
  Target target;
  target.name = "gpu";
  target.compute_units = 16;
  return target;
}

Graph product(int64_t rows, DType dtype = DType::f32) {
  Graph graph;
  graph.inputs = {graph.add_tensor("a", dtype, {rows, 256}),
                  graph.add_tensor("b", dtype, {256, 64})};
  graph.outputs = {ops::matmul(graph, "y", graph.inputs[0], graph.inputs[1]).value()};
  return graph;
}

/// A way that the model would not take: it says who chose.
KernelParams marked(uint32_t group) {
  ContractionParams params = {.lane_m = 4, .lane_n = 8, .reg_m = 4, .reg_n = 4, .k_step = 4};
  params.group_m = group;
  return params;
}

class FixedTrials : public TrialSet {
 public:
  explicit FixedTrials(std::span<const KernelParams> ways) : ways_(ways.begin(), ways.end()) {}
  Result<double> sample(size_t index) override {
    return to_string(ways_[index]) == to_string(marked(7)) ? 1e-5 : 1e-3;
  }
  Result<bool> is_right(size_t) override { return true; }

 private:
  std::vector<KernelParams> ways_;
};

class TunerTest : public ScratchFolder {
 protected:
  void SetUp() override {
    ScratchFolder::SetUp();
    ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
    store_ = std::move(TuneStore::open(folder_).value());
    options_.on = {"chip", "build"};
    options_.store = &*store_;
    options_.on_choice = [this](const TunedKernel& kernel) { told_ = kernel; };
  }

  KernelParams chosen(const Graph& graph) {
    Tuner tuner(options_);
    Chooser chooser(gpu(), [&](const Schedule& schedule, const Node& node, const Target& target,
                               Splitting splitting) {
      return tuner.choose(schedule, node, target, splitting);
    });
    const auto schedule = make_schedule(graph, gpu(), {.chooser = &chooser});
    EXPECT_TRUE(schedule);
    return schedule->steps[0].params;
  }

  /// As if it had been measured on this build.
  void know(const Graph& graph, const KernelParams& params, const std::string& build) {
    Chooser chooser(gpu(), [&](const Schedule& schedule, const Node& node, const Target& target,
                               Splitting splitting) {
      TuneEntry entry;
      entry.on = {"chip", build};
      entry.kernel = tune_identity(schedule, node, splitting);
      entry.shape = to_string(shape_class_of(schedule, node));
      entry.params = to_string(params);
      entry.seconds = 1e-4;
      EXPECT_TRUE(store_->keep(entry));
      return choose_by_model(schedule, node, target, splitting);
    });
    ASSERT_TRUE(make_schedule(graph, gpu(), {.chooser = &chooser}));
  }

  std::optional<TuneStore> store_;
  TunerOptions options_;
  TunedKernel told_;
};

TEST_F(TunerTest, KnowsNothingAndAsksTheModel) {
  const auto plain = make_schedule(product(128), gpu(), {});
  EXPECT_EQ(chosen(product(128)), plain->steps[0].params);
  EXPECT_EQ(told_.source, ChoiceSource::model);
}

TEST_F(TunerTest, AnEqualNodeIsKnown) {
  know(product(128), marked(7), "build");
  EXPECT_EQ(chosen(product(128)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::store);
  EXPECT_EQ(told_.seconds, 1e-4);
}

TEST_F(TunerTest, WhatAnotherBuildMeasuredIsNearNotKnown) {
  know(product(128), marked(7), "older build");
  EXPECT_EQ(chosen(product(128)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::near);
}

TEST_F(TunerTest, NearShapesAreTakenAndFarOnesAreNot) {
  know(product(128), marked(7), "build");
  EXPECT_EQ(chosen(product(160)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::near);
  EXPECT_NE(chosen(product(2048)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::model);
}

TEST_F(TunerTest, OneElementTypeSeedsTheOther) {
  know(product(128), marked(7), "build");
  EXPECT_EQ(chosen(product(128, DType::f16)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::near);
}

TEST_F(TunerTest, AForgedEntryIsNoKernel) {
  know(product(128), marked(7), "build");
  TuneEntry forged = store_->entries()->front();
  for (const char* params : {"", "nonsense",
                             "lanes 1x1 fold 1 waves 9999x9999 regs 4x4 vec 1x1 k 4 "
                             "stages 0 split 1 last_adds 0 group 7"}) {
    forged.params = params;
    ASSERT_TRUE(store_->keep(forged));
    const auto plain = make_schedule(product(128), gpu(), {});
    EXPECT_EQ(chosen(product(128)), plain->steps[0].params) << params;
  }
}

TEST_F(TunerTest, MeasuresOnceAndKeepsIt) {
  know(product(160), marked(7), "older build");  // where the search begins
  size_t made = 0;
  options_.make_trials =
      [&](const Schedule&, const Node&,
          std::span<const KernelParams> ways) -> Result<std::unique_ptr<TrialSet>> {
    ++made;
    return std::unique_ptr<TrialSet>(std::make_unique<FixedTrials>(ways));
  };
  EXPECT_EQ(chosen(product(128)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::measured);
  EXPECT_EQ(told_.seconds, 1e-5);
  EXPECT_EQ(told_.model_seconds, 1e-3);
  EXPECT_GT(made, 0u);
  const size_t before = made;
  EXPECT_EQ(chosen(product(128)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::store);
  EXPECT_EQ(made, before);
  options_.again = true;
  EXPECT_EQ(chosen(product(128)), marked(7));
  EXPECT_GT(made, before);
}

TEST_F(TunerTest, WhatIsInQuarantineIsNotTakenFromElsewhere) {
  know(product(128), marked(7), "older build");
  const Digest kernel = store_->entries()->front().kernel;
  ASSERT_TRUE(store_->begin_trial("chip", kernel, to_string(marked(7))));
  ASSERT_TRUE(store_->end_trial("chip", kernel, to_string(marked(7)), "It hung."));
  EXPECT_NE(chosen(product(128)), marked(7));
}

// Neither from the store of this very build nor from the model.
TEST_F(TunerTest, WhatIsInQuarantineIsNotTakenAtAll) {
  know(product(128), marked(7), "build");
  const Digest kernel = store_->entries()->front().kernel;
  const KernelParams models = make_schedule(product(128), gpu(), {})->steps[0].params;
  for (const KernelParams& bad : {marked(7), models}) {
    ASSERT_TRUE(store_->end_trial("chip", kernel, to_string(bad), "It hung."));
    const KernelParams other = chosen(product(128));
    EXPECT_NE(other, bad);
    EXPECT_NE(other, marked(7));
  }
}

TEST_F(TunerTest, ASearchThatWasCutGoesOn) {
  know(product(128), marked(7), "build");
  TuneEntry entry = store_->entries()->front();
  entry.finished = false;
  ASSERT_TRUE(store_->keep(entry));
  EXPECT_EQ(chosen(product(128)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::store);  // it is the best that is known
  options_.make_trials =
      [&](const Schedule&, const Node&,
          std::span<const KernelParams> ways) -> Result<std::unique_ptr<TrialSet>> {
    return std::unique_ptr<TrialSet>(std::make_unique<FixedTrials>(ways));
  };
  options_.limits.seconds = 60;
  EXPECT_EQ(chosen(product(128)), marked(7));
  EXPECT_EQ(told_.source, ChoiceSource::measured);
  EXPECT_TRUE(store_->entries()->front().finished);
}

TEST(ShapeClasses, ReadBack) {
  for (const ShapeClass& shape : {ShapeClass{"f32", "product packed taps 9", {1, 2, 3, 4}},
                                  ShapeClass{"f16", "map", {100, 1}}}) {
    EXPECT_EQ(parse_shape_class(to_string(shape)), shape);
  }
  for (const char* text : {"", "f32", "f32 map", "f32 map: x", "map: 1"}) {
    EXPECT_FALSE(parse_shape_class(text) && text[0] != 'm') << text;
  }
  const ShapeClass a = {"f32", "map", {100, 1}};
  EXPECT_EQ(distance_between(a, a), 0);
  EXPECT_EQ(distance_between(a, {"f32", "map", {200, 1}}), 1);
  EXPECT_EQ(distance_between(a, {"f16", "map", {100, 1}}), 1);
  EXPECT_EQ(distance_between(a, {"f32", "reduction", {100, 1}}), std::nullopt);
}

}  // namespace
}  // namespace leat
