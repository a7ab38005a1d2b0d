// Conformance: fences, time marks, and kernels that are no kernels.
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "tests/backend/backend_suite.h"
#include "tests/backend/backend_suite_kernels.h"

namespace leat {
namespace {

using Clock = std::chrono::steady_clock;

class FenceConformance : public ConformanceTest {
 protected:
  static constexpr size_t kCount = 16384;
  static constexpr int64_t kRounds = 2000;
};

TEST_P(FenceConformance, ValuesGrowAndArrive) {
  const auto kernel = load(triple_kernel(device().target(), 100, 1));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(100, 0));
  uint64_t last = queue().fence().poll();
  for (int i = 0; i < 50; ++i) {
    launch(*kernel, {&x});
    const Result<uint64_t> value = queue().submit();
    ASSERT_OK(value);
    EXPECT_GT(*value, last);
    const uint64_t seen = queue().fence().poll();
    EXPECT_LE(seen, *value);
    wait_for(*value);
    EXPECT_GE(queue().fence().poll(), *value);
    last = *value;
  }
}

TEST_P(FenceConformance, AnEmptySubmitArrivesToo) {
  submit_and_wait();
  submit_and_wait();
}

TEST_P(FenceConformance, PollingAloneSeesTheEnd) {
  const auto kernel = load(halving_kernel(device().target(), kCount, kRounds));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<float>(kCount, 1.0f));
  launch(*kernel, {&x});
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  uint64_t last = 0;
  const Clock::time_point start = Clock::now();
  while (last < *value) {
    const uint64_t seen = queue().fence().poll();
    ASSERT_GE(seen, last);
    last = seen;
    ASSERT_LT(Clock::now() - start, std::chrono::minutes(2));
    std::this_thread::yield();
  }
}

/// How often the host, once it sees the number, finds an old word. LEAT_ORDER_ROUNDS says how often
/// it looks: a lost order shows once in thousands of rounds (H200, OpenGL: 4 of 10,000).
class FenceOrder : public FenceConformance {
 protected:
  static uint32_t rounds() {
    const char* const text = std::getenv("LEAT_ORDER_ROUNDS");
    return text == nullptr ? 20 : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
  }
  int64_t groups() {
    const std::string& name = GetParam().test_name;
    if (name.starts_with("mock") || name.starts_with("gfx")) return 4;  // interpreted, emulated
    return device().info().software || device().target().is_cpu ? 132 : 4224;
  }

  /// Replays `list`, which writes the value in `stamp` to all of `words`, and looks from the end.
  void expect_order(RecordedList& list, const Buffer& stamp, const Buffer& words) {
    ASSERT_GT(rounds(), 0u) << "LEAT_ORDER_ROUNDS is no number of rounds.";
    auto* const value = reinterpret_cast<volatile int32_t*>(stamp.host_pointer());
    const auto* const out = reinterpret_cast<const int32_t*>(words.host_pointer());
    const size_t count = words.size_bytes() / sizeof(int32_t);
    uint32_t late_rounds = 0;
    uint64_t late_words = 0;
    for (uint32_t round = 0; round < rounds(); ++round) {
      const auto wanted = static_cast<int32_t>(round + 1000);
      *value = wanted;
      const Result<uint64_t> point = queue().replay(list);
      ASSERT_OK(point);
      const Clock::time_point start = Clock::now();
      while (queue().fence().poll() < *point) {
        if (device().info().software) std::this_thread::yield();
        ASSERT_LT(Clock::now() - start, std::chrono::minutes(2));
      }
      uint64_t late = 0;
      for (size_t i = count; i-- > 0;) late += out[i] != wanted ? 1 : 0;
      late_words += late;
      late_rounds += late > 0 ? 1 : 0;
      wait_for(*point);
    }
    EXPECT_EQ(late_rounds, 0u) << "of " << rounds() << "; words: " << late_words;
  }
};

TEST_P(FenceOrder, WhatAKernelWroteIsThereWhenTheNumberIs) {
  if (!runs_kernels()) GTEST_SKIP() << "The null device runs no kernel.";
  const auto kernel = load(stamp_kernel(device().target(), groups()));
  ASSERT_NE(kernel, nullptr);
  const auto count = static_cast<size_t>(groups() * stamp_group_size(device().target()));
  const Buffer stamp = buffer_of(std::vector<int32_t>(1, 0));
  const Buffer words = buffer_of(std::vector<int32_t>(count, 0));
  ASSERT_OK(queue().begin_record());
  launch(*kernel, {&stamp, &words});
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  expect_order(**list, stamp, words);
}

TEST_P(FenceOrder, WhatACopyWroteIsThereWhenTheNumberIs) {
  if (!runs_kernels()) GTEST_SKIP() << "The null device runs no kernel.";
  const auto kernel = load(stamp_kernel(device().target(), groups()));
  ASSERT_NE(kernel, nullptr);
  const auto count = static_cast<size_t>(groups() * stamp_group_size(device().target()));
  const Buffer stamp = buffer_of(std::vector<int32_t>(1, 0));
  const Buffer near = buffer_of(std::vector<int32_t>(count, 0), MemoryKind::device);
  const Buffer words = buffer_of(std::vector<int32_t>(count, 0));
  ASSERT_OK(queue().begin_record());
  launch(*kernel, {&stamp, &near});
  ASSERT_OK(queue().copy(whole(words), whole(near)));
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  expect_order(**list, stamp, words);
}

TEST_P(FenceConformance, WaitHasADeadline) {
  submit_and_wait();
  const uint64_t never = queue().fence().poll() + 1000;
  const Result<bool> at_once = queue().fence().wait(never, 0);
  ASSERT_OK(at_once);
  EXPECT_FALSE(*at_once);
  const Clock::time_point start = Clock::now();
  const Result<bool> late = queue().fence().wait(never, 20'000'000);
  ASSERT_OK(late);
  EXPECT_FALSE(*late);
  // The clocks of driver and test may differ a little; the upper bound is a hang, not a speed.
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(15));
  EXPECT_LT(Clock::now() - start, std::chrono::minutes(1));
}

TEST_P(FenceConformance, WaitOfNothingIsTrue) {
  const Result<bool> done = queue().fence().wait(0, 0);
  ASSERT_OK(done);
  EXPECT_TRUE(*done);
}

TEST_P(FenceConformance, AnotherThreadMayWait) {
  const auto kernel = load(halving_kernel(device().target(), kCount, kRounds));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<float>(kCount, 1.0f));
  const uint64_t first = queue().fence().poll() + 1;
  bool seen = false;
  std::thread waiter([&] {
    const Result<bool> done = queue().fence().wait(first, kHangTimeoutNs);
    seen = done && *done && queue().fence().poll() >= first;
  });
  for (int i = 0; i < 3; ++i) {
    launch(*kernel, {&x});
    ASSERT_OK(queue().submit());
  }
  waiter.join();
  EXPECT_TRUE(seen);
  submit_and_wait();
}

TEST_P(FenceConformance, MarksAreTimes) {
  const auto kernel = load(halving_kernel(device().target(), kCount, kRounds));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<float>(kCount, 1.0f));
  const Clock::time_point start = Clock::now();
  ASSERT_OK(queue().mark_time(0));
  launch(*kernel, {&x});
  ASSERT_OK(queue().mark_time(1));
  launch(*kernel, {&x});
  launch(*kernel, {&x});
  launch(*kernel, {&x});
  ASSERT_OK(queue().mark_time(Queue::kTimeSlots - 1));
  submit_and_wait();
  const auto host_ns = static_cast<double>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
  std::vector<double> times;
  for (const uint32_t slot : {0u, 1u, Queue::kTimeSlots - 1}) {
    const Result<uint64_t> time = queue().time_ns(slot);
    ASSERT_OK(time);
    times.push_back(static_cast<double>(*time));
  }
  EXPECT_LE(times[0], times[1]);
  EXPECT_LE(times[1], times[2]);
  // All of it lies inside the host's span; 5 % and 1 ms for a device clock that is not the host's.
  EXPECT_LE(times[2] - times[0], host_ns * 1.05 + 1e6);
  if (!runs_kernels()) return;
  EXPECT_GT(times[1] - times[0], 0.0);
  EXPECT_GT(times[2] - times[1], 0.0);
}

TEST_P(FenceConformance, ReplaysMarkAnew) {
  const auto kernel = load(halving_kernel(device().target(), kCount, 10));
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<float>(kCount, 1.0f));
  ASSERT_OK(queue().begin_record());
  ASSERT_OK(queue().mark_time(10));
  launch(*kernel, {&x});
  ASSERT_OK(queue().mark_time(11));
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  uint64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    const Result<uint64_t> done = queue().replay(**list);
    ASSERT_OK(done);
    wait_for(*done);
    const Result<uint64_t> begin = queue().time_ns(10);
    const Result<uint64_t> end = queue().time_ns(11);
    ASSERT_OK(begin);
    ASSERT_OK(end);
    EXPECT_GE(*begin, last);
    EXPECT_GE(*end, *begin);
    last = *end;
  }
}

/// A good kernel, and what damage makes of it.
class BinaryConformance : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    Result<KernelBinary> made = triple_kernel(device().target(), 100, 1);
    ASSERT_OK(made);
    good_ = std::move(*made);
  }

  void expect_refusal(const KernelBinary& binary, const char* what) {
    const Result<std::unique_ptr<Kernel>> kernel = device().load(binary);
    ASSERT_FALSE(kernel.has_value()) << what;
    EXPECT_FALSE(kernel.error().message().empty());
  }

  KernelBinary good_;
};

TEST_P(BinaryConformance, RefusesRubbish) {
  KernelBinary binary = good_;
  binary.code.clear();
  expect_refusal(binary, "no bytes");
  binary.code.assign(1, std::byte{0x9c});
  expect_refusal(binary, "one byte");
  binary.code.assign(4096, std::byte{0});
  expect_refusal(binary, "zeros");
  uint32_t seed = 1;
  binary.code.assign(4096, std::byte{0});
  for (std::byte& byte : binary.code) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(seed >> 24);
  }
  expect_refusal(binary, "random bytes");
}

TEST_P(BinaryConformance, RefusesAnotherFormat) {
  KernelBinary binary = good_;
  binary.format =
      good_.format == CodeFormat::interpreted ? CodeFormat::native_object : CodeFormat::interpreted;
  expect_refusal(binary, "another code format");
}

TEST_P(BinaryConformance, WorksAfterARefusal) {
  KernelBinary binary = good_;
  binary.code.assign(64, std::byte{0x5a});
  binary.code[0] = std::byte{0};
  expect_refusal(binary, "rubbish");
  const auto kernel = load(good_);
  ASSERT_NE(kernel, nullptr);
  const Buffer x = buffer_of(std::vector<int32_t>(100, 1));
  launch(*kernel, {&x});
  submit_and_wait();
  if (!runs_kernels()) return;
  EXPECT_EQ(read<int32_t>(x, 100), std::vector<int32_t>(100, 4));
}

INSTANTIATE_TEST_SUITE_P(Backend, FenceConformance, testing::ValuesIn(tested_routes()),
                         [](const auto& test) { return test.param.test_name; });
INSTANTIATE_TEST_SUITE_P(Backend, FenceOrder, testing::ValuesIn(tested_routes()),
                         [](const auto& test) { return test.param.test_name; });
INSTANTIATE_TEST_SUITE_P(Backend, BinaryConformance, testing::ValuesIn(tested_routes()),
                         [](const auto& test) { return test.param.test_name; });

}  // namespace
}  // namespace leat
