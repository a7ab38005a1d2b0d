// Measuring on real devices: right ways are timed, wrong ones are found out, and what was found is
// there at the next start.
#include "leat/run/tuning.h"

#include <gtest/gtest.h>

#include <cmath>

#include "leat/backend/backends.h"
#include "leat/backend/faulty/faulty_device.h"
#include "leat/base/scratch_folder_test.h"
#include "leat/run/compiling_cpu_test.h"
#include "leat/run/session.h"
#include "leat/tensor/ops.h"

namespace leat {

namespace {

HostTensor pattern(Shape shape, int64_t step) {
  HostTensor value = HostTensor::zeros(DType::f32, std::move(shape));
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_number(i, static_cast<double>(i * step % 31 - 15) / 16);
  }
  return value;
}

/// Product with packed weights, a reduction and a map: what is tuned.
Graph network() {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {1, 8, 20, 20});
  graph.inputs = {x};
  const TensorId w = graph.add_constant("w", pattern({12, 8, 3, 3}, 7));
  const TensorId convolved = ops::conv(graph, "conv", x, w, kNoTensor, {}).value();
  const TensorId sums =
      ops::reduce(graph, "sums", ops::Reduction::sum, convolved, {.axes = ops::Ints{2, 3}}).value();
  graph.outputs = {ops::activation(graph, "y", ops::Activation::relu, sums).value()};
  return graph;
}

Model model() {
  Model made;
  made.name = "network";
  made.graph = network();
  made.inputs = {{"x", DType::f32, {1, 8, 20, 20}, made.graph.inputs[0]}};
  made.outputs = {
      {"y", DType::f32, made.graph.tensors[made.graph.outputs[0]].shape, made.graph.outputs[0]}};
  return made;
}

/// A session's result on the device that `open` gives, and what was chosen meanwhile.
struct Tuned {
  HostTensor result;
  std::vector<TunedKernel> kernels;
  uint32_t compiled = 0;
};
using OpenDevice = std::function<Result<std::unique_ptr<Device>>()>;

Result<Tuned> tuned(const OpenDevice& open, const std::string& folder, bool measures,
                    double seconds = 0.05) {
  Tuned tuned;
  TuningOptions tuning;
  tuning.cache_folder = folder;
  tuning.measures = measures;
  tuning.limits.seconds = seconds;
  tuning.on_choice = [&](const TunedKernel& kernel) { tuned.kernels.push_back(kernel); };
  SessionOptions options;
  options.devices.open = [&](const std::string&, const DeviceCheck&) { return open(); };
  options.devices.next_route = [](const std::string&) { return std::nullopt; };
  options.cache_folder = folder;
  options.choose_on = tuned_choices(std::move(tuning));
  Session session(std::move(options));
  TRY_ASSIGN(const std::unique_ptr<LoadedModel> loaded, session.load(model(), {.device = "it"}));
  const HostTensor x = pattern({1, 8, 20, 20}, 11);
  TRY_ASSIGN(std::vector<HostTensor> results, loaded->run(std::span(&x, 1)));
  tuned.result = std::move(results[0]);
  tuned.compiled = loaded->network().stats().compiled;
  return tuned;
}

void expect_right(const HostTensor& got) {
  const Graph graph = network();
  const HostTensor x = pattern({1, 8, 20, 20}, 11);
  const auto want = evaluate(graph, std::span(&x, 1));
  ASSERT_TRUE(want);
  for (int64_t i = 0; i < element_count(got.shape); ++i) {
    EXPECT_NEAR(got.number(i), (*want)[0].number(i), 1e-4);
  }
}

class Tuning : public ScratchFolder {
 protected:
  void SetUp() override {
    ScratchFolder::SetUp();
    ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
  }
};

TEST_F(Tuning, MeasuresOnceAndKnowsAtTheNextStart) {
  const OpenDevice open = [] { return open_compiling_cpu(2); };
  if (const auto device = open(); !device) GTEST_SKIP() << device.error().message();
  const auto first = tuned(open, folder_, true);
  ASSERT_TRUE(first) << first.error().message();
  expect_right(first->result);
  ASSERT_GE(first->kernels.size(), 2u);
  for (const TunedKernel& kernel : first->kernels) {
    EXPECT_EQ(kernel.source, ChoiceSource::measured) << kernel.node;
    EXPECT_GT(kernel.seconds, 0) << kernel.node;
    EXPECT_LE(kernel.seconds, kernel.model_seconds) << kernel.node;
  }
  const auto second = tuned(open, folder_, false);
  ASSERT_TRUE(second);
  expect_right(second->result);
  EXPECT_EQ(second->compiled, 0u);
  ASSERT_EQ(second->kernels.size(), first->kernels.size());
  for (size_t i = 0; i < second->kernels.size(); ++i) {
    EXPECT_EQ(second->kernels[i].source, ChoiceSource::store);
    EXPECT_EQ(second->kernels[i].params, first->kernels[i].params);
  }
}

TEST_F(Tuning, WithoutAFolderNothingIsKept) {
  const OpenDevice open = [] { return open_compiling_cpu(1); };
  if (const auto device = open(); !device) GTEST_SKIP() << device.error().message();
  const auto made = tuned(open, "", true, 0);
  ASSERT_TRUE(made);
  expect_right(made->result);
  EXPECT_EQ(count(), 0u);
}

// Two equal products of other weights, tried one after the other.
TEST_F(Tuning, WeightsBelongToTheReference) {
  const auto device = open_compiling_cpu(1);
  if (!device) GTEST_SKIP() << device.error().message();
  const MakeTrials make = trials_on(**device, "");
  for (const int64_t step : {7, 5}) {
    Graph graph;
    graph.inputs = {graph.add_tensor("x", DType::f32, {9, 16})};
    const TensorId w = graph.add_constant("w", pattern({16, 12}, step));
    graph.outputs = {ops::matmul(graph, "y", graph.inputs[0], w).value()};
    size_t tried = 0;
    Chooser chooser((*device)->target(), [&](const Schedule& schedule, const Node& node,
                                             const Target& target, Splitting splitting) {
      const KernelParams way = choose_by_model(schedule, node, target, splitting);
      const auto trials = make(schedule, node, std::span(&way, 1));
      EXPECT_TRUE(trials);
      const bool is_right = trials && (*trials)->sample(0) && *(*trials)->is_right(0);
      EXPECT_TRUE(is_right) << step;
      ++tried;
      return way;
    });
    ASSERT_TRUE(make_schedule(graph, (*device)->target(), {.chooser = &chooser}));
    EXPECT_EQ(tried, 1u);
  }
}

// The null device computes nothing, so no way of it is right, and none is timed.
TEST_F(Tuning, AWrongResultIsFoundOut) {
  const auto made = tuned([] { return open_device("null", 1); }, folder_, true, 0);
  ASSERT_TRUE(made) << made.error().message();
  for (const TunedKernel& kernel : made->kernels) {
    EXPECT_NE(kernel.source, ChoiceSource::measured) << kernel.node;
  }
  const auto store = TuneStore::open(folder_);
  ASSERT_TRUE(store);
  const auto entries = store->entries();
  const auto ways = store->quarantined();
  ASSERT_TRUE(entries && ways);
  EXPECT_TRUE(entries->empty());
  EXPECT_FALSE(ways->empty());
}

// Submissions are swallowed, late, early; a way that suffers is put away, and the process goes on.
TEST_F(Tuning, FaultsCostTheWaysThatMeetThem) {
  if (const auto device = open_compiling_cpu(1); !device) GTEST_SKIP() << device.error().message();
  size_t injected = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    FaultCounts counts;
    const OpenDevice open = [&]() -> Result<std::unique_ptr<Device>> {
      TRY_ASSIGN(std::unique_ptr<Device> cpu, open_compiling_cpu(1));
      return make_faulty_device(std::move(cpu), {.seed = seed, .share = 0.05}, &counts);
    };
    const auto made = tuned(open, folder_, true, 0.02);
    EXPECT_TRUE(made || made.error().kind() == ErrorKind::device_lost) << made.error().message();
    injected += counts.sum();
  }
  EXPECT_GT(injected, 0u);
  // On a device without faults what was measured meanwhile makes right kernels.
  const auto after = tuned([] { return open_compiling_cpu(1); }, folder_, false);
  ASSERT_TRUE(after) << after.error().message();
  expect_right(after->result);
}

}  // namespace

}  // namespace leat
