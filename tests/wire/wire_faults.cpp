// Faults on the direct route, scripted on the mock: a reported error, an endless kernel, refusals
// of the driver. What was lost is told, only our own channels are made anew, and the next result is
// right.
#include <chrono>
#include <thread>

#include "leat/backend/nvidia/nvidia_submitter.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

class WireFaults : public WireTest {
 protected:
  void SetUp() override {
    open();
    device().expect_broken_rules();
    add_ = load(add_program(1));
    x_ = numbers(0);
  }
  void launch_add() { launch(*add_, {&x_}); }
  void script(uint32_t code) { gpu().engines().script({gpu().engines().launches() + 1, code}); }
  void expect_right_results(int32_t before) {
    launch_add();
    submit_and_wait();
    EXPECT_EQ(first(x_), before + 1);
  }

  std::unique_ptr<Kernel> add_;
  Buffer x_;
};

TEST_F(WireFaults, AReportedErrorEndsTheWait) {
  for (const uint32_t code : {13u, 31u, 32u, 69u, 109u}) {
    script(code);
    const int32_t before = first(x_);
    launch_add();
    const Result<uint64_t> value = queue().submit();
    ASSERT_OK(value);
    const Result<bool> waited = queue().fence().wait(*value, 10'000'000'000);
    ASSERT_FALSE(waited.has_value());
    EXPECT_EQ(waited.error().kind(), ErrorKind::device_lost);
    EXPECT_NE(waited.error().message().find("Xid " + std::to_string(code)), std::string::npos);
    EXPECT_EQ(first(x_), before);
    expect_right_results(before);
    // What was lost stays lost, although the number has moved on.
    const Result<bool> again = queue().fence().wait(*value, 0);
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error().kind(), ErrorKind::device_lost);
  }
}

// A faulting kernel may set its fence before the driver reports the fault, so only what was waited
// for before the report is believed.
TEST_F(WireFaults, OnlyWhatWasSeenBeforeAFaultIsBelieved) {
  launch_add();
  const Result<uint64_t> good = queue().submit();
  wait_for(good);
  launch_add();
  const Result<uint64_t> unseen = queue().submit();
  ASSERT_OK(unseen);
  script(31);
  launch_add();
  const Result<uint64_t> bad = queue().submit();
  ASSERT_OK(bad);
  wait_for(good);
  ASSERT_FALSE(queue().fence().wait(*bad, 1'000'000).has_value());
  ASSERT_FALSE(queue().fence().wait(*unseen, 1'000'000).has_value());
  expect_right_results(2);
  wait_for(good);
  ASSERT_FALSE(queue().fence().wait(*unseen, 1'000'000).has_value());
}

TEST_F(WireFaults, NoWayOfLookingTakesLostForDone) {
  script(31);
  launch_add();
  const Result<uint64_t> lost = queue().submit();
  ASSERT_OK(lost);
  const FencePoint gone = {&queue().fence(), *lost};
  PooledFence& pooled = *device().inner().fences().acquire();
  const uint64_t pooled_value = pooled.arm();
  pooled.bind(gone);
  const auto expect_lost = [&] {
    EXPECT_FALSE(gone.reached());
    const auto any = wait_any(std::span(&gone, 1), 1'000'000);
    ASSERT_FALSE(any.has_value());
    EXPECT_EQ(any.error().kind(), ErrorKind::device_lost);
    EXPECT_FALSE(wait_all(std::span(&gone, 1), 1'000'000).has_value());
    EXPECT_LT(pooled.poll(), pooled_value);
    EXPECT_FALSE(pooled.wait(pooled_value, 1'000'000).has_value());
  };
  expect_lost();            // before the channels are made anew
  expect_right_results(0);  // the number has moved over it
  EXPECT_GT(queue().fence().poll(), *lost);
  expect_lost();
  EXPECT_FALSE(gone.look().has_value());
}

TEST_F(WireFaults, LostWorkDoesNotBlockWhatFollows) {
  script(31);
  launch_add();
  const Result<uint64_t> lost = queue().submit();
  ASSERT_OK(lost);
  for (int i = 0; i < 300; ++i) {  // more than there are blocks, and than may be in flight
    launch_add();
    ASSERT_OK(queue().submit());
  }
  submit_and_wait();
  EXPECT_EQ(first(x_), 300);
}

TEST_F(WireFaults, AnEndlessKernelIsGivenUp) {
  script(0);
  launch_add();
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  const Result<bool> waited = queue().fence().wait(*value, 20'000'000);
  ASSERT_OK(waited);
  EXPECT_FALSE(*waited);
  ASSERT_OK(queue().abandon());
  ASSERT_FALSE(queue().fence().wait(*value, 0).has_value());
  expect_right_results(0);
}

/// What the last restart asked for, without the frees.
std::string stops_of(Queue& queue) {
  std::string text;
  for (const NvidiaStopStep& step : static_cast<NvidiaQueue&>(queue).submitter().stop_steps()) {
    if (std::string(step.request) != "RM_FREE") text += std::string(step.request) + " ";
  }
  return text;
}

// A free of a channel that still runs waits for its kernel, so it is stopped first.
TEST_F(WireFaults, AHangIsStoppedBeforeItsChannelIsFreed) {
  script(0);
  launch_add();
  ASSERT_OK(queue().submit());
  ASSERT_OK(queue().abandon());
  const std::string stop = "GPFIFO_SCHEDULE off RESET_CHANNEL ";
  EXPECT_EQ(stops_of(queue()), stop + stop);  // of both channels
  EXPECT_EQ(gpu().server().frees_of_hung(), 0u);
  expect_right_results(0);
  script(31);  // the driver has disabled this one itself
  launch_add();
  ASSERT_OK(queue().submit());
  ASSERT_OK(queue().abandon());
  EXPECT_EQ(stops_of(queue()), "");
  expect_right_results(1);
}

TEST_F(WireFaults, AHangUnderTheDeviceItselfIsStopped) {
  script(0);
  launch_add();
  ASSERT_OK(queue().submit());
  const mock::ResourceServer& server = gpu().server();
  x_ = Buffer();
  add_.reset();
  device().close_inner();
  EXPECT_EQ(server.frees_of_hung(), 0u);
}

TEST_F(WireFaults, EachWayToStopIsFollowedByRightResults) {
  int32_t before = 0;
  for (const NvidiaStop way :
       {NvidiaStop::free, NvidiaStop::stop_channel, NvidiaStop::preempt,
        NvidiaStop::disable_channels, NvidiaStop::reset_channel, NvidiaStop::leave_running}) {
    static_cast<NvidiaQueue&>(queue()).submitter().set_stop(way);
    script(0);
    launch_add();
    const Result<uint64_t> value = queue().submit();
    ASSERT_OK(value);
    ASSERT_OK(queue().abandon());
    ASSERT_FALSE(queue().fence().wait(*value, 0).has_value()) << name_of(way);
    expect_right_results(before++);
  }
  EXPECT_EQ(gpu().server().frees_of_hung(), 2u);         // free, and preempt, which times out
  EXPECT_EQ(gpu().server().channels().size(), 2u + 2u);  // those that were left
}

TEST_F(WireFaults, ARefusedStopIsNoError) {
  constexpr uint32_t kControl = 0x2A, kNotSupported = 0x56;
  script(0);
  launch_add();
  ASSERT_OK(queue().submit());
  gpu().server().refuse_next(kControl, kNotSupported);
  ASSERT_OK(queue().abandon());
  expect_right_results(0);
}

TEST_F(WireFaults, AnotherThreadsWaitEndsToo) {
  script(0);
  launch_add();
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  bool was_lost = false;
  std::thread waiter([&] {
    const Result<bool> waited = queue().fence().wait(*value, 10'000'000'000);
    was_lost = !waited.has_value() && waited.error().kind() == ErrorKind::device_lost;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_OK(queue().abandon());
  waiter.join();
  EXPECT_TRUE(was_lost);
}

TEST_F(WireFaults, ListsAndKernelsOutliveTheirChannel) {
  const Buffer y = numbers(0);
  const auto list = record([&] {
    launch_add();
    EXPECT_TRUE(queue().copy({&y, 0, 128}, {&x_, 0, 128}).has_value());
    launch_add();
  });
  wait_for(queue().replay(*list));
  EXPECT_EQ(first(y), 1);
  script(31);
  const Result<uint64_t> lost = queue().replay(*list);
  ASSERT_OK(lost);
  ASSERT_FALSE(queue().fence().wait(*lost, 1'000'000'000).has_value());
  EXPECT_EQ(first(x_), 2);
  wait_for(queue().replay(*list));
  EXPECT_EQ(first(x_), 4);
  EXPECT_EQ(first(y), 3);
}

TEST_F(WireFaults, FaultAfterFaultAfterFault) {
  std::vector<uint64_t> values;  // what was lost stays lost
  for (int i = 0; i < 50; ++i) {
    script(i % 2 == 0 ? 31 : 13);
    launch_add();
    const Result<uint64_t> lost = queue().submit();
    ASSERT_OK(lost);
    ASSERT_FALSE(queue().fence().wait(*lost, 1'000'000'000).has_value());
    expect_right_results(i);
    values.push_back(*lost);
    for (const uint64_t value : values) EXPECT_FALSE(queue().fence().wait(value, 0).has_value());
  }
  EXPECT_EQ(gpu().server().channels().size(), 2u);
}

TEST_F(WireFaults, AWildPointerIsAPageFault) {
  // A buffer that is freed under a recorded list: its block stays mapped, so the list is replayed
  // after the whole block went back to the driver.
  Result<Buffer> large = device().allocate(size_t{128} << 20, MemoryKind::device);
  ASSERT_OK(large);
  const auto list = record([&] {
    const BufferRange range = {&*large, 0, 128};
    EXPECT_TRUE(queue().launch(*add_, std::span(&range, 1)).has_value());
  });
  wait_for(queue().replay(*list));
  *large = Buffer();
  submit_and_wait();
  const Buffer other = numbers(0);  // drains what was freed
  const Result<uint64_t> value = queue().replay(*list);
  ASSERT_OK(value);
  const Result<bool> waited = queue().fence().wait(*value, 1'000'000'000);
  ASSERT_FALSE(waited.has_value());
  EXPECT_NE(waited.error().message().find("Xid 31"), std::string::npos);
  expect_right_results(0);
}

TEST_F(WireFaults, RefusalsOfTheDriverAreSentences) {
  constexpr uint32_t kAlloc = 0x2B, kMapMemoryDma = 0x57, kAllocMemory = 0x27;
  for (const uint32_t call : {kAlloc, kMapMemoryDma}) {
    gpu().server().refuse_next(call, 0x51);
    const Result<Buffer> refused = device().allocate(size_t{128} << 20, MemoryKind::device);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind(), ErrorKind::out_of_memory);
    EXPECT_NE(refused.error().message().find("NO_MEMORY"), std::string::npos);
  }
  gpu().server().refuse_next(kAllocMemory, 0x1E);
  const Result<Buffer> refused = device().allocate(size_t{128} << 20, MemoryKind::shared);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::io);
  expect_right_results(0);
}

TEST_F(WireFaults, ALostCardStaysLost) {
  script(79);
  launch_add();
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  ASSERT_FALSE(queue().fence().wait(*value, 1'000'000'000).has_value());
  gpu().server().refuse_next(0x2B, 0x0F);  // GPU_IS_LOST for the new channel group
  launch_add();
  const Result<uint64_t> next = queue().submit();
  ASSERT_FALSE(next.has_value());
  EXPECT_EQ(next.error().kind(), ErrorKind::device_lost);
}

}  // namespace
}  // namespace leat
