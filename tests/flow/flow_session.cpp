// The session: models run right for every shape they are given and from several threads, what a
// device does not take or loses goes to the next, and a started run takes no memory.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "bench/allocation_count.h"
#include "leat/backend/faulty/faulty_device.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"
#include "leat/run/compiling_cpu_test.h"
#include "leat/run/session.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

constexpr uint64_t kLongNs = 60'000'000'000;

/// relu(x * w) for any number of rows.
OnnxModel product_model() {
  OnnxBuilder builder;
  builder.input("x", {-1, 4});
  builder.weights("w", {4, 3});
  builder.node("MatMul", {"x", "w"}, {"m"});
  builder.node("Relu", {"m"}, {"y"});
  builder.output("y");
  return std::move(OnnxModel::parse(builder.bytes(), "product.onnx")).value();
}

HostTensor rows_of(int64_t rows, double first) {
  HostTensor value = HostTensor::zeros(DType::f32, {rows, 4});
  for (int64_t i = 0; i < rows * 4; ++i) value.set_number(i, first + static_cast<double>(i) / 8);
  return value;
}

/// Sums of four products: 1e-5 is far above what the order of a sum changes.
void expect_product(const OnnxModel& file, const HostTensor& x,
                    const Result<std::vector<HostTensor>>& got) {
  ASSERT_OK(got);
  const Model model = file.specialised({.input_shapes = {{"x", x.shape}}}).value();
  const auto want = evaluate(model.graph, std::vector<HostTensor>{x});
  ASSERT_OK(want);
  ASSERT_EQ(got->at(0).shape, want->at(0).shape);
  for (int64_t i = 0; i < element_count(x.shape) / 4 * 3; ++i) {
    EXPECT_NEAR(got->at(0).number(i), want->at(0).number(i), 1e-5);
  }
}

LoadOptions any_rows(const OnnxModel& file, const std::string& device) {
  LoadOptions options;
  options.device = device;
  options.specialise = [&file](std::span<const Shape> shapes) {
    return file.specialised({.input_shapes = {{"x", shapes[0]}}});
  };
  return options;
}

using FlowSession = DeviceTest;

TEST_P(FlowSession, RunsForEveryShape) {
  if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
  const OnnxModel file = product_model();
  Session session({.devices = machine_devices(2)});
  const auto loaded = session.load(file.specialised().value(), any_rows(file, GetParam().name));
  ASSERT_OK(loaded);
  for (int round = 0; round < 2; ++round) {
    for (int64_t rows = 1; rows <= static_cast<int64_t>(kShapesReadyMax) + 2; ++rows) {
      const HostTensor x = rows_of(rows, round);
      expect_product(file, x, (*loaded)->run(std::vector<HostTensor>{x}));
    }
  }
}

// Each thread has a slot; a device is used by one thread at a time all the same.
TEST_P(FlowSession, ThreadsStartRunsTogether) {
  if (GetParam().name == kMockGpu) GTEST_SKIP() << "The mock is opened by tests alone.";
  constexpr size_t kThreads = 3;
  constexpr int kRuns = 20;
  const OnnxModel file = product_model();
  Session session({.devices = machine_devices(2)});
  LoadOptions options = any_rows(file, GetParam().name);
  options.network.slots = kThreads;
  const auto loaded = session.load(file.specialised().value(), options);
  ASSERT_OK(loaded);
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (size_t slot = 0; slot < kThreads; ++slot) {
    threads.emplace_back([&, slot] {
      const ExternalView in = (*loaded)->network().input_view(0, slot);
      const ExternalView out = (*loaded)->network().output_view(0, slot);
      for (int i = 0; i < kRuns; ++i) {
        const float value = -1 - static_cast<float>(slot * 100 + static_cast<size_t>(i));
        std::fill_n(reinterpret_cast<float*>(in.host), 4, value);
        const Result<StartedRun> run = (*loaded)->start(slot);
        if (!run || !run->wait(kLongNs).value()) continue;
        // The columns of w, elements (i % 7 - 3) / 4 at stride 3, have the sums -1/4, -1 and 0.
        const float* const y = reinterpret_cast<const float*>(out.host);
        right += std::abs(y[0] + value / 4) < 1e-3f && std::abs(y[1] + value) < 1e-3f && y[2] == 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right.load(), static_cast<int>(kThreads) * kRuns);
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowSession, testing::ValuesIn(tested_devices()), test_name_of);

// --- Giving way ----------------------------------------------------------------------------------

/// "" is "first", which is followed by the cpu, as the next device and as the next route.
DeviceSource cpu_after(std::function<Result<std::unique_ptr<Device>>()> first,
                       const std::string& first_name) {
  DeviceSource source;
  source.open = [first](const std::string& spec, const DeviceCheck&) {
    return spec == "cpu" ? open_compiling_cpu(1) : first();
  };
  source.names = [first_name] { return std::vector<std::string>{first_name, "cpu"}; };
  source.next_route = [](const std::string& name) {
    return name == "cpu" ? std::nullopt : std::optional<std::string>("cpu");
  };
  return source;
}

Result<std::unique_ptr<Device>> losing_cpu(uint64_t lost_at) {
  TRY_ASSIGN(std::unique_ptr<Device> cpu, open_compiling_cpu(1));
  return make_faulty_device(std::move(cpu), {.share = 0, .lost_at = lost_at}, nullptr);
}

bool has_cpu() { return open_compiling_cpu(1).has_value(); }

TEST(SessionFallBack, LostWorkIsDoneAgainOnTheNextRoute) {
  if (!has_cpu()) GTEST_SKIP() << "This build has no cpu device.";
  const OnnxModel file = product_model();
  for (uint64_t lost_at = 1; lost_at <= 4; ++lost_at) {
    std::vector<std::string> moves;
    Session session(
        {.devices = cpu_after([lost_at] { return losing_cpu(lost_at); }, "faulty:cpu"),
         .on_move = [&](const Error&, const std::string& next) { moves.push_back(next); }});
    const auto loaded = session.load(file.specialised().value(), any_rows(file, ""));
    ASSERT_OK(loaded);
    for (int i = 0; i < 5; ++i) {
      const HostTensor x = rows_of(1 + i % 2, i);
      expect_product(file, x, (*loaded)->run(std::vector<HostTensor>{x}));
    }
    EXPECT_EQ(moves, std::vector<std::string>{"cpu"});
    EXPECT_EQ((*loaded)->device().info().name, "cpu");
  }
}

TEST(SessionFallBack, ANamedRouteIsKept) {
  if (!has_cpu()) GTEST_SKIP() << "This build has no cpu device.";
  const OnnxModel file = product_model();
  Session session({.devices = cpu_after([] { return losing_cpu(3); }, "faulty:cpu")});
  const auto loaded = session.load(file.specialised().value(), any_rows(file, "faulty:cpu"));
  ASSERT_OK(loaded);
  Result<std::vector<HostTensor>> outputs = (*loaded)->run(std::vector<HostTensor>{rows_of(1, 0)});
  for (int i = 0; i < 4 && outputs; ++i) {
    outputs = (*loaded)->run(std::vector<HostTensor>{rows_of(1, 0)});
  }
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().kind(), ErrorKind::device_lost);
  EXPECT_NE(outputs.error().message().find("Device \"cpu\" is the next route."), std::string::npos)
      << outputs.error().message();
}

TEST(SessionFallBack, WithoutADeviceLeftEveryCallSaysSo) {
  if (!has_cpu()) GTEST_SKIP() << "This build has no cpu device.";
  const OnnxModel file = product_model();
  DeviceSource source = cpu_after([] { return losing_cpu(3); }, "faulty:cpu");
  source.open = [](const std::string& spec, const DeviceCheck&) -> Result<std::unique_ptr<Device>> {
    if (spec == "cpu") return Error(ErrorKind::unsupported, "There is no other device.");
    return losing_cpu(3);
  };
  Session session({.devices = source});
  const auto loaded = session.load(file.specialised().value(), any_rows(file, ""));
  ASSERT_OK(loaded);
  const std::vector<HostTensor> inputs = {rows_of(1, 0)};
  Result<std::vector<HostTensor>> outputs = (*loaded)->run(inputs);
  for (int i = 0; i < 4 && outputs; ++i) outputs = (*loaded)->run(inputs);
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().message(), "There is no other device.");
  outputs = (*loaded)->run(inputs);
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().kind(), ErrorKind::device_lost);
  EXPECT_FALSE((*loaded)->start());
}

TEST(SessionFallBack, ShapesThatAModelCannotTakeAreRefused) {
  const OnnxModel file = product_model();
  Session session({.devices = machine_devices(1)});
  LoadOptions options;
  options.device = "null";
  const auto loaded = session.load(file.specialised().value(), options);
  ASSERT_OK(loaded);
  const auto outputs = (*loaded)->run(std::vector<HostTensor>{rows_of(2, 0)});
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(outputs.error().message().find("takes inputs of shapes"), std::string::npos)
      << outputs.error().message();
}

// --- Memory --------------------------------------------------------------------------------------

TEST(SessionMemory, AStartedRunAllocatesNothing) {
  const OnnxModel file = product_model();
  for (const char* name : {"null", "cpu"}) {
    Session session({.devices = machine_devices(2)});
    LoadOptions options = any_rows(file, name);
    options.network.slots = 4;
    const auto loaded = session.load(file.specialised().value(), options);
    if (!loaded) continue;  // a build without a cpu device
    const auto run_all = [&] {
      StartedRun runs[4];
      for (size_t slot = 0; slot < 4; ++slot) runs[slot] = (*loaded)->start(slot).value();
      for (const StartedRun& run : runs) ASSERT_TRUE(run.wait(kLongNs).value());
    };
    run_all();
    const uint64_t before = cli::allocation_count();
    for (int round = 0; round < 100; ++round) run_all();
    EXPECT_EQ(cli::allocation_count(), before) << name;
  }
}

struct alignas(128) Aligned {
  char bytes[128];
};

TEST(AllocationCount, SeesEveryFormOfNew) {
  const uint64_t before = cli::allocation_count();
  const auto one = std::make_unique<int>(1);
  const auto many = std::make_unique<int[]>(100);
  const auto aligned = std::make_unique<Aligned>();
  const auto aligned_many = std::make_unique<Aligned[]>(3);
  EXPECT_EQ(cli::allocation_count() - before, 4u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned.get()) % alignof(Aligned), 0u);
}

}  // namespace
}  // namespace leat
