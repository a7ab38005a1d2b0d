// Every workgroup runs once, whatever the number of threads and workgroups.
#include "leat/backend/cpu/cpu_threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <numeric>

namespace leat {
namespace {

// Adds 1 to each workgroup's counter.
void count_groups(const void* const* buffers, uint32_t first_group, uint32_t end_group) {
  auto* counters = static_cast<uint32_t*>(const_cast<void*>(buffers[0]));
  for (uint32_t group = first_group; group < end_group; ++group) ++counters[group];
}

TEST(CpuThreads, EveryGroupRunsOnce) {
  for (const uint32_t threads : {1u, 2u, 5u}) {
    CpuThreads pool;
    ASSERT_TRUE(pool.start(threads));
    for (const uint32_t groups : {0u, 1u, 2u, 3u, 17u, 1000u, 12345u}) {
      std::vector<uint32_t> counters(groups + 1, 0);
      const void* buffers[] = {counters.data()};
      for (int round = 0; round < 3; ++round) pool.run(count_groups, buffers, groups);
      std::vector<uint32_t> wanted(groups, 3);
      wanted.push_back(0);
      EXPECT_EQ(counters, wanted) << threads << " threads";
    }
  }
}

// Launches that follow each other at once: a thread that is late for one must not touch the next.
TEST(CpuThreads, ManyLaunchesInARow) {
  CpuThreads pool;
  ASSERT_TRUE(pool.start(3));
  std::vector<uint32_t> counters(64, 0);
  const void* buffers[] = {counters.data()};
  uint32_t wanted_sum = 0;
  for (uint32_t round = 0; round < 3000; ++round) {
    const uint32_t groups = 1 + round % 64;
    pool.run(count_groups, buffers, groups);
    wanted_sum += groups;
    ASSERT_EQ(std::accumulate(counters.begin(), counters.end(), 0u), wanted_sum);
  }
}

// A thread's stack takes address space, which a limit can take away.
TEST(CpuThreads, WhatCannotStartIsAnError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "Addresses cannot be limited under a sanitizer.";
#endif
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit small = {1, before.rlim_max};  // what is there stays, nothing can be added
  CpuThreads pool;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &small), 0);
  const Result<void> started = pool.start(64);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), ErrorKind::out_of_memory);
}

// Longer pauses than the threads spin, so that they sleep and are woken.
TEST(CpuThreads, SleepersWake) {
  CpuThreads pool;
  ASSERT_TRUE(pool.start(2));
  std::vector<uint32_t> counters(100, 0);
  const void* buffers[] = {counters.data()};
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.run(count_groups, buffers, 100);
  }
  EXPECT_EQ(counters, std::vector<uint32_t>(100, 5));
}

TEST(CpuWait, HasADeadline) {
  CpuWait wait;
  const auto start = CpuWait::Clock::now();
  EXPECT_FALSE(wait.wait_until(
      start + std::chrono::milliseconds(10), [] { return false; }, true));
  EXPECT_GE(CpuWait::Clock::now() - start, std::chrono::milliseconds(10));
  EXPECT_TRUE(wait.wait_until(
      start, [] { return true; }, true));
}

TEST(CpuWait, SleepsSoonWhereItGivesNoCoreAway) {
  CpuWait wait;
  uint32_t looks = 0;
  const auto look = [&] { return ++looks == 0; };
  EXPECT_FALSE(wait.wait_until(CpuWait::Clock::now() + std::chrono::milliseconds(1), look, false));
  EXPECT_LT(looks, kPausesMax + kYieldsMax);
  looks = 0;
  EXPECT_FALSE(wait.wait_until(CpuWait::Clock::now() + std::chrono::milliseconds(1), look, true));
  EXPECT_GT(looks, kPausesMax + kYieldsMax);
}

}  // namespace
}  // namespace leat
