// The executor takes its memory once: what is submitted, waited for and called back allocates
// nothing. Here and not beside the executor, since the count of allocations is the program's.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "bench/allocation_count.h"
#include "leat/backend/backends.h"
#include "leat/run/executor.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

constexpr uint64_t kLongNs = 60'000'000'000;
constexpr size_t kLists = 600;

class FlowExecutor : public testing::TestWithParam<const char*> {};

TEST_P(FlowExecutor, AllocatesNothingOnceItIsMade) {
  const auto device = open_device(GetParam(), 2);
  if (!device) GTEST_SKIP() << device.error().message();
  Queue& queue = (*device)->queue();
  const Buffer words = (*device)->allocate(kLists * 16, MemoryKind::shared).value();
  std::vector<std::unique_ptr<RecordedList>> lists;
  for (size_t i = 0; i < kLists; ++i) {
    ASSERT_TRUE(queue.begin_record().has_value());
    ASSERT_TRUE(queue.copy({&words, i * 16, 8}, {&words, i * 16 + 8, 8}).has_value());
    lists.push_back(queue.end_record().value());
  }
  Device* const devices[] = {device->get()};
  Executor executor(devices);
  std::vector<Submission> submissions(kLists);
  std::atomic<size_t> ends = 0;
  const auto submit_all = [&] {
    for (size_t i = 0; i < kLists; ++i) {
      SubmitOptions options;
      options.on_end = [&ends](Ending, const Error*) { ends.fetch_add(1); };
      submissions[i] = executor.submit(0, *lists[i], std::move(options)).value();
    }
    bool all_done = true;
    for (Submission& submission : submissions) {
      all_done = submission.wait(kLongNs).value() && all_done;
      submission = {};
    }
    while (executor.in_flight() > 0) std::this_thread::yield();
    return all_done;
  };
  ASSERT_TRUE(submit_all());
  const uint64_t before = cli::allocation_count();
  for (int round = 0; round < 5; ++round) ASSERT_TRUE(submit_all());
  EXPECT_EQ(cli::allocation_count(), before);
  EXPECT_EQ(ends.load(), 6 * kLists);
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowExecutor, testing::Values("null", "cpu"),
                         [](const auto& test) { return std::string(test.param); });

using FlowExecutorOnDevice = DeviceTest;

/// `count` lists, each of which copies the first word of its part of `words` to the second.
std::vector<std::unique_ptr<RecordedList>> copies_of_words(Queue& queue, const Buffer& words,
                                                           size_t count) {
  std::vector<std::unique_ptr<RecordedList>> lists;
  for (size_t i = 0; i < count; ++i) {
    EXPECT_TRUE(queue.begin_record().has_value());
    EXPECT_TRUE(queue.copy({&words, i * 16 + 8, 8}, {&words, i * 16, 8}).has_value());
    lists.push_back(queue.end_record().value());
  }
  return lists;
}

// A list that has ended is let go while later ones run, and new ones are recorded.
TEST_P(FlowExecutorOnDevice, ListsComeAndGoWhileOthersRun) {
  const Buffer words = device().allocate(kLists * 16, MemoryKind::shared).value();
  const auto word = [&](size_t i) -> uint64_t& {
    return *reinterpret_cast<uint64_t*>(words.host_pointer() + i * 8);
  };
  for (size_t i = 0; i < kLists; ++i) word(2 * i) = 1000 + i;
  Device* const devices[] = {&device()};
  Executor executor(devices);
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < kLists; ++i) word(2 * i + 1) = 0;
    std::vector<std::unique_ptr<RecordedList>> lists;
    executor.on_device(
        0, [&](Device& owned) { lists = copies_of_words(owned.queue(), words, kLists); });
    std::vector<Submission> submissions;
    for (const auto& list : lists) submissions.push_back(executor.submit(0, *list).value());
    for (size_t i = 0; i < kLists; ++i) {
      ASSERT_TRUE(submissions[i].wait(kLongNs).value());
      executor.on_device(0, [&](Device&) { lists[i].reset(); });
      EXPECT_EQ(word(2 * i + 1), 1000 + i);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowExecutorOnDevice, testing::ValuesIn(tested_devices()),
                         test_name_of);

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
