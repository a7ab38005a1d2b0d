// Pooled fences, waits for one of several and for all, and the spin that learns.
#include "leat/device/fence_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "leat/device/spin.h"

namespace leat {
namespace {

constexpr uint64_t kLongNs = 60'000'000'000;

/// A queue's fence that a test raises by hand.
class HandFence final : public Fence {
 public:
  uint64_t poll() override { return number_.load(); }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    const uint64_t start_ns = steady_now_ns();
    if (value <= lost_until.load()) return Error(ErrorKind::device_lost, "The hand let it go.");
    while (poll() < value) {
      if (is_lost.load()) return Error(ErrorKind::device_lost, "The hand is gone.");
      if (steady_now_ns() - start_ns >= timeout_ns) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void raise(uint64_t value) { number_.store(value); }

  std::atomic<bool> is_lost = false;
  std::atomic<uint64_t> lost_until = 0;  // the number moves over these

 private:
  std::atomic<uint64_t> number_ = 0;
};

TEST(FencePool, GivesEachFenceOnceAndNoMoreThanItHas) {
  for (const size_t count : {size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{1024}}) {
    FencePool pool(count);
    std::set<PooledFence*> fences;
    for (size_t i = 0; i < count; ++i) {
      PooledFence* fence = pool.acquire();
      ASSERT_NE(fence, nullptr) << i << " of " << count;
      EXPECT_TRUE(fences.insert(fence).second);
    }
    EXPECT_EQ(pool.in_use(), count);
    EXPECT_EQ(pool.acquire(), nullptr);
    pool.release(**fences.begin());
    EXPECT_EQ(pool.in_use(), count - 1);
    EXPECT_EQ(pool.acquire(), *fences.begin());
  }
}

TEST(FencePool, ThreadsNeverShareAFence) {
  FencePool pool(8);
  std::array<std::atomic<int>, 8> owners = {};
  std::atomic<bool> is_shared = false;
  PooledFence* const first = pool.acquire();
  pool.release(*first);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        PooledFence* const fence = pool.acquire();
        if (fence == nullptr) continue;
        std::atomic<int>& owner = owners[static_cast<size_t>(fence - first)];
        if (owner.fetch_add(1) != 0) is_shared = true;
        owner.fetch_sub(1);
        pool.release(*fence);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(is_shared);
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(PooledFence, FollowsTheQueueItIsBoundTo) {
  HandFence queue;
  PooledFence fence;
  for (uint64_t round = 1; round <= 3; ++round) {
    EXPECT_EQ(fence.arm(), round);
    EXPECT_EQ(fence.poll(), round - 1);
    EXPECT_FALSE(*fence.wait(round, 0));
    fence.bind({&queue, round * 10});
    EXPECT_EQ(fence.poll(), round - 1);
    queue.raise(round * 10);
    EXPECT_EQ(fence.poll(), round);
    EXPECT_TRUE(*fence.wait(round, 0));
  }
}

TEST(PooledFence, IsWaitedForBeforeItsWorkIsSubmitted) {
  HandFence queue;
  PooledFence fence;
  const uint64_t value = fence.arm();
  bool seen = false;
  std::thread waiter([&] {
    const Result<bool> done = fence.wait(value, kLongNs);
    seen = done && *done;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // until it sleeps
  fence.bind({&queue, 1});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  queue.raise(1);
  waiter.join();
  EXPECT_TRUE(seen);
}

TEST(PooledFence, AFailureReachesWhoeverWaitsAndIsForgottenByTheNextWork) {
  PooledFence fence;
  const uint64_t value = fence.arm();
  std::thread failer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    fence.fail(Error(ErrorKind::device_lost, "Lost."));
  });
  const Result<bool> done = fence.wait(value, kLongNs);
  failer.join();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind(), ErrorKind::device_lost);
  const uint64_t next = fence.arm();
  EXPECT_GT(next, value);
  EXPECT_FALSE(*fence.wait(next, 0));
  fence.finish();
  EXPECT_TRUE(*fence.wait(next, kLongNs));
}

// The queue never reaches the value: only the failure can end these waits.
TEST(PooledFence, AFailureWakesWhoWaitsOnABoundOne) {
  HandFence queue, other;
  PooledFence fence;
  const uint64_t value = fence.arm();
  fence.bind({&queue, 1});
  const FencePoint points[] = {{&other, 1}, {&fence, value}};
  const FencePoint alone[] = {{&fence, value}};
  std::array<std::optional<ErrorKind>, 5> told;
  const auto note = [](const auto& result) {
    return result ? std::nullopt : std::optional(result.error().kind());
  };
  std::thread waiters[] = {
      std::thread([&] { told[0] = note(fence.wait(value, kLongNs)); }),
      std::thread([&] { told[1] = note(wait_any(points, kLongNs)); }),
      std::thread([&] { told[2] = note(wait_any(alone, kLongNs)); }),
      std::thread([&] { told[3] = note(wait_all(alone, kLongNs)); }),
      std::thread([&] { told[4] = note(wait_all(points, kLongNs)); }),
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // until they block on the queue
  fence.fail(Error(ErrorKind::invalid_argument, "Given up."));
  for (std::thread& waiter : waiters) waiter.join();
  for (const auto& kind : told) EXPECT_EQ(kind, ErrorKind::invalid_argument);
}

TEST(WaitAny, TellsWhichOneOrThatNoneIsReached) {
  HandFence a, b;
  const FencePoint points[] = {{&a, 1}, {&b, 1}};
  const auto none = wait_any(points, 1'000'000);
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->has_value());
  std::thread raiser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    b.raise(1);
  });
  const auto one = wait_any(points, kLongNs);
  raiser.join();
  ASSERT_TRUE(one.has_value() && one->has_value());
  EXPECT_EQ(**one, 1u);
  a.raise(7);
  EXPECT_EQ(**wait_any(points, 0), 0u);
}

TEST(WaitAny, ALostDeviceIsAnError) {
  HandFence a, b;
  a.is_lost = true;
  const FencePoint points[] = {{&a, 1}, {&b, 1}};
  EXPECT_FALSE(wait_any(points, kLongNs).has_value());
}

// A queue that was restarted moves its number over the work that it lost.
TEST(Fences, WhatWasLostIsNeverReached) {
  HandFence lost, open;
  lost.lost_until = 5;
  lost.raise(6);
  const FencePoint gone = {&lost, 5}, later = {&lost, 6};
  EXPECT_FALSE(gone.reached());
  EXPECT_FALSE(gone.look().has_value());
  EXPECT_TRUE(later.reached());
  const FencePoint points[] = {{&open, 1}, gone};
  EXPECT_FALSE(wait_any(points, 0).has_value());
  EXPECT_FALSE(wait_any(points, kLongNs).has_value());
  EXPECT_FALSE(wait_any(std::span(&gone, 1), kLongNs).has_value());
  EXPECT_FALSE(wait_all(points, 0).has_value());
  open.raise(1);
  EXPECT_EQ(**wait_any(points, 0), 0u);
  EXPECT_FALSE(wait_all(points, kLongNs).has_value());
  PooledFence pooled;
  const uint64_t value = pooled.arm();
  pooled.bind(gone);
  EXPECT_LT(pooled.poll(), value);
  EXPECT_FALSE((FencePoint{&pooled, value}).reached());
  const Result<bool> waited = pooled.wait(value, kLongNs);
  ASSERT_FALSE(waited.has_value());
  EXPECT_EQ(waited.error().kind(), ErrorKind::device_lost);
}

TEST(WaitAll, NeedsEveryOne) {
  HandFence a, b;
  const FencePoint points[] = {{&a, 1}, {&b, 2}};
  a.raise(1);
  b.raise(1);
  EXPECT_FALSE(*wait_all(points, 1'000'000));
  b.raise(2);
  EXPECT_TRUE(*wait_all(points, 0));
  EXPECT_TRUE(*wait_all({}, 0));
}

TEST(AdaptiveSpin, SpinsForShortWaitsOnly) {
  AdaptiveSpin spin(50'000);
  for (int i = 0; i < 100; ++i) spin.learn(1'000);
  const uint64_t short_ns = spin.budget_ns();
  EXPECT_GE(short_ns, 1'000u);
  EXPECT_LE(short_ns, 50'000u);
  for (int i = 0; i < 100; ++i) spin.learn(10'000'000);
  EXPECT_EQ(spin.budget_ns(), kSpinNsLeast);
  for (int i = 0; i < 200; ++i) spin.learn(1'000);
  EXPECT_LE(spin.budget_ns(), 50'000u);
  EXPECT_GT(spin.budget_ns(), kSpinNsLeast);
  EXPECT_EQ(AdaptiveSpin(0).budget_ns(), 0u);
}

TEST(AdaptiveSpin, LearnsFromWaitsThatMeetTheirDeadline) {
  AdaptiveSpin spin(50'000);
  for (int i = 0; i < 100; ++i) spin.learn(1'000);
  const uint64_t short_ns = spin.budget_ns();
  for (int i = 0; i < 100; ++i) spin.learn(0, false);  // a look, and no wait
  EXPECT_EQ(spin.budget_ns(), short_ns);
  for (int i = 0; i < 100; ++i) spin.learn(10'000'000, false);
  EXPECT_EQ(spin.budget_ns(), kSpinNsLeast);
}

}  // namespace
}  // namespace leat
