// Models whose sizes follow from values, on every device: right whatever the sizes, kept where
// these come again, and refused where a part alone would not do.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"
#include "leat/run/compiling_cpu_test.h"
#include "leat/run/session.h"
#include "tests/flow/flow_values.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

/// y = those of 2x that are above 0 without those that are not below `most`; and 3x.
OnnxModel chosen_model() {
  OnnxBuilder builder;
  builder.input("x", {-1});
  HostTensor number = HostTensor::zeros(DType::f32, {1});
  builder.constant("zero", number);
  number.set_number(0, 10);
  builder.constant("most", number);
  builder.node("Add", {"x", "x"}, {"twice"});
  builder.node("Greater", {"twice", "zero"}, {"is_above"});
  builder.node("Compress", {"twice", "is_above"}, {"above"});
  builder.node("Neg", {"above"}, {"minus"});
  builder.node("Neg", {"minus"}, {"plus"});
  builder.node("Less", {"plus", "most"}, {"is_below"});
  builder.node("Compress", {"plus", "is_below"}, {"chosen"});
  builder.node("Add", {"chosen", "zero"}, {"y"});
  builder.node("Add", {"x", "twice"}, {"z"});
  builder.output("y");
  builder.output("z");
  return std::move(OnnxModel::parse(builder.bytes(), "chosen.onnx")).value();
}

class FlowParts : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
    load({});
  }

  void load(LoadOptions options) {
    options.device = GetParam().name;
    options.specialise = [this](std::span<const Shape> shapes) {
      ImportOptions import;
      import.in_parts = true;
      import.input_shapes = {{ "x", shapes[0] }};
      return file_.specialised(import);
    };
    auto loaded = session_.load(options.specialise(std::vector<Shape>{{5}}).value(), options);
    ASSERT_OK(loaded);
    loaded_ = std::move(*loaded);
  }

  void expect_run(const std::vector<double>& x, const std::vector<double>& y) {
    const auto got = loaded_->run(std::vector<HostTensor>{floats(x)});
    ASSERT_OK(got);
    ASSERT_EQ(got->size(), 2u);
    EXPECT_EQ(numbers(got->at(0)), y);
    std::vector<double> z;
    for (const double value : x) z.push_back(3 * value);
    EXPECT_EQ(numbers(got->at(1)), z);
  }

  OnnxModel file_ = chosen_model();
  Session session_{{.devices = machine_devices(2)}};
  std::unique_ptr<LoadedModel> loaded_;
};

TEST_P(FlowParts, RunForEverySize) {
  for (int round = 0; round < 2; ++round) {
    expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
    expect_run({-1, -1, -2, -7, 0}, {});
    expect_run({8, 7, 6, 5, -7}, {});
    expect_run({4, 3, 2, 1, 0.5}, {8, 6, 4, 2, 1});
    expect_run({4, 3}, {8, 6});
  }
}

TEST_P(FlowParts, WhatComesAgainIsThere) {
  expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
  const std::vector<Network*> first = loaded_->networks();
  EXPECT_EQ(first.size(), 3u);
  expect_run({-1, -1, -2, -7, 0}, {});
  expect_run({3, 9, -2, 1, 2}, {6, 2, 4});
  EXPECT_EQ(loaded_->networks(), first);
  EXPECT_GT(loaded_->stats().kernels, loaded_->network().stats().kernels);
}

TEST_P(FlowParts, ManySizesAreForgotten) {
  const std::vector<double> often(kPartsReadyMax, -1.0);
  expect_run(often, {});
  const std::vector<Network*> kept = loaded_->networks();
  std::vector<double> x = often;
  std::vector<double> y;
  for (double& value : x) {
    value = 1;
    y.push_back(2);
    expect_run(x, y);
    EXPECT_LE(loaded_->parts_ready(), kPartsReadyMax + loaded_->networks().size() - 1);
    expect_run(often, {});
    EXPECT_EQ(loaded_->networks(), kept);
  }
  EXPECT_GE(loaded_->parts_ready(), kPartsReadyMax);
  y.pop_back();
  x.back() = -1;
  expect_run(x, y);
}

TEST_P(FlowParts, SharedMemoryCountsOnce) {
  expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
  uint64_t reserved = 0, arenas = 0, needed = 0;
  for (const Network* network : loaded_->networks()) {
    reserved += network->stats().reserved_bytes;
    needed += network->stats().tensor_bytes;
    EXPECT_EQ(&network->activations(), &loaded_->network().activations());
    arenas += network->activations().size_bytes();
  }
  const uint64_t arena = loaded_->network().activations().size_bytes();
  EXPECT_LE(loaded_->stats().reserved_bytes, reserved - arenas + arena);
  EXPECT_LE(loaded_->stats().tensor_bytes, needed);
  EXPECT_LE(loaded_->stats().tensor_bytes, loaded_->stats().reserved_bytes);
}

TEST_P(FlowParts, TimesAreThoseOfAllParts) {
  LoadOptions options;
  options.network.times = true;
  load(options);
  const Result<SlotTimes> none = loaded_->slot_times(0);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::invalid_argument);
  expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
  const Result<SlotTimes> all = loaded_->slot_times(0);
  ASSERT_OK(all);
  const Result<SlotTimes> last = loaded_->networks().back()->slot_times(0);
  ASSERT_OK(last);
  EXPECT_LT(all->begin_ns, last->begin_ns);
  EXPECT_EQ(all->end_ns, last->end_ns);
}

TEST_P(FlowParts, ChoicesAreMadeForAllPartsOfTheLastRun) {
  const auto chosen = [&] {
    size_t count = 0;
    const auto choose_on = [&](Device&) -> ChooseFunction {
      return [&](const Schedule& schedule, const Node& node, const Target& target,
                 Splitting splitting) {
        ++count;
        return choose_by_model(schedule, node, target, splitting);
      };
    };
    EXPECT_TRUE(loaded_->choose_anew(choose_on).has_value());
    return count;
  };
  const size_t first = chosen();
  expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
  EXPECT_GT(chosen(), first);
  EXPECT_EQ(loaded_->parts_ready(), 0u);
  expect_run({1, -1, 2, 7, 3}, {2, 4, 6});
}

TEST_P(FlowParts, AreNotStartedInPlace) {
  const Result<StartedRun> run = loaded_->start();
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(run.error().message().find("part by part"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowParts, testing::ValuesIn(tested_devices()), test_name_of);

// --- Devices that do not take a later part -------------------------------------------------------

/// The cpu, but without any kernels: the first part of refused_model() needs none.
class RefusingDevice final : public Device {
 public:
  RefusingDevice(std::unique_ptr<Device> cpu, std::string name)
      : cpu_(std::move(cpu)), info_(cpu_->info()) {
    info_.name = std::move(name);
    size_fences(16);
  }
  const DeviceInfo& info() const override { return info_; }
  const Target& target() const override { return cpu_->target(); }
  Queue& queue() override { return cpu_->queue(); }
  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    return cpu_->allocate(size_bytes, kind);
  }
  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return Error(ErrorKind::unsupported, "Kernel \"" + binary.name + "\" is refused.");
  }
  void free_buffer(uint64_t handle) override { cpu_->free_buffer(handle); }
  MemoryFacts memory_facts() const override { return cpu_->memory_facts(); }

 private:
  std::unique_ptr<Device> cpu_;
  DeviceInfo info_;
};

/// e^x of those x that are not 0. The host finds these between its two parts.
OnnxModel refused_model() {
  OnnxBuilder builder;
  builder.input("x", {3});
  builder.node("NonZero", {"x"}, {"places"});
  builder.node("Transpose", {"places"}, {"rows"});
  builder.node("GatherND", {"x", "rows"}, {"there"});
  builder.node("Exp", {"there"}, {"y"});
  builder.output("y");
  return std::move(OnnxModel::parse(builder.bytes(), "refused.onnx")).value();
}

/// Those that are not called "cpu" refuse.
DeviceSource refusing(const std::vector<std::string>& names) {
  DeviceSource source;
  source.open = [names](const std::string& spec,
                        const DeviceCheck&) -> Result<std::unique_ptr<Device>> {
    TRY_ASSIGN(std::unique_ptr<Device> cpu, open_compiling_cpu(1));
    if (spec == "cpu") return cpu;
    return std::unique_ptr<Device>(
        std::make_unique<RefusingDevice>(std::move(cpu), spec.empty() ? names.front() : spec));
  };
  source.names = [names] { return names; };
  source.next_route = [](const std::string&) { return std::nullopt; };
  return source;
}

TEST(PartsFallBack, TheNextDeviceTakesWhatOneRefuses) {
  if (!open_compiling_cpu(1)) GTEST_SKIP() << "This build has no cpu device.";
  const std::vector<HostTensor> inputs = {floats({0, 1, 0})};
  const Model model = refused_model().specialised({.in_parts = true}).value();
  std::vector<std::string> moves;
  Session session(
      {.devices = refusing({"first", "second", "cpu"}),
       .on_move = [&](const Error&, const std::string& next) { moves.push_back(next); }});
  const auto loaded = session.load(model);
  ASSERT_OK(loaded);
  EXPECT_EQ((*loaded)->device().info().name, "first");
  for (int round = 0; round < 2; ++round) {
    const auto got = (*loaded)->run(inputs);
    ASSERT_OK(got);
    ASSERT_EQ(got->at(0).shape, Shape({1}));
    EXPECT_NEAR(got->at(0).number(0), std::exp(1.0), 1e-5);
  }
  EXPECT_EQ(moves, (std::vector<std::string>{"second", "cpu"}));
}

TEST(PartsFallBack, WithoutATakerTheModelStays) {
  if (!open_compiling_cpu(1)) GTEST_SKIP() << "This build has no cpu device.";
  const std::vector<HostTensor> inputs = {floats({0, 1, 0})};
  const Model model = refused_model().specialised({.in_parts = true}).value();
  Session session({.devices = refusing({"first", "second"})});
  for (const char* name : {"", "first"}) {
    const auto loaded = session.load(model, {.device = name});
    ASSERT_OK(loaded);
    for (int round = 0; round < 2; ++round) {
      const auto got = (*loaded)->run(inputs);
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().kind(), ErrorKind::unsupported);
      EXPECT_NE(got.error().message().find("is refused"), std::string::npos);
      EXPECT_TRUE((*loaded)->check_ready());
    }
  }
}

}  // namespace
}  // namespace leat
