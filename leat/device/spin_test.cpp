// Waits that only looks can end: how long they sleep, and how they end.
#include "leat/device/spin.h"

#include <gtest/gtest.h>

#include <thread>

namespace leat {
namespace {

constexpr uint64_t kMs = 1'000'000;

Result<void> all_is_well() { return {}; }

// As the executor waits for a long list: in slices that all meet their deadline.
TEST(AdaptiveSpin, LearnsFromSlicesThatWaitsAreLong) {
  AdaptiveSpin spin;
  EXPECT_TRUE(spin.is_soon());
  for (int i = 0; i < 20; ++i) spin.learn(kMs / 5, false);
  EXPECT_FALSE(spin.is_soon());
  EXPECT_LE(spin.budget_ns(), kSpinNsLeast);
  for (int i = 0; i < 40; ++i) spin.learn(1'000);
  EXPECT_TRUE(spin.is_soon());
  EXPECT_GT(spin.budget_ns(), kSpinNsLeast);
}

TEST(PolledWait, SleepsAreShortWhileTheEndIsNear) {
  for (const uint64_t expected_ns : {uint64_t{0}, kMs / 10, kMs, 10 * kMs, 1000 * kMs}) {
    for (uint64_t spent_ns = 50'000; spent_ns < 2000 * kMs; spent_ns += spent_ns / 3) {
      const uint64_t sleep_ns = PolledWait::sleep_ns_of(spent_ns, expected_ns);
      EXPECT_GE(sleep_ns, 20'000u);
      EXPECT_LE(sleep_ns, std::max<uint64_t>(20'000, spent_ns / 2));
      EXPECT_LE(sleep_ns, 2 * kMs);
      if (spent_ns < expected_ns) {
        EXPECT_LE(sleep_ns, std::max<uint64_t>(20'000, expected_ns - spent_ns));
      }
    }
  }
}

TEST(PolledWait, SeesWhatAnotherThreadDoes) {
  PolledWait wait;
  for (const int ms : {0, 1, 5, 1}) {
    std::atomic<bool> is_reached = false;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
      is_reached = true;
    });
    const Result<bool> done = wait.wait(
        10'000 * kMs, [&] { return is_reached.load(); }, all_is_well);
    other.join();
    ASSERT_TRUE(done);
    EXPECT_TRUE(*done);
  }
}

TEST(PolledWait, ADeadlineIsAnAnswer) {
  PolledWait wait;
  const uint64_t start_ns = steady_now_ns();
  const Result<bool> done = wait.wait(
      3 * kMs, [] { return false; }, all_is_well);
  ASSERT_TRUE(done);
  EXPECT_FALSE(*done);
  EXPECT_GE(steady_now_ns() - start_ns, 3 * kMs);
}

TEST(PolledWait, EndsWithTheErrorOfItsCheck) {
  PolledWait wait;
  int checks = 0;
  const auto fails_later = [&]() -> Result<void> {
    if (++checks < 3) return {};
    return Error(ErrorKind::device_lost, "The channel is gone.");
  };
  const Result<bool> done = wait.wait(
      10'000 * kMs, [] { return false; }, fails_later);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::device_lost);
  EXPECT_EQ(checks, 3);
}

}  // namespace
}  // namespace leat
