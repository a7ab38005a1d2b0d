// What goes wrong on the fake card is noticed, by the right error and soon, and what can go on
// does.
#include <cerrno>
#include <chrono>

#include "tests/amd/amd_fake_card.h"

namespace leat {
namespace {

constexpr auto kSoon = std::chrono::milliseconds(200);
constexpr uint64_t kDeadlineNs = 20'000'000;

/// A kernel that stores to an address that nothing is mapped at.
TestKernel wild_kernel() {
  return {.name = "wild",
          .written = {true},
          .body = R"(  %far = getelementptr i8, ptr addrspace(1) %b0, i64 68719476736
  store i32 1, ptr addrspace(1) %far)"};
}

class AmdFaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Device>> opened = card_.open();
    ASSERT_OK(opened);
    device_ = std::move(*opened);
    step_ = load(step_kernel(1));
    ASSERT_NE(step_, nullptr);
    Result<Buffer> made = device_->allocate(256, MemoryKind::shared);
    ASSERT_OK(made);
    buffer_ = std::move(*made);
    set_values(buffer_, std::vector<int32_t>(64, 0));
  }
  void TearDown() override {
    buffer_ = Buffer();
    step_.reset();
    device_.reset();
  }

  std::unique_ptr<Kernel> load(const TestKernel& kernel) {
    const Result<KernelBinary> binary = compile_kernel(card_.target, kernel);
    EXPECT_TRUE(binary.has_value()) << binary.error().message();
    Result<std::unique_ptr<Kernel>> loaded = device_->load(*binary);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message();
    return loaded ? std::move(*loaded) : nullptr;
  }
  Result<uint64_t> submit(const Kernel& kernel) {
    const BufferRange arguments[] = {whole(buffer_)};
    TRY(queue().launch(kernel, arguments));
    return queue().submit();
  }
  /// That a submit runs to its end.
  void expect_work() {
    set_values(buffer_, std::vector<int32_t>(64, 4));
    const Result<uint64_t> value = submit(*step_);
    ASSERT_OK(value);
    const Result<bool> done = wait_for(*device_, *value);
    ASSERT_OK(done);
    EXPECT_TRUE(*done);
    EXPECT_EQ(values_of<int32_t>(buffer_)[0], 9);
  }
  void expect_lost(const Result<bool>& done, const char* part) {
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().kind(), ErrorKind::device_lost);
    EXPECT_NE(done.error().message().find(part), std::string::npos) << done.error().message();
  }
  void start_clock() { start_ = std::chrono::steady_clock::now(); }
  void expect_soon() { EXPECT_LT(std::chrono::steady_clock::now() - start_, kSoon); }
  Queue& queue() { return device_->queue(); }

  FakeCard card_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Kernel> step_;
  Buffer buffer_;
  std::chrono::steady_clock::time_point start_;
};

TEST_F(AmdFaultsTest, AHangEndsAtItsDeadlineAndTheDeviceIsGivenUp) {
  card_.fake.hang(true);
  start_clock();
  const Result<uint64_t> value = submit(*step_);
  ASSERT_OK(value);
  const Result<bool> done = queue().fence().wait(*value, kDeadlineNs);
  ASSERT_OK(done);
  EXPECT_FALSE(*done);
  const Result<void> abandoned = queue().abandon();
  ASSERT_FALSE(abandoned.has_value());
  EXPECT_EQ(abandoned.error().kind(), ErrorKind::device_lost);
  expect_lost(queue().fence().wait(*value, kDeadlineNs), "given up");
  EXPECT_EQ(submit(*step_).error().kind(), ErrorKind::device_lost);
  expect_soon();
  EXPECT_EQ(card_.faults(), "") << "memory that the GPU may still use stays";
}

TEST_F(AmdFaultsTest, AnotherDeviceOpensAfterAHang) {
  card_.fake.hang(true);
  ASSERT_OK(submit(*step_));
  EXPECT_FALSE(queue().abandon().has_value());
  TearDown();
  card_.fake.hang(false);
  SetUp();
  expect_work();
}

TEST_F(AmdFaultsTest, PageFaultsAreToldByTheDriver) {
  card_.fake.hang(true);
  const Result<uint64_t> value = submit(*step_);
  ASSERT_OK(value);
  start_clock();
  card_.fake.page_fault(0xdead000);
  card_.fake.hang(false);
  expect_lost(queue().fence().wait(*value, 1'000'000'000), "memory");
  ASSERT_OK(queue().abandon());
  expect_soon();
  expect_lost(queue().fence().wait(*value, kDeadlineNs), "given up");
  expect_work();
}

TEST_F(AmdFaultsTest, AWildStoreIsTheKernelsFault) {
  const auto wild = load(wild_kernel());
  ASSERT_NE(wild, nullptr);
  start_clock();
  const Result<uint64_t> value = submit(*wild);
  ASSERT_OK(value);
  expect_lost(queue().fence().wait(*value, 1'000'000'000), "not mapped");
  expect_soon();
  expect_work();  // the next submit makes a new queue by itself
  EXPECT_NE(card_.faults().find("unmapped"), std::string::npos);
}

TEST_F(AmdFaultsTest, AResetLosesTheDevice) {
  start_clock();
  card_.fake.hang(true);
  const Result<uint64_t> value = submit(*step_);
  ASSERT_OK(value);
  card_.fake.reset();
  card_.fake.hang(false);
  expect_lost(queue().fence().wait(*value, 1'000'000'000), "reset");
  EXPECT_EQ(queue().abandon().error().kind(), ErrorKind::device_lost);
  EXPECT_EQ(submit(*step_).error().kind(), ErrorKind::device_lost);
  expect_soon();
}

TEST_F(AmdFaultsTest, ADoorbellThatWasLostIsRungAgain) {
  card_.fake.lose_doorbells(1);
  start_clock();
  expect_work();
  expect_soon();
}

TEST_F(AmdFaultsTest, AQueueThatDoesNotStopKeepsItsMemory) {
  card_.fake.fail_next_destroy(ETIME);
  start_clock();
  const Result<void> abandoned = queue().abandon();
  ASSERT_FALSE(abandoned.has_value());
  EXPECT_EQ(abandoned.error().kind(), ErrorKind::device_lost);
  EXPECT_EQ(submit(*step_).error().kind(), ErrorKind::device_lost);
  expect_soon();
  EXPECT_EQ(card_.faults(), "");
}

TEST_F(AmdFaultsTest, AQueueThatWasLostIsMadeAgain) {
  for (int k = 0; k < 3; ++k) {
    ASSERT_OK(queue().abandon());
    expect_work();
  }
  EXPECT_EQ(card_.faults(), "");
}

TEST_F(AmdFaultsTest, RecordedListsOutliveTheQueue) {
  const BufferRange arguments[] = {whole(buffer_)};
  ASSERT_OK(queue().begin_record());
  ASSERT_OK(queue().launch(*step_, arguments));
  Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  ASSERT_OK(queue().abandon());
  const Result<uint64_t> value = queue().replay(**list);
  ASSERT_OK(value);
  const Result<bool> done = wait_for(*device_, *value);
  ASSERT_OK(done);
  EXPECT_EQ(values_of<int32_t>(buffer_)[0], 1);
}

TEST_F(AmdFaultsTest, InterruptedCallsAreMadeAgain) {
  card_.fake.interrupt_next(5);
  Result<Buffer> large = device_->allocate(size_t{64} << 20, MemoryKind::device);
  ASSERT_OK(large);
  card_.fake.interrupt_next(5);
  expect_work();
}

TEST_F(AmdFaultsTest, AllocationsBeyondTheMemory) {
  const Result<Buffer> huge = device_->allocate(size_t{64} << 30, MemoryKind::device);
  ASSERT_FALSE(huge.has_value());
  EXPECT_EQ(huge.error().kind(), ErrorKind::out_of_memory);
  expect_work();
}

TEST(AmdFaults, EachCallOfOpeningMayFail) {
  for (uint64_t n = 1;; ++n) {
    FakeCard card;
    card.fake.refuse_nth(n);
    Result<std::unique_ptr<Device>> device = card.open();
    const uint64_t calls = card.fake.calls();
    if (device) device->reset();
    EXPECT_EQ(card.fake.live_queues(), 0u) << n;
    EXPECT_EQ(card.fake.open_descriptors(), 0u) << n;
    EXPECT_EQ(card.faults(), "") << n;
    if (calls < n) break;
  }
}

TEST(AmdFaults, AQueueThatDoesNotStopAtTheEnd) {
  FakeCard card;
  Result<std::unique_ptr<Device>> device = card.open();
  ASSERT_OK(device);
  card.fake.fail_next_destroy(ETIME);
  device->reset();
  EXPECT_EQ(card.faults(), "");
}

}  // namespace
}  // namespace leat
