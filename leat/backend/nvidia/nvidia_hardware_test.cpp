// The direct route on the chip itself, where there is one of architecture 9.0; kernels come as
// finished machine code, so nothing but NVIDIA's kernel driver is needed. Elsewhere it skips.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <thread>

#include "leat/backend/nvidia/generated/nvidia_cubins_test.h"
#include "leat/backend/nvidia/nvidia_device.h"
#include "leat/backend/nvidia/nvidia_submitter.h"

#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    const auto& assert_ok = (expression);                              \
    ASSERT_TRUE(assert_ok.has_value()) << assert_ok.error().message(); \
  } while (false)

namespace leat {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint64_t kWaitNs = 2'000'000'000;
constexpr uint64_t kOthersWaitNs = 20'000'000'000;  // while another process hangs the card

struct LaunchShape {
  uint32_t groups = 1;
  uint32_t waves = 1;
  uint32_t local_memory_bytes = 0;
};

/// A kernel of the test cubin; the first `inputs` arguments are read, the others written.
KernelBinary test_kernel(const char* entry, LaunchShape shape, size_t inputs, size_t outputs) {
  KernelBinary binary;
  binary.name = binary.entry = entry;
  binary.format = CodeFormat::cubin;
  const auto bytes = std::as_bytes(std::span(kTestCubin));
  binary.code.assign(bytes.begin(), bytes.end());
  binary.arguments.assign(inputs, {DType::i32, false});
  binary.arguments.insert(binary.arguments.end(), outputs, {DType::i32, true});
  binary.wave_lanes = 32;
  binary.waves_per_workgroup = shape.waves;
  binary.local_memory_bytes = shape.local_memory_bytes;
  binary.grid[0] = shape.groups;
  return binary;
}

class NvidiaHardware : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::vector<FoundRoute> found = find_nvidia_devices();
    refusal_ = found[0].refusal;
    if (!refusal_.empty()) return;
    const Clock::time_point start = Clock::now();
    Result<std::unique_ptr<Device>> opened = open_nvidia_device(0, "gpu0:direct");
    if (!opened) {
      refusal_ = "FAILED: " + opened.error().message();
      return;
    }
    const std::chrono::duration<double, std::milli> passed = Clock::now() - start;
    device_ = std::move(*opened);
    std::cout << device_->info().chip << ", " << device_->info().driver << ", opened in "
              << passed.count() << " ms\n";
    if (!device_->target().llvm_cpu.starts_with("sm_90")) refusal_ = "The chip is no sm_90.";
  }
  static void TearDownTestSuite() { device_.reset(); }

  void SetUp() override {
    ASSERT_FALSE(refusal_.starts_with("FAILED")) << refusal_;
    if (!refusal_.empty()) GTEST_SKIP() << refusal_;
  }

  Queue& queue() { return device_->queue(); }
  std::unique_ptr<Kernel> load(const KernelBinary& binary) {
    Result<std::unique_ptr<Kernel>> kernel = device_->load(binary);
    EXPECT_TRUE(kernel.has_value()) << kernel.error().message();
    return kernel ? std::move(*kernel) : nullptr;
  }
  Buffer buffer(size_t size_bytes, MemoryKind kind) {
    Result<Buffer> made = device_->allocate(size_bytes, kind);
    EXPECT_TRUE(made.has_value()) << made.error().message();
    return made ? std::move(*made) : Buffer();
  }
  template <typename T>
  Buffer buffer_of(const std::vector<T>& values, MemoryKind kind) {
    Buffer made = buffer(values.size() * sizeof(T), kind);
    const auto bytes = std::as_bytes(std::span(values));
    const Result<void> done = write_buffer(*device_, {&made, 0, bytes.size()}, bytes);
    EXPECT_TRUE(done.has_value()) << done.error().message();
    return made;
  }
  template <typename T>
  std::vector<T> read(const Buffer& source) {
    std::vector<T> values(source.size_bytes() / sizeof(T));
    const Result<void> done = read_buffer(*device_, {&source, 0, source.size_bytes()},
                                          std::as_writable_bytes(std::span(values)));
    EXPECT_TRUE(done.has_value()) << done.error().message();
    return values;
  }
  void launch(const Kernel& kernel, const std::vector<const Buffer*>& buffers) {
    std::vector<BufferRange> ranges;
    for (const Buffer* each : buffers) ranges.push_back({each, 0, each->size_bytes()});
    ASSERT_OK(queue().launch(kernel, ranges));
  }
  void wait_for(const Result<uint64_t>& value) {
    ASSERT_OK(value);
    const Result<bool> done = queue().fence().wait(*value, kWaitNs);
    ASSERT_OK(done);
    ASSERT_TRUE(*done);
  }
  std::unique_ptr<RecordedList> record(const std::function<void()>& commands) {
    EXPECT_TRUE(queue().begin_record().has_value());
    commands();
    Result<std::unique_ptr<RecordedList>> list = queue().end_record();
    EXPECT_TRUE(list.has_value()) << list.error().message();
    return list ? std::move(*list) : nullptr;
  }

  static std::unique_ptr<Device> device_;
  static std::string refusal_;
};

std::unique_ptr<Device> NvidiaHardware::device_;
std::string NvidiaHardware::refusal_;

std::vector<float> ramp(size_t count, float start) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = start + 0.25f * static_cast<float>(i % 1000);
  return values;
}

TEST_F(NvidiaHardware, EmptySubmits) {
  for (int i = 0; i < 1000; ++i) wait_for(queue().submit());
}

TEST_F(NvidiaHardware, CopiesComeBack) {
  for (const size_t count : {size_t{1}, size_t{1000}, size_t{1} << 22}) {
    const std::vector<float> values = ramp(count, 3.0f);
    const Buffer made = buffer_of(values, MemoryKind::device);
    EXPECT_TRUE(read<float>(made) == values) << count;
  }
}

TEST_F(NvidiaHardware, Saxpy) {
  constexpr uint32_t kCount = 1u << 20;
  const auto kernel = load(test_kernel("saxpy_kernel", {kCount / 256, 8}, 2, 1));
  ASSERT_NE(kernel, nullptr);
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
    for (const float start : {1.0f, 7.0f}) {
      const std::vector<float> x = ramp(kCount, start), y = ramp(kCount, 100.0f);
      const Buffer bx = buffer_of(x, kind), by = buffer_of(y, kind);
      const Buffer out = buffer(kCount * sizeof(float), kind);
      launch(*kernel, {&bx, &by, &out});
      wait_for(queue().submit());
      const std::vector<float> seen = read<float>(out);
      for (uint32_t i = 0; i < kCount; ++i) ASSERT_EQ(seen[i], 2.5f * x[i] + y[i]) << i;
    }
  }
}

TEST_F(NvidiaHardware, LocalMemoryAndStack) {
  constexpr uint32_t kGroups = 500, kLanes = 256;
  std::vector<int32_t> in(kGroups * kLanes);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int32_t>(i * 7 + 1);
  const auto reverse =
      load(test_kernel("reverse_kernel", {kGroups, kLanes / 32, kLanes * 4}, 1, 1));
  const auto large = load(test_kernel("reverse_kernel", {kGroups, kLanes / 32, 227 << 10}, 1, 1));
  const auto stack = load(test_kernel("stack_kernel", {kGroups, kLanes / 32}, 1, 1));
  ASSERT_TRUE(reverse != nullptr && large != nullptr && stack != nullptr);
  const Buffer source = buffer_of(in, MemoryKind::device);
  for (const Kernel* kernel : {reverse.get(), large.get()}) {
    const Buffer out = buffer(in.size() * 4, MemoryKind::device);
    launch(*kernel, {&source, &out});
    wait_for(queue().submit());
    const std::vector<int32_t> seen = read<int32_t>(out);
    for (uint32_t i = 0; i < seen.size(); ++i) {
      ASSERT_EQ(seen[i], in[i / kLanes * kLanes + kLanes - 1 - i % kLanes]) << i;
    }
  }
  const Buffer numbers = buffer_of(std::vector<int32_t>{5, 15}, MemoryKind::device);
  const Buffer out = buffer(in.size() * 4, MemoryKind::device);
  launch(*stack, {&numbers, &out});
  wait_for(queue().submit());
  const std::vector<int32_t> seen = read<int32_t>(out);
  // 5 * 3 = 15: the entry was written with k = 3.
  for (int32_t i = 0; i < static_cast<int32_t>(seen.size()); ++i) {
    ASSERT_EQ(seen[static_cast<size_t>(i)], 3 + i);
  }
}

// Each element of a round comes from another multiprocessor's writes of the round before.
TEST_F(NvidiaHardware, ChainsCarryData) {
  constexpr uint32_t kGroups = 400, kLanes = 256, kRounds = 200;
  constexpr uint32_t kCount = kGroups * kLanes;
  const auto kernel = load(test_kernel("shuffle_kernel", {kGroups, kLanes / 32}, 1, 1));
  ASSERT_NE(kernel, nullptr);
  std::vector<int32_t> values(kCount);
  for (uint32_t i = 0; i < kCount; ++i) values[i] = static_cast<int32_t>(i * 13);
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
    std::vector<int32_t> wanted = values;
    const Buffer a = buffer_of(values, kind), b = buffer(kCount * 4, kind);
    const auto list = record([&] {
      for (uint32_t r = 0; r < kRounds; ++r) {
        launch(*kernel, r % 2 == 0 ? std::vector{&a, &b} : std::vector{&b, &a});
      }
    });
    ASSERT_NE(list, nullptr);
    for (int replay = 0; replay < 3; ++replay) {
      wait_for(queue().replay(*list));
      for (uint32_t r = 0; r < kRounds; ++r) {
        std::vector<int32_t> next(kCount);
        for (uint32_t i = 0; i < kCount; ++i) next[i] = wanted[(i * 97u + 1u) % kCount] + 1;
        wanted.swap(next);
      }
      ASSERT_TRUE(read<int32_t>(a) == wanted) << "replay " << replay;
    }
  }
}

// All stores of a large launch, issued right before its end, are seen by the one that depends on
// it.
TEST_F(NvidiaHardware, ChainsCarryScatteredStores) {
  constexpr uint32_t kWords = 1u << 24, kRounds = 500;
  constexpr LaunchShape kShape = {kWords / 16 / 256, 8};
  const auto scatter = load(test_kernel("scatter_kernel", kShape, 1, 1));
  const auto gather = load(test_kernel("gather_kernel", kShape, 2, 1));
  const auto add = load(test_kernel("add_kernel", {1, 1}, 0, 1));
  ASSERT_TRUE(scatter != nullptr && gather != nullptr && add != nullptr);
  const Buffer round = buffer_of(std::vector<int32_t>{1}, MemoryKind::device);
  const Buffer errors = buffer_of(std::vector<int32_t>{0}, MemoryKind::device);
  const Buffer words = buffer(kWords * sizeof(int32_t), MemoryKind::device);
  const auto list = record([&] {
    launch(*scatter, {&round, &words});
    launch(*gather, {&round, &words, &errors});
    launch(*add, {&round});
  });
  ASSERT_NE(list, nullptr);
  for (uint32_t i = 0; i < kRounds; ++i) wait_for(queue().replay(*list));
  EXPECT_EQ(read<int32_t>(errors)[0], 0);
  EXPECT_EQ(read<int32_t>(round)[0], static_cast<int32_t>(kRounds) + 1);
}

// Two chains side by side, then one launch that needs both: the engine must wait for whole chains.
TEST_F(NvidiaHardware, ChainsJoin) {
  constexpr uint32_t kGroups = 64, kLanes = 256, kCount = kGroups * kLanes;
  const auto shuffle = load(test_kernel("shuffle_kernel", {kGroups, kLanes / 32}, 1, 1));
  const auto saxpy = load(test_kernel("saxpy_kernel", {kGroups, kLanes / 32}, 2, 1));
  ASSERT_TRUE(shuffle != nullptr && saxpy != nullptr);
  const Buffer zero = buffer_of(std::vector<int32_t>(kCount, 0), MemoryKind::device);
  std::vector<Buffer> work;
  for (int i = 0; i < 4; ++i) work.push_back(buffer(kCount * 4, MemoryKind::device));
  const Buffer out = buffer(kCount * 4, MemoryKind::device);
  const auto list = record([&] {
    for (size_t chain = 0; chain < 4; chain += 2) {
      const Buffer* from = &zero;
      for (uint32_t r = 0; r < 20; ++r) {
        const Buffer* to = &work[chain + r % 2];
        launch(*shuffle, {from, to});
        from = to;
      }
    }
    launch(*saxpy, {&work[1], &work[3], &out});
  });
  ASSERT_NE(list, nullptr);
  for (int replay = 0; replay < 50; ++replay) {
    wait_for(queue().replay(*list));
    const std::vector<float> seen = read<float>(out);
    float twenty;
    const int32_t bits = 20;
    std::memcpy(&twenty, &bits, 4);
    for (const float value : seen) ASSERT_EQ(value, std::fma(2.5f, twenty, twenty));
  }
}

TEST_F(NvidiaHardware, MarksMeasureASpin) {
  const auto spin = load(test_kernel("spin_kernel", {1, 1}, 1, 1));
  ASSERT_NE(spin, nullptr);
  const Buffer cycles = buffer_of(std::vector<int32_t>{2'000'000}, MemoryKind::device);
  const Buffer out = buffer(4, MemoryKind::device);
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(queue().mark_time(0));
    launch(*spin, {&cycles, &out});
    ASSERT_OK(queue().mark_time(1));
    wait_for(queue().submit());
    const Result<uint64_t> begin = queue().time_ns(0), end = queue().time_ns(1);
    ASSERT_OK(begin);
    ASSERT_OK(end);
    const double mhz = 2e9 / static_cast<double>(*end - *begin);
    EXPECT_GT(mhz, 100);  // no GPU's clock is outside this
    EXPECT_LT(mhz, 5000);
  }
}

// --- Figures, printed ---------------------------------------------------------------------------

class SlowNvidiaFigures : public NvidiaHardware {
 protected:
  void SetUp() override {
    NvidiaHardware::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    empty_ = load(test_kernel("empty_kernel", {1, 1}, 0, 0));
    spin_ = load(test_kernel("spin_kernel", {1, 1}, 1, 1));
    warm_up();
  }

  /// The chip's clock rises under load only.
  void warm_up() {
    const auto busy = load(test_kernel("spin_kernel", {1000, 8}, 1, 1));
    const Buffer cycles = buffer_of(std::vector<int32_t>{1'000'000}, MemoryKind::device);
    const Buffer out = buffer(4, MemoryKind::device);
    for (int i = 0; i < 150; ++i) launch(*busy, {&cycles, &out});
    wait_for(queue().submit());
  }
  double clock_mhz() {
    const Buffer cycles = buffer_of(std::vector<int32_t>{2'000'000}, MemoryKind::device);
    const Buffer out = buffer(4, MemoryKind::device);
    EXPECT_TRUE(queue().mark_time(0).has_value());
    launch(*spin_, {&cycles, &out});
    EXPECT_TRUE(queue().mark_time(1).has_value());
    wait_for(queue().submit());
    return 2e9 / static_cast<double>(*queue().time_ns(1) - *queue().time_ns(0));
  }
  void print(const std::string& name, std::vector<double> us, double per = 1) {
    std::ranges::sort(us);
    const auto at = [&](double share) {
      return us[static_cast<size_t>(share * static_cast<double>(us.size() - 1))] / per;
    };
    std::printf("%-56s median %8.3f us  p99 %8.3f  p99.9 %8.3f  (%zu)\n", name.c_str(), at(0.5),
                at(0.99), at(0.999), us.size());
    std::fflush(stdout);
  }
  /// Time of one round of `work`, which returns a fence value, until the value is seen.
  template <typename Work>
  std::vector<double> measure(int rounds, Work work) {
    std::vector<double> us;
    for (int i = 0; i < rounds + 300; ++i) {
      const Clock::time_point start = Clock::now();
      const uint64_t value = *work();
      while (queue().fence().poll() < value) {
      }
      const std::chrono::duration<double, std::micro> passed = Clock::now() - start;
      if (i >= 300) us.push_back(passed.count());
      if (passed.count() > 1e6) ADD_FAILURE() << "A round took " << passed.count() << " us.";
    }
    return us;
  }

  std::unique_ptr<Kernel> empty_, spin_;
};

TEST_F(SlowNvidiaFigures, Latency) {
  constexpr int kRounds = 30000;
  std::printf("SM clock %.0f MHz\n", clock_mhz());
  const auto list = record([&] { launch(*empty_, {}); });
  print("submit of nothing", measure(kRounds, [&] { return queue().submit(); }));
  print("empty kernel, replayed", measure(kRounds, [&] { return queue().replay(*list); }));
  print("empty kernel, fresh", measure(kRounds, [&] {
          launch(*empty_, {});
          return queue().submit();
        }));
  std::vector<double> armed;
  for (int i = 0; i < 5000; ++i) {
    const uint64_t value = *queue().arm(*list);
    const Clock::time_point begin = Clock::now();
    while (Clock::now() - begin < std::chrono::microseconds(30)) {
    }
    const Clock::time_point start = Clock::now();
    queue().fire();
    while (queue().fence().poll() < value) {
    }
    const std::chrono::duration<double, std::micro> passed = Clock::now() - start;
    armed.push_back(passed.count());
  }
  print("empty kernel, armed", armed);
  std::vector<double> host;
  for (int i = 0; i < kRounds; ++i) {
    const Clock::time_point start = Clock::now();
    const uint64_t value = *queue().replay(*list);
    const std::chrono::duration<double, std::micro> passed = Clock::now() - start;
    host.push_back(passed.count());
    while (queue().fence().poll() < value) {
    }
  }
  print("host's share of a replay", host);
  std::printf("SM clock %.0f MHz\n", clock_mhz());
}

TEST_F(SlowNvidiaFigures, Thousands) {
  constexpr int kRounds = 300, kKernels = 1000;
  const auto count = load(test_kernel("count_kernel", {1, 1}, 1, 0));  // "read": no order wanted
  const auto ordered = load(test_kernel("shuffle_kernel", {1, 1}, 1, 1));
  const auto wide = load(test_kernel("shuffle_kernel", {132, 8}, 1, 1));
  const Buffer counter = buffer_of(std::vector<int32_t>{0}, MemoryKind::device);
  std::printf("SM clock %.0f MHz\n", clock_mhz());
  const auto independent = record([&] {
    for (int i = 0; i < kKernels; ++i) launch(*count, {&counter});
  });
  print("1000 independent kernels, each",
        measure(kRounds, [&] { return queue().replay(*independent); }), kKernels);
  EXPECT_EQ(read<int32_t>(counter)[0], (kRounds + 300) * kKernels);
  const auto add = load(test_kernel("add_kernel", {1, 1}, 0, 1));
  for (const Kernel* kernel : {add.get(), ordered.get(), wide.get()}) {
    const Buffer a = buffer_of(std::vector<int32_t>(132 * 256, 0), MemoryKind::device);
    const Buffer b = buffer_of(std::vector<int32_t>(132 * 256, 0), MemoryKind::device);
    const auto list = record([&] {
      for (int i = 0; i < kKernels; ++i) {
        if (kernel == add.get()) {
          launch(*kernel, {&a});
        } else {
          launch(*kernel, i % 2 == 0 ? std::vector{&a, &b} : std::vector{&b, &a});
        }
      }
    });
    print(kernel == add.get()    ? "1000 dependent kernels, each adds 1 to a word, each"
          : kernel == wide.get() ? "1000 dependent kernels of 132 workgroups, each"
                                 : "1000 dependent kernels of 32 lanes, each",
          measure(kRounds, [&] { return queue().replay(*list); }), kKernels);
    EXPECT_EQ(read<int32_t>(a)[0], (kRounds + 300) * kKernels);
  }
  std::printf("SM clock %.0f MHz\n", clock_mhz());
}

TEST_F(SlowNvidiaFigures, CopySpeed) {
  constexpr size_t kBytes = size_t{256} << 20;
  const Buffer near = buffer(kBytes, MemoryKind::device),
               other = buffer(kBytes, MemoryKind::device);
  const Buffer far = buffer(kBytes, MemoryKind::shared);
  const auto gigabytes = [&](const Buffer& to, const Buffer& from) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(queue().copy({&to, 0, kBytes}, {&from, 0, kBytes}).has_value());
    }
    const Clock::time_point start = Clock::now();
    wait_for(queue().submit());
    const std::chrono::duration<double> passed = Clock::now() - start;
    return 3 * static_cast<double>(kBytes) / passed.count() / 1e9;
  };
  for (int i = 0; i < 2; ++i) {
    std::printf("copy host to card %.1f GB/s, card to host %.1f, on the card %.1f\n",
                gigabytes(near, far), gigabytes(far, near), gigabytes(other, near));
  }
}

// --- Faults -------------------------------------------------------------------------------------

/// Steps of the fault tests, in a process of their own. Each run returns an empty text when all
/// went well.
class FaultSteps {
 public:
  std::string run_wild_pointers() {
    return text_of([this]() -> Result<void> {
      TRY(run_wild_pointer(true));
      return run_wild_pointer(false);
    });
  }
  std::string run_hang(NvidiaStop way) {
    return text_of([this, way]() -> Result<void> {
      static_cast<NvidiaQueue&>(device_->queue()).submitter().set_stop(way);
      return run_endless(way);
    });
  }

 private:
  template <typename Steps>
  std::string text_of(Steps steps) {
    Result<std::unique_ptr<Device>> opened = open_nvidia_device(0, "gpu0:direct");
    if (!opened) return opened.error().message();
    device_ = std::move(*opened);
    const Result<void> done = steps();
    return done ? "" : done.error().message();
  }
  Result<Buffer> buffer_of(std::vector<uint64_t> words) {
    TRY_ASSIGN(Buffer made, device_->allocate(words.size() * 8, MemoryKind::shared));
    std::memcpy(made.host_pointer(), words.data(), made.size_bytes());
    return made;
  }
  Result<bool> run_kernel(const char* entry, const std::vector<const Buffer*>& buffers,
                          size_t inputs, uint64_t timeout_ns) {
    TRY_ASSIGN(const std::unique_ptr<Kernel> kernel,
               device_->load(test_kernel(entry, {1, 1}, inputs, buffers.size() - inputs)));
    std::vector<BufferRange> ranges;
    for (const Buffer* buffer : buffers) ranges.push_back({buffer, 0, buffer->size_bytes()});
    TRY(device_->queue().launch(*kernel, ranges));
    TRY_ASSIGN(const uint64_t value, device_->queue().submit());
    return device_->queue().fence().wait(value, timeout_ns);
  }
  Result<void> expect_right_result() {
    TRY_ASSIGN(const Buffer word, buffer_of({41}));
    TRY_ASSIGN(const bool done, run_kernel("add_kernel", {&word}, 0, kWaitNs));
    const bool right = *reinterpret_cast<const int32_t*>(word.host_pointer()) == 42;
    if (done && right) return {};
    return Error(ErrorKind::internal, "The result after a fault is wrong.");
  }
  double ms_since(Clock::time_point start) {
    const std::chrono::duration<double, std::milli> passed = Clock::now() - start;
    return passed.count();
  }

  // Three spins of about a second each, one behind the other, so that it ends by itself. Printed:
  // each request, its answer and its time; the times count from the deadline.
  Result<void> run_endless(NvidiaStop way) {
    TRY_ASSIGN(const Buffer cycles, buffer_of({0x7fffffff}));
    TRY_ASSIGN(const Buffer out, buffer_of({0}));
    auto& queue = static_cast<NvidiaQueue&>(device_->queue());
    TRY_ASSIGN(const std::unique_ptr<Kernel> kernel,
               device_->load(test_kernel("spin_kernel", {1, 1}, 1, 1)));
    const BufferRange ranges[] = {{&cycles, 0, 8}, {&out, 0, 8}};
    for (int i = 0; i < 3; ++i) TRY(queue.launch(*kernel, ranges));
    TRY_ASSIGN(const uint64_t value, queue.submit());
    TRY_ASSIGN(const bool done, queue.fence().wait(value, 50'000'000));
    if (done) return Error(ErrorKind::internal, "The endless kernel ends.");
    const Clock::time_point start = Clock::now();
    TRY(queue.abandon());
    const double abandoned_ms = ms_since(start);
    for (const NvidiaStopStep& step : queue.submitter().stop_steps()) {
      std::printf("%s: %s: %s, %.1f ms\n", name_of(way), step.request,
                  step.answer ? "accepted" : step.answer.error().message().c_str(), step.ms);
    }
    TRY(expect_right_result());
    std::printf(
        "%s: given up after %.1f ms, next right result after %.1f ms, spin at its end: %s\n",
        name_of(way), abandoned_ms, ms_since(start),
        *reinterpret_cast<const int32_t*>(out.host_pointer()) != 0 ? "yes" : "no");
    return {};
  }

  // Declared as written, the launch ends behind a barrier that its lost store never passes. Without
  // that barrier the fence passes and the driver reports later.
  Result<void> run_wild_pointer(bool declared_written) {
    TRY_ASSIGN(const Buffer pointer, buffer_of({0x7000000000}));
    const size_t inputs = declared_written ? 0 : 1;
    TRY_ASSIGN(const std::unique_ptr<Kernel> kernel,
               device_->load(test_kernel("poke_kernel", {1, 1}, inputs, 1 - inputs)));
    const BufferRange range = {&pointer, 0, 8};
    Queue& queue = device_->queue();
    TRY(queue.launch(*kernel, std::span(&range, 1)));
    const Clock::time_point start = Clock::now();
    TRY_ASSIGN(const uint64_t value, queue.submit());
    Result<bool> waited = queue.fence().wait(value, kWaitNs);
    const bool passed = waited && *waited;
    if (passed && declared_written) {
      return Error(ErrorKind::internal, "The fence passes although the store was lost.");
    }
    while (waited && ms_since(start) < 2000) waited = queue.fence().wait(value + 1, 1'000'000);
    const double seen_ms = ms_since(start);
    if (waited) return Error(ErrorKind::internal, "The wild pointer is no fault.");
    const Clock::time_point recovery = Clock::now();
    TRY(expect_right_result());
    std::printf(
        "wild pointer, declared as %s: fence %s, \"%s\" after %.1f ms, next result after "
        "another %.1f ms\n",
        declared_written ? "written" : "read", passed ? "passes" : "does not pass",
        waited.error().message().c_str(), seen_ms, ms_since(recovery));
    return {};
  }

  std::unique_ptr<Device> device_;
};

// The only tests that provoke faults on a chip: two wild stores, and one kernel of three seconds
// for each way to stop it. Each in a child; this process's channels work all the while, and lose
// nothing.
class SlowNvidiaFaults : public NvidiaHardware, public testing::WithParamInterface<NvidiaStop> {
 protected:
  void SetUp() override {
    NvidiaHardware::SetUp();
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
  static void end_child(const std::string& failure) {
    std::printf("%s\n", failure.c_str());
    std::fflush(stdout);
    std::_Exit(failure.empty() ? 0 : 1);
  }
  /// `in_child` ends its process; meanwhile a chain of additions goes on here, round by round.
  template <typename InChild>
  void expect_unharmed_by(InChild in_child) {
    constexpr int32_t kAdditions = 100;
    const auto add = load(test_kernel("add_kernel", {1, 1}, 0, 1));
    const Buffer word = buffer_of(std::vector<int32_t>{0}, MemoryKind::shared);
    const auto list = record([&] {
      for (int32_t i = 0; i < kAdditions; ++i) launch(*add, {&word});
    });
    ASSERT_NE(list, nullptr);
    std::atomic<bool> is_over = false;
    int32_t rounds = 0;
    std::thread worker([&] {
      do {
        const Result<uint64_t> value = queue().replay(*list);
        const Result<bool> done = value ? queue().fence().wait(*value, kOthersWaitNs) : false;
        EXPECT_TRUE(done && *done) << "round " << rounds;
        if (!done || !*done) return;
        ++rounds;
      } while (!is_over);
    });
    EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "");
    is_over = true;
    worker.join();
    EXPECT_EQ(*reinterpret_cast<const int32_t*>(word.host_pointer()), rounds * kAdditions);
    std::printf("meanwhile: %d rounds of %d additions in another process, all right\n", rounds,
                kAdditions);
  }
};

TEST_F(SlowNvidiaFaults, WildPointers) {
  expect_unharmed_by([] { end_child(FaultSteps().run_wild_pointers()); });
}

TEST_P(SlowNvidiaFaults, Hang) {
  expect_unharmed_by([] { end_child(FaultSteps().run_hang(GetParam())); });
}

INSTANTIATE_TEST_SUITE_P(Ways, SlowNvidiaFaults,
                         testing::Values(NvidiaStop::stop_channel, NvidiaStop::leave_running,
                                         NvidiaStop::preempt, NvidiaStop::disable_channels,
                                         NvidiaStop::reset_channel, NvidiaStop::free),
                         [](const auto& way) { return std::string(name_of(way.param)); });

}  // namespace
}  // namespace leat
