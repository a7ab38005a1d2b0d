// Values that go from run to run, on every device: right whatever way they take, whatever shape
// they grow to, and not lost without a word.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "leat/backend/faulty/faulty_device.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"
#include "leat/model/onnx_shapes.h"
#include "leat/run/compiling_cpu_test.h"
#include "leat/run/session.h"
#include "leat/run/state_pairs.h"
#include "tests/flow/flow_values.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

constexpr uint64_t kLongNs = 60'000'000'000;

using Values = std::vector<HostTensor>;

/// The state is half of itself and the input, and y what it was and the input.
std::string decaying_model() {
  OnnxBuilder builder;
  builder.input("x", {2});
  builder.input("before", {2});
  builder.constant("half", floats({1}, {0.5}));
  builder.node("Mul", {"before", "half"}, {"less"});
  builder.node("Add", {"less", "x"}, {"after"});
  builder.node("Add", {"before", "x"}, {"y"});
  builder.output("y");
  builder.output("after");
  return builder.bytes();
}

/// A cache of rows that grows by those of the input, and its sum.
std::string growing_model() {
  OnnxBuilder builder;
  builder.input("x", {-1, 2});
  builder.input("past", {-1, 2});
  builder.node("Concat", {"past", "x"}, {"present"}).set("axis", 0);
  builder.node("ReduceSum", {"present"}, {"y"}).set("keepdims", 0);
  builder.output("y");
  builder.output("present");
  onnx::ModelProto model;
  model.ParseFromString(builder.bytes());
  onnx::ValueInfoProto& past = *model.mutable_graph()->mutable_input(1);
  past.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_param(
      "past");
  return model.SerializeAsString();
}

/// A cache of rows that grows, of a batch; its extents have no names.
std::string nameless_cache_model() {
  OnnxBuilder builder;
  builder.input("x", {-1, 1, 2});
  builder.input("past", {-2, -2, 2});
  builder.node("Concat", {"past", "x"}, {"present"}).set("axis", 1);
  builder.node("ReduceSum", {"present"}, {"y"}).set("keepdims", 0);
  builder.output("y");
  builder.output("present");
  return builder.bytes();
}

/// A state whose rows have no name, and that broadcasting to none would keep empty.
std::string nameless_sum_model() {
  OnnxBuilder builder;
  builder.input("x", {1, 2});
  builder.input("before", {-2, 2});
  builder.node("Add", {"before", "x"}, {"after"});
  builder.node("ReduceSum", {"after"}, {"y"}).set("keepdims", 0);
  builder.output("y");
  builder.output("after");
  return builder.bytes();
}

/// The state is of less than 8 bits an element, which lie in words.
std::string narrow_model() {
  OnnxBuilder builder(21);
  builder.input("x", {2});
  builder.input("before", {2}, onnx::TensorProto::INT4);
  builder.node("Cast", {"before"}, {"wide"}).set("to", onnx::TensorProto::FLOAT);
  builder.node("Add", {"wide", "x"}, {"y"});
  builder.node("Cast", {"y"}, {"after"}).set("to", onnx::TensorProto::INT4);
  builder.output("y");
  builder.output("after");
  return builder.bytes();
}

class FlowStates : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (!IsSkipped() && GetParam().name == kMockGpu) {
      GTEST_SKIP() << "The mock is opened by tests alone.";
    }
  }

  void load(const std::string& bytes, std::vector<StatePair> states, uint32_t slots = 1) {
    file_ = std::make_shared<const OnnxModel>(std::move(OnnxModel::parse(bytes, "m.onnx")).value());
    Model model = file_->specialised().value();
    LoadOptions options;
    options.device = GetParam().name;
    options.states = std::move(states);
    options.network.slots = slots;
    options.specialise = specialiser(file_, {}, model.inputs);
    options.first_shapes = first_shapes(file_, model.inputs);
    auto loaded = session_.load(std::move(model), std::move(options));
    ASSERT_OK(loaded);
    loaded_ = std::move(*loaded);
  }

  void expect_run(const Values& inputs, const std::vector<double>& y) {
    const auto got = loaded_->run(inputs);
    ASSERT_OK(got);
    EXPECT_EQ(numbers(got->at(0)), y);
    EXPECT_TRUE(is_nothing(got->at(1)));
  }
  void expect_state(const std::vector<double>& values) {
    const auto state = loaded_->state(0);
    ASSERT_OK(state);
    EXPECT_EQ(numbers(*state), values);
  }

  Session session_{{.devices = machine_devices(2)}};
  std::shared_ptr<const OnnxModel> file_;
  std::unique_ptr<LoadedModel> loaded_;
};

TEST_P(FlowStates, GoOnFromRunToRun) {
  load(decaying_model(), {{1, 1}});
  EXPECT_TRUE(loaded_->network().keeps_state(0));
  EXPECT_FALSE(loaded_->state(0));
  expect_run({floats({2}, {1, 2}), {}}, {1, 2});
  expect_run({floats({2}, {4, 0}), {}}, {5, 2});
  expect_run({floats({2}, {0, 0}), {}}, {4.5, 1});
  expect_state({2.25, 0.5});
  expect_run({floats({2}, {0, 0}), floats({2}, {8, 16})}, {8, 16});  // a value of the caller's
  expect_run({floats({2}, {0, 0}), {}}, {4, 8});
  loaded_->forget_states();
  expect_run({floats({2}, {1, 2}), {}}, {1, 2});
}

TEST_P(FlowStates, StayOnTheDevice) {
  load(decaying_model(), {{1, 1}});
  expect_run({floats({2}, {1, 2}), {}}, {1, 2});
  const uint64_t before = loaded_->stats().copies.hot_bytes();
  expect_run({floats({2}, {1, 2}), {}}, {2, 4});
  // x goes in and y comes out, 8 bytes each, the state neither.
  EXPECT_EQ(loaded_->stats().copies.hot_bytes() - before, 16u);
}

TEST_P(FlowStates, Grow) {
  load(growing_model(), {{1, 1}});
  double sum = 0;
  std::vector<double> all;
  for (int64_t run = 0; run < static_cast<int64_t>(kShapesReadyMax) + 4; ++run) {
    const double value = static_cast<double>(run);
    const int64_t rows = run % 3 == 2 ? 2 : 1;
    const std::vector<double> x(static_cast<size_t>(2 * rows), value);
    all.insert(all.end(), x.begin(), x.end());
    sum += value * static_cast<double>(2 * rows);
    expect_run({floats({rows, 2}, x), {}}, {sum});
  }
  expect_state(all);
  loaded_->forget_states();
  expect_run({floats({1, 2}, {1, 2}), {}}, {3});
  expect_run({floats({1, 2}, {1, 2}), floats({2, 2}, {1, 1, 1, 1})}, {7});
  expect_state({1, 1, 1, 1, 1, 2});
}

// Memory that has grown since a network was made is where it reads and writes, too.
TEST_P(FlowStates, GoBackToShapesFromBeforeTheyGrew) {
  load(growing_model(), {{1, 1}});
  const auto rows = [](int64_t count, double value) {
    return floats({count, 2}, std::vector<double>(static_cast<size_t>(2 * count), value));
  };
  expect_run({rows(1, 1), rows(2, 5)}, {22});
  expect_run({rows(200, 1), {}}, {422});
  expect_run({rows(1, 1), rows(2, 50)}, {202});
  expect_state({50, 50, 50, 50, 1, 1});
}

// What an index outside leaves is no state.
TEST_P(FlowStates, ARunThatFailsLeavesThemAsTheyWere) {
  OnnxBuilder builder;
  builder.input("at", {1}, onnx::TensorProto::INT64);
  builder.input("before", {1});
  builder.constant("table", floats({3}, {1, 2, 4}));
  builder.node("Gather", {"table", "at"}, {"x"});
  builder.node("Add", {"before", "x"}, {"after"});
  builder.node("Add", {"after", "x"}, {"y"});
  builder.output("y");
  builder.output("after");
  load(builder.bytes(), {{1, 1}});
  HostTensor at = HostTensor::zeros(DType::i64, {1});
  expect_run({at, {}}, {2});
  at.set_integer(0, 7);
  EXPECT_FALSE(loaded_->run(Values{at, {}}));
  expect_state({1});
  at.set_integer(0, 2);
  expect_run({at, {}}, {9});
}

TEST_P(FlowStates, ANumberOfInputsThatIsNot) {
  load(decaying_model(), {{1, 1}});
  EXPECT_FALSE(loaded_->run(Values{floats({2}, {1, 2})}));
  EXPECT_FALSE(loaded_->run(Values{floats({2}, {1, 2}), {}, {}}));
}

TEST_P(FlowStates, ValuesForRunsThatAreStarted) {
  load(decaying_model(), {{1, 1}});
  EXPECT_FALSE(loaded_->set_state(0, HostTensor::zeros(DType::i64, {2})));
  ASSERT_OK(loaded_->set_state(0, floats({2}, {8, 16})));
  ASSERT_OK(loaded_->network().set_input(0, floats({2}, {1, 2})));
  const auto run = loaded_->start();
  ASSERT_OK(run);
  expect_state({5, 10});
}

TEST_P(FlowStates, BeginWithExtentsThatNobodyTells) {
  for (int64_t batch : {1, 3}) {
    load(nameless_cache_model(), {{1, 1}});
    const std::vector<double> ones(static_cast<size_t>(2 * batch), 1);
    for (int64_t run = 1; run < 4; ++run) {
      const double sum = static_cast<double>(2 * batch * run);
      expect_run({floats({batch, 1, 2}, ones), {}}, {sum});
      EXPECT_EQ(loaded_->state(0).value().shape, (Shape{batch, run, 2}));
    }
  }
  load(nameless_sum_model(), {{1, 1}});
  expect_run({floats({1, 2}, {1, 2}), {}}, {3});
  expect_run({floats({1, 2}, {1, 2}), {}}, {6});
  expect_state({2, 4});
}

TEST_P(FlowStates, WhatDoesNotLieAloneGoesByTheHost) {
  load(narrow_model(), {{1, 1}});
  EXPECT_FALSE(loaded_->network().keeps_state(0));
  expect_run({floats({2}, {1, 2}), {}}, {1, 2});
  expect_run({floats({2}, {1, 2}), {}}, {2, 4});
  const auto state = loaded_->state(0);
  ASSERT_OK(state);
  EXPECT_EQ(state->integer(0), 2);
  EXPECT_EQ(state->integer(1), 4);
  EXPECT_FALSE(loaded_->start());
}

TEST_P(FlowStates, OfRunsThatAreStarted) {
  load(decaying_model(), {{1, 1}}, 2);
  for (size_t slot : {0u, 1u}) {
    ASSERT_OK(loaded_->network().set_input(0, floats({2}, {1, 2}), slot));
  }
  std::vector<StartedRun> runs;
  for (size_t slot : {0u, 1u}) {
    const auto run = loaded_->start(slot);
    ASSERT_OK(run);
    runs.push_back(*run);
  }
  for (const StartedRun& run : runs) ASSERT_TRUE(run.wait(kLongNs).value());
  EXPECT_EQ(numbers(loaded_->network().output(0, 0).value()), (std::vector<double>{1, 2}));
  EXPECT_EQ(numbers(loaded_->network().output(0, 1).value()), (std::vector<double>{2, 4}));
  expect_state({1.5, 3});
}

TEST_P(FlowStates, HeldOnesAreReadAgain) {
  load(decaying_model(), {{1, 1}});
  expect_run({floats({2}, {1, 2}), {}}, {1, 2});
  loaded_->network().hold_states(true);
  for (int run = 0; run < 3; ++run) ASSERT_OK(loaded_->network().run());
  EXPECT_EQ(numbers(loaded_->network().output(0).value()), (std::vector<double>{1, 2}));
  loaded_->network().hold_states(false);
  expect_state({1, 2});
  expect_run({floats({2}, {1, 2}), {}}, {2, 4});
}

TEST_P(FlowStates, GrownOnesAreNotStarted) {
  load(growing_model(), {{1, 1}});
  expect_run({floats({1, 2}, {1, 2}), {}}, {3});
  const auto run = loaded_->start();
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().kind(), ErrorKind::invalid_argument);
}

TEST_P(FlowStates, HaveNoOtherMemory) {
  load(decaying_model(), {{1, 1}});
  auto buffer = loaded_->device().allocate(256, MemoryKind::shared);
  ASSERT_OK(buffer);
  EXPECT_FALSE(loaded_->network().place_input(1, std::move(*buffer)));
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowStates, testing::ValuesIn(tested_devices()), test_name_of);

std::unique_ptr<Device> losing_cpu(uint64_t lost_at) {
  std::unique_ptr<Device> cpu = std::move(open_compiling_cpu(2)).value();
  return make_faulty_device(std::move(cpu), {.share = 0, .lost_at = lost_at}, nullptr);
}

TEST(FlowStatesAfterALoss, GoOn) {
  if (!open_compiling_cpu(1)) GTEST_SKIP() << "This build has no cpu device.";
  for (uint64_t lost_at = 1; lost_at < 9; ++lost_at) {
    DeviceSource source;
    int opened = 0;
    source.open = [&](const std::string&, const DeviceCheck&) -> Result<std::unique_ptr<Device>> {
      if (opened++ == 0) return losing_cpu(lost_at);
      return open_compiling_cpu(2);
    };
    source.names = [] { return std::vector<std::string>{"faulty"}; };
    source.next_route = [](const std::string&) { return std::optional<std::string>("next"); };
    Session session({.devices = source});
    const OnnxModel file = std::move(OnnxModel::parse(decaying_model(), "m.onnx")).value();
    auto loaded = session.load(file.specialised().value(),
                               {.device = "faulty", .states = {{.output = 1, .input = 1}}});
    ASSERT_OK(loaded);
    double state = 0;
    for (int run = 0; run < 6; ++run) {
      const auto got = (*loaded)->run(Values{floats({2}, {1, 0}), {}});
      ASSERT_OK(got);
      EXPECT_EQ(got->at(0).number(0), state + 1) << "lost at " << lost_at << ", run " << run;
      state = state / 2 + 1;
    }
  }
}

Model named_model() {
  Model model;
  for (const char* name : {"y", "present.0.key", "present.1.key", "a=b"}) {
    model.outputs.push_back({.name = name});
  }
  for (const char* name : {"x", "past.0.key", "past.1.key", "c"}) {
    model.inputs.push_back({.name = name});
  }
  return model;
}

std::vector<size_t> flat(const Result<std::vector<StatePair>>& pairs) {
  std::vector<size_t> all;
  for (const StatePair& pair : pairs.value()) all.insert(all.end(), {pair.output, pair.input});
  return all;
}

TEST(StatePairs, AreFoundByNames) {
  const Model model = named_model();
  EXPECT_EQ(flat(match_states(std::vector<std::string>{"y=c"}, model)),
            (std::vector<size_t>{0, 3}));
  EXPECT_EQ(flat(match_states(std::vector<std::string>{"a=b=c"}, model)),
            (std::vector<size_t>{3, 3}));
  EXPECT_EQ(flat(match_states(std::vector<std::string>{"present.*=past.*", "y=x"}, model)),
            (std::vector<size_t>{1, 1, 2, 2, 0, 0}));
}

TEST(StatePairs, AreRefusedWhereTheyAreNone) {
  const Model model = named_model();
  for (const char* text : {"y", "", "=", "y=", "=x", "z=x", "y=z", "present.*=x", "y=past.*",
                           "present.*=far.*", "p*t.*=past.*"}) {
    const auto pairs = match_states(std::vector<std::string>{text}, model);
    ASSERT_FALSE(pairs) << text;
    EXPECT_EQ(pairs.error().kind(), ErrorKind::invalid_argument);
  }
}

TEST(StatePairs, FitTheModel) {
  const OnnxModel file = std::move(OnnxModel::parse(decaying_model(), "m.onnx")).value();
  Session session({.devices = machine_devices(1)});
  const std::vector<std::vector<StatePair>> wrong = {
      {{2, 0}}, {{0, 2}}, {{0, 0}, {0, 1}}, {{0, 1}, {1, 1}}};
  for (const std::vector<StatePair>& states : wrong) {
    const auto loaded =
        session.load(file.specialised().value(), {.device = "cpu", .states = states});
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind(), ErrorKind::invalid_argument);
  }
}

}  // namespace
}  // namespace leat
