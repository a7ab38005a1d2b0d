// The executor on null and cpu devices: order, ends, limits, cancelling, closing, many threads.
// Built with the preset tsan this program shows that it is free of data races.
#include "leat/run/executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "leat/backend/backends.h"

namespace leat {
namespace {

constexpr uint64_t kLongNs = 60'000'000'000;

/// A device with lists that each copy one number to a place of their own.
class Copies {
 public:
  Copies(const std::string& name, size_t count, size_t size_bytes = 256) {
    Result<std::unique_ptr<Device>> opened = open_device(name, 2);
    if (!opened) return;
    device_ = std::move(*opened);
    const size_t stride = std::max<size_t>(size_bytes, kBufferAlignment);
    source_ = device_->allocate(count * stride, MemoryKind::shared).value();
    target_ = device_->allocate(count * stride, MemoryKind::shared).value();
    stride_ = stride;
    for (size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(device_->queue().begin_record().has_value());
      const auto copied = device_->queue().copy({&target_, i * stride, size_bytes},
                                                {&source_, i * stride, size_bytes});
      EXPECT_TRUE(copied.has_value());
      lists_.push_back(device_->queue().end_record().value());
      number(source_, i) = 1000 + i;
      number(target_, i) = 0;
    }
  }

  Device* device() { return device_.get(); }
  RecordedList& list(size_t i) { return *lists_[i]; }
  uint64_t result(size_t i) { return number(target_, i); }
  size_t size() const { return lists_.size(); }

 private:
  uint64_t& number(const Buffer& buffer, size_t i) {
    return *reinterpret_cast<uint64_t*>(buffer.host_pointer() + i * stride_);
  }

  std::unique_ptr<Device> device_;
  Buffer source_, target_;
  size_t stride_ = 0;
  std::vector<std::unique_ptr<RecordedList>> lists_;
};

/// A device whose fence shows nothing until it is let go. Only queues are asked of it.
class HeldDevice final : public Device, private Queue, private Fence {
 public:
  explicit HeldDevice(Device& inner) : inner_(inner) {}
  void let_go() { is_held_.store(false); }

  const DeviceInfo& info() const override { return inner_.info(); }
  const Target& target() const override { return inner_.target(); }
  Queue& queue() override { return *this; }
  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    return inner_.allocate(size_bytes, kind);
  }
  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    return inner_.load(binary);
  }
  void free_buffer(uint64_t handle) override { inner_.free_buffer(handle); }

 private:
  Queue& inner_queue() { return inner_.queue(); }
  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments) override {
    return inner_queue().launch(kernel, arguments);
  }
  Result<void> copy(BufferRange target, BufferRange source) override {
    return inner_queue().copy(target, source);
  }
  Result<void> mark_time(uint32_t slot) override { return inner_queue().mark_time(slot); }
  Result<uint64_t> submit() override { return inner_queue().submit(); }
  Result<void> begin_record() override { return inner_queue().begin_record(); }
  Result<std::unique_ptr<RecordedList>> end_record() override { return inner_queue().end_record(); }
  Result<uint64_t> replay(RecordedList& list) override { return inner_queue().replay(list); }
  Fence& fence() override { return *this; }
  Result<uint64_t> time_ns(uint32_t slot) override { return inner_queue().time_ns(slot); }

  uint64_t poll() override { return is_held_.load() ? 0 : inner_queue().fence().poll(); }
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override {
    const uint64_t start_ns = steady_now_ns();
    while (is_held_.load()) {
      if (steady_now_ns() - start_ns >= timeout_ns) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return inner_queue().fence().wait(value, timeout_ns);
  }

  Device& inner_;
  std::atomic<bool> is_held_ = true;
};

class ExecutorOn : public testing::TestWithParam<const char*> {};

TEST_P(ExecutorOn, EachSubmissionHasAFence) {
  Copies copies(GetParam(), 100);
  if (copies.device() == nullptr) GTEST_SKIP() << "There is no " << GetParam();
  Device* const devices[] = {copies.device()};
  Executor executor(devices);
  std::vector<Submission> submissions;
  for (size_t i = 0; i < copies.size(); ++i) {
    auto submission = executor.submit(0, copies.list(i));
    ASSERT_TRUE(submission.has_value()) << submission.error().message();
    submissions.push_back(std::move(*submission));
  }
  for (size_t i = copies.size(); i > 0; --i) {
    const Result<bool> done = submissions[i - 1].wait(kLongNs);
    ASSERT_TRUE(done.has_value()) << done.error().message();
    ASSERT_TRUE(*done);
    EXPECT_EQ(copies.result(i - 1), 1000 + i - 1);
    EXPECT_TRUE(submissions[i - 1].done());
  }
}

TEST_P(ExecutorOn, CallbacksComeOnceAndInTheDevicesOrder) {
  Copies copies(GetParam(), 200);
  if (copies.device() == nullptr) GTEST_SKIP() << "There is no " << GetParam();
  Device* const devices[] = {copies.device()};
  std::vector<size_t> ended;  // written by the executor's thread alone until it is closed
  {
    Executor executor(devices);
    for (size_t i = 0; i < copies.size(); ++i) {
      SubmitOptions options;
      options.on_end = [&ended, i](Ending ending, const Error* error) {
        EXPECT_EQ(ending, Ending::done);
        EXPECT_EQ(error, nullptr);
        ended.push_back(i);
      };
      const auto submission = executor.submit(0, copies.list(i), std::move(options));
      ASSERT_TRUE(submission.has_value());
      ASSERT_TRUE(submission->wait(kLongNs).has_value());
    }
  }
  ASSERT_EQ(ended.size(), copies.size());
  for (size_t i = 0; i < ended.size(); ++i) EXPECT_EQ(ended[i], i);
}

// The device's fence shows nothing until it is let go, so all that was submitted is in flight at
// one moment: accepted, and none of it done.
TEST_P(ExecutorOn, ThousandsAreInFlightAtOnce) {
  constexpr size_t kCount = 2000;
  Copies copies(GetParam(), kCount);
  if (copies.device() == nullptr) GTEST_SKIP() << "There is no " << GetParam();
  HeldDevice held(*copies.device());
  Device* const devices[] = {&held};
  Executor executor(devices);
  std::vector<Submission> submissions;
  for (size_t i = 0; i < kCount; ++i) {
    auto submission = executor.submit(0, copies.list(i));
    ASSERT_TRUE(submission.has_value()) << submission.error().message();
    submissions.push_back(std::move(*submission));
  }
  EXPECT_EQ(executor.in_flight(), kCount);
  EXPECT_EQ(executor.fences_in_use(), kCount);
  EXPECT_EQ(std::ranges::count_if(submissions, &Submission::done), 0);
  held.let_go();
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(submissions[i].wait(kLongNs).value());
    EXPECT_EQ(copies.result(i), 1000 + i);
  }
  while (executor.in_flight() > 0) std::this_thread::yield();
  EXPECT_EQ(executor.most_in_flight(), kCount);
  submissions.clear();
  while (executor.fences_in_use() > 0) std::this_thread::yield();
}

TEST_P(ExecutorOn, ManyThreadsSubmitToSeveralDevices) {
  constexpr size_t kThreads = 4;
  constexpr size_t kEach = 300;
  Copies a(GetParam(), kThreads * kEach);
  Copies b("null", kThreads * kEach);
  if (a.device() == nullptr) GTEST_SKIP() << "There is no " << GetParam();
  Device* const devices[] = {a.device(), b.device()};
  std::atomic<size_t> ends = 0;
  {
    Executor executor(devices);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t * kEach; i < (t + 1) * kEach; ++i) {
          Copies& copies = i % 2 == 0 ? a : b;
          SubmitOptions options;
          options.timeout_ns = kLongNs;
          options.on_end = [&](Ending ending, const Error*) {
            if (ending == Ending::done) ends.fetch_add(1);
          };
          const auto submission = executor.submit(i % 2, copies.list(i), std::move(options));
          ASSERT_TRUE(submission.has_value());
          if (i % 7 != 0) continue;  // the others are let go at once
          const Result<bool> done = submission->wait(kLongNs);
          ASSERT_TRUE(done.has_value() && *done);
          EXPECT_EQ(copies.result(i), 1000 + i);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    while (executor.in_flight() > 0) std::this_thread::yield();
  }
  EXPECT_EQ(ends.load(), kThreads * kEach);
  for (size_t i = 0; i < kThreads * kEach; ++i) EXPECT_EQ((i % 2 ? b : a).result(i), 1000 + i);
}

INSTANTIATE_TEST_SUITE_P(Devices, ExecutorOn, testing::Values("null", "cpu"),
                         [](const auto& test) { return std::string(test.param); });

// One list is in flight once, so a second submission of it waits behind the first: what waits can
// be cancelled, and a callback that waits keeps it so.
TEST(Executor, WhatHasNotStartedCanBeCancelled) {
  Copies copies("null", 2);
  Device* const devices[] = {copies.device()};
  Executor executor(devices);
  std::mutex gate;
  gate.lock();
  SubmitOptions held;
  held.on_end = [&gate](Ending, const Error*) { const std::lock_guard lock(gate); };
  std::vector<Submission> submissions;
  submissions.push_back(executor.submit(0, copies.list(0), std::move(held)).value());
  // Those that start are collected behind the held callback; the device takes no more than its
  // limit.
  std::atomic<int> cancelled = 0;
  std::vector<Submission> waiting;
  for (size_t i = 0; i < 3; ++i) {
    SubmitOptions options;
    options.on_end = [&](Ending ending, const Error*) {
      if (ending == Ending::cancelled) ++cancelled;
    };
    waiting.push_back(executor.submit(0, copies.list(1), std::move(options)).value());
  }
  const bool first = waiting[0].cancel();   // may have started at once
  const bool second = waiting[1].cancel();  // the same list: waits for the first one's end
  EXPECT_FALSE(first && !second);
  EXPECT_FALSE(waiting[1].cancel()) << "It is cancelled already, or done.";
  gate.unlock();
  if (second) {
    const Result<bool> done = waiting[1].wait(kLongNs);
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().kind(), ErrorKind::invalid_argument);
  }
  EXPECT_TRUE(waiting[2].wait(kLongNs).value());
  EXPECT_FALSE(waiting[2].cancel());
  while (executor.in_flight() > 0) std::this_thread::yield();
  EXPECT_EQ(cancelled.load(), (first ? 1 : 0) + (second ? 1 : 0));
}

TEST(Executor, BeyondItsLimitItSaysSo) {
  Copies copies("null", 1);
  Device* const devices[] = {copies.device()};
  Executor executor(devices);
  std::vector<Submission> submissions;  // held, so that their records are not free again
  for (size_t i = 0; i < kSubmissionsMax; ++i) {
    auto submission = executor.submit(0, copies.list(0));
    ASSERT_TRUE(submission.has_value()) << submission.error().message();
    submissions.push_back(std::move(*submission));
  }
  const auto refused = executor.submit(0, copies.list(0));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::out_of_memory);
  EXPECT_NE(refused.error().message().find(std::to_string(kSubmissionsMax)), std::string::npos);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    submissions.erase(submissions.begin(), submissions.begin() + 10);
  });
  SubmitOptions patient;
  patient.timeout_ns = kLongNs;
  EXPECT_TRUE(executor.submit(0, copies.list(0), std::move(patient)).has_value());
  later.join();
}

TEST(Executor, ClosesWithWorkInFlight) {
  Copies copies("cpu", 500, size_t{64} << 10);
  if (copies.device() == nullptr) GTEST_SKIP() << "There is no cpu device.";
  Device* const devices[] = {copies.device()};
  std::atomic<size_t> done = 0, cancelled = 0;
  Executor executor(devices);
  for (size_t i = 0; i < copies.size(); ++i) {
    SubmitOptions options;
    options.on_end = [&](Ending ending, const Error*) {
      ++(ending == Ending::done ? done : cancelled);
    };
    ASSERT_TRUE(executor.submit(0, copies.list(i), std::move(options)).has_value());
  }
  executor.close();
  EXPECT_EQ(done + cancelled, copies.size());
  EXPECT_GT(done.load(), 0u);
  EXPECT_EQ(executor.in_flight(), 0u);
  const auto late = executor.submit(0, copies.list(0));
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().kind(), ErrorKind::invalid_argument);
  size_t copied = 0;
  for (size_t i = 0; i < copies.size(); ++i) copied += copies.result(i) == 1000 + i;
  EXPECT_EQ(copied, done.load());
}

TEST(Executor, SeveralThreadsMayCloseIt) {
  Copies copies("null", 200);
  Device* const devices[] = {copies.device()};
  Executor executor(devices);
  for (size_t i = 0; i < copies.size(); ++i) {
    ASSERT_TRUE(executor.submit(0, copies.list(i)).has_value());
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      executor.close();
      EXPECT_EQ(executor.in_flight(), 0u);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace leat
