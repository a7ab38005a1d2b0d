// The queue of the direct route on the mock, where tests can hold the engines back and count calls.
#include <cstdlib>

#include "bench/allocation_count.h"
#include "leat/backend/nvidia/nvidia_device.h"
#include "tests/wire/mock_cubin.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

class WireQueue : public WireTest {
 protected:
  void SetUp() override { open(); }
};

TEST_F(WireQueue, SubmitsMakeNoCallsAndAllocateNothing) {
  setenv("LEAT_NVIDIA_CHECK", "0", 1);  // the check allocates
  mock::Nvidia nvidia;
  Result<std::unique_ptr<Device>> device = open_nvidia_device_on(nvidia.os(), 0, "mock");
  ASSERT_OK(device);
  Queue& direct = (*device)->queue();
  const Result<std::unique_ptr<Kernel>> kernel =
      (*device)->load(mock::wrap_program(empty_program()));
  ASSERT_OK(kernel);
  ASSERT_OK(direct.begin_record());
  for (int i = 0; i < 20; ++i) ASSERT_OK(direct.launch(**kernel, {}));
  const Result<std::unique_ptr<RecordedList>> list = direct.end_record();
  ASSERT_OK(list);
  ASSERT_OK(direct.replay(**list));
  nvidia.hold(true);  // the mock's own work allocates
  const uint64_t calls = nvidia.server().calls(), doorbells = nvidia.doorbells();
  for (int i = 0; i < 100; ++i) {
    const uint64_t before = cli::allocation_count();
    ASSERT_OK(direct.launch(**kernel, {}));
    ASSERT_OK(direct.submit());
    const Result<uint64_t> value = direct.replay(**list);
    ASSERT_OK(value);
    EXPECT_EQ(direct.fence().poll() >= *value, false);
    EXPECT_EQ(cli::allocation_count(), before);
    nvidia.hold(false);
    nvidia.run();
    nvidia.hold(true);
    ASSERT_TRUE(direct.fence().poll() >= *value);
  }
  EXPECT_EQ(nvidia.server().calls(), calls);
  EXPECT_EQ(nvidia.doorbells(), doorbells + 200);
}

// Submits behind one another: the mock holds them back, so each must wait for those before it.
TEST_F(WireQueue, SubmitsWaitForEachOther) {
  const auto add = load(add_program(1)), move = load(move_program(100));
  const Buffer x = numbers(0), y = numbers(0);
  const auto list = record([&] { launch(*move, {&x, &y}); });
  gpu().hold(true);
  Result<uint64_t> value = uint64_t{0};
  for (int i = 0; i < 5; ++i) {
    launch(*add, {&x});
    value = queue().submit();
    ASSERT_OK(value);
  }
  value = queue().replay(*list);
  ASSERT_OK(value);
  EXPECT_LT(queue().fence().poll(), *value);
  EXPECT_EQ(first(x), 0);
  gpu().hold(false);
  gpu().run();
  wait_for(value);
  EXPECT_EQ(first(y), 105);
}

// The GPU reads a list in flight; changing it would hang the channel.
TEST_F(WireQueue, ListInFlightIsNotReplayed) {
  const auto add = load(add_program(1));
  const Buffer x = numbers(0);
  const auto list = record([&] { launch(*add, {&x}); });
  gpu().hold(true);
  const Result<uint64_t> value = queue().replay(*list);
  ASSERT_OK(value);
  const Result<uint64_t> again = queue().replay(*list);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::invalid_argument);
  gpu().hold(false);
  gpu().run();
  wait_for(value);
  EXPECT_EQ(first(x), 1);
  wait_for(queue().replay(*list));
  EXPECT_EQ(first(x), 2);
}

TEST_F(WireQueue, ArmedWorkWaitsForFire) {
  const auto add = load(add_program(1));
  const Buffer x = numbers(0);
  const auto list = record([&] { launch(*add, {&x}); });
  for (int i = 1; i <= 10; ++i) {
    const Result<uint64_t> value = queue().arm(*list);
    ASSERT_OK(value);
    gpu().run();
    EXPECT_LT(queue().fence().poll(), *value);
    EXPECT_EQ(first(x), i - 1);
    queue().fire();
    gpu().run();
    wait_for(value);
    EXPECT_EQ(first(x), i);
  }
}

// After an armed submit on an idle engine the same list is used behind other work.
TEST_F(WireQueue, AnArmedListWaitsForTheEngineLater) {
  const auto add = load(add_program(1));
  const Buffer x = numbers(0);
  const auto list = record([&] { launch(*add, {&x}); });
  for (int i = 0; i < 4; ++i) {
    const Result<uint64_t> armed = queue().arm(*list);
    ASSERT_OK(armed);
    queue().fire();
    gpu().run();
    wait_for(armed);
    gpu().hold(true);
    launch(*add, {&x});
    ASSERT_OK(queue().submit());
    const Result<uint64_t> value = queue().replay(*list);
    ASSERT_OK(value);
    gpu().hold(false);
    gpu().run();
    wait_for(value);
    EXPECT_EQ(first(x), 3 * (i + 1));
  }
}

TEST_F(WireQueue, TheRingAndTheBlocksWrap) {
  const auto add = load(add_program(1));
  const Buffer x = numbers(0);
  constexpr int kSubmits = 5000;  // five times the ring's entries
  for (int i = 0; i < kSubmits; ++i) {
    launch(*add, {&x});
    ASSERT_OK(queue().submit());
  }
  submit_and_wait();
  EXPECT_EQ(first(x), kSubmits);
}

TEST_F(WireQueue, FreshSlotsAreNotReadFromAStaleCache) {
  std::vector<std::unique_ptr<Kernel>> kernels;
  for (int i = 0; i < 3; ++i) kernels.push_back(load(move_program(i)));
  const Buffer x = numbers(5);
  std::vector<Buffer> targets;
  for (int i = 0; i < 7; ++i) targets.push_back(numbers(0));
  for (size_t i = 0; i < 6000; ++i) {
    const Buffer& target = targets[i % targets.size()];
    launch(*kernels[i % 3], {&x, &target});
    submit_and_wait();
    ASSERT_EQ(first(target), 5 + static_cast<int32_t>(i % 3));
  }
}

TEST_F(WireQueue, RecordedListsOfAThousand) {
  const auto add = load(add_program(1));
  std::vector<Buffer> buffers;
  for (int i = 0; i < 10; ++i) buffers.push_back(numbers(0));
  const auto list = record([&] {
    for (size_t i = 0; i < 1000; ++i) launch(*add, {&buffers[i % 10]});
  });
  const uint64_t doorbells = gpu().doorbells();
  for (int i = 0; i < 3; ++i) wait_for(queue().replay(*list));
  EXPECT_EQ(gpu().doorbells(), doorbells + 3);
  for (const Buffer& buffer : buffers) EXPECT_EQ(first(buffer), 300);
}

TEST_F(WireQueue, MemoryComesBack) {
  for (int i = 0; i < 200; ++i) {
    std::vector<Buffer> buffers;
    for (const size_t size_bytes : {size_t{1}, size_t{5000}, size_t{3} << 20, size_t{70} << 20}) {
      Result<Buffer> made = device().allocate(size_bytes, MemoryKind::device);
      ASSERT_OK(made);
      buffers.push_back(std::move(*made));
    }
    buffers.clear();
    if (i < 100) submit_and_wait();  // and then without any submit
  }
}

// Commands are written at the submit, and by then the kernel may be gone.
TEST_F(WireQueue, AKernelMayGoBetweenLaunchAndSubmit) {
  open();
  const Buffer x = numbers(1), y = numbers(0);
  auto add = load(add_program(4)), move = load(move_program(10));
  launch(*add, {&x});
  launch(*move, {&x, &y});
  add.reset();
  move.reset();
  std::vector<std::unique_ptr<Kernel>> others;  // takes what was freed
  for (int i = 0; i < 20; ++i) others.push_back(load(add_program(100 + i)));
  submit_and_wait();
  EXPECT_EQ(first(x), 5);
  EXPECT_EQ(first(y), 15);
  others.clear();
  auto last = load(add_program(1));
  const auto list = record([&] { launch(*last, {&x}); });
  wait_for(queue().replay(*list));
  EXPECT_EQ(first(x), 6);
}

// Each 2 GiB of a copy is a command of the copy engine; a block has room for a number of them.
TEST_F(WireQueue, LargeCopiesBehindManySmallOnes) {
  constexpr size_t kLargeBytes = (size_t{40} << 30) + 4096, kSmallBytes = 256;
  open({.video_bytes = uint64_t{128} << 30});
  gpu().engines().count_copies_only();
  Result<Buffer> a = device().allocate(kLargeBytes, MemoryKind::device);
  Result<Buffer> b = device().allocate(kLargeBytes, MemoryKind::device);
  ASSERT_OK(a);
  ASSERT_OK(b);
  uint64_t wanted = 0;
  for (const int small : {0, 70, 82, 83, 84, 85, 90}) {
    for (int i = 0; i < small; ++i) {
      ASSERT_OK(queue().copy({&*a, 0, kSmallBytes}, {&*b, 0, kSmallBytes}));
      wanted += kSmallBytes;
    }
    ASSERT_OK(queue().copy({&*a, 0, kLargeBytes}, {&*b, 0, kLargeBytes}));
    wanted += kLargeBytes;
    submit_and_wait();
    EXPECT_EQ(gpu().engines().copied_bytes(), wanted) << small;
  }
  const auto list = record([&] {
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(queue().copy({&*a, 0, kLargeBytes}, {&*b, 0, kLargeBytes}).has_value());
    }
  });
  wait_for(queue().replay(*list));
  EXPECT_EQ(gpu().engines().copied_bytes(), wanted + 100 * kLargeBytes);
}

// An entry of the ring counts at most 2^21 - 1 dwords; a copy takes ten.
TEST_F(WireQueue, AListLongerThanASegmentIsRefused) {
  open();
  const Buffer x = numbers(1), y = numbers(2);
  ASSERT_OK(queue().begin_record());
  for (int i = 0; i < 210'000; ++i) ASSERT_OK(queue().copy({&y, 0, 128}, {&x, 0, 128}));
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_FALSE(list.has_value());
  EXPECT_EQ(list.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(list.error().message().find("(2097151)"), std::string::npos) << list.error().message();
  ASSERT_OK(queue().copy({&y, 0, 128}, {&x, 0, 128}));
  submit_and_wait();
  EXPECT_EQ(first(y), 1);
}

}  // namespace
}  // namespace leat
