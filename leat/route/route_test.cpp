// The parts that queues are made of: what is kept until the fence, what is refused, and how.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "leat/route/handle_table.h"
#include "leat/route/kernel_limits.h"
#include "leat/route/launch_checks.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"
#include "leat/route/time_slots.h"

namespace leat {
namespace {

TEST(RetireList, LetsGoInOrderOfWhatTheFenceHasReached) {
  RetireList<std::string> list;
  list.add(2, "b");
  list.add(1, "a");
  list.add(3, "c");
  std::string freed;
  const auto free = [&](const std::string& thing) { freed += thing; };
  list.drain(0, free);
  EXPECT_EQ(freed, "");
  list.drain(2, free);
  EXPECT_EQ(freed, "ba");
  EXPECT_FALSE(list.is_empty());
  list.drain_all(free);
  EXPECT_EQ(freed, "bac");
  EXPECT_TRUE(list.is_empty());
}

TEST(RetireList, OwnedThingsDieWhenTheirTimeHasCome) {
  RetireList<std::shared_ptr<int>> list;
  const auto thing = std::make_shared<int>(1);
  list.add(5, thing);
  list.drain(4);
  EXPECT_EQ(thing.use_count(), 2);
  list.drain(5);
  EXPECT_EQ(thing.use_count(), 1);
}

TEST(HandleTable, PlacesAreUsedAgain) {
  HandleTable<std::unique_ptr<int>> table;
  const uint64_t a = table.add(std::make_unique<int>(1)), b = table.add(std::make_unique<int>(2));
  EXPECT_EQ(*table.take(a), 1);
  EXPECT_EQ(table.add(std::make_unique<int>(3)), a);
  EXPECT_EQ(*table.at(b), 2);
  int sum = 0;
  table.take_all([&](const std::unique_ptr<int>& left) { sum += *left; });
  EXPECT_EQ(sum, 5);
  EXPECT_DEATH(static_cast<void>(table.at(a)), "");
}

TEST(QueueFrame, WhatDiesWaitsForTheSubmitThatHandsOverWhatIsOpen) {
  const DeviceInfo info;
  const Target target;
  QueueFrame frame(info, target);
  frame.set_submitted(7);
  EXPECT_EQ(frame.last_use(), 7u);
  frame.set_open(true);
  EXPECT_EQ(frame.last_use(), 8u);
}

TEST(QueueFrame, ReplaysNeedTheirLastOneDone) {
  DeviceInfo info;
  info.name = "gpu7";
  const Target target;
  const QueueFrame frame(info, target);
  EXPECT_TRUE(frame.check_replay(3, 3));
  const Result<void> early = frame.check_replay(4, 3);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(early.error().message().find("gpu7"), std::string::npos);
}

TEST(QueueFrame, WaitsForRoomAsLongAsWorkMayTake) {
  const DeviceInfo info;
  Target target;
  target.is_cpu = true;
  const QueueFrame frame(info, target);
  uint64_t asked_ns = 0;
  const auto wait = [&](uint64_t timeout_ns) -> Result<bool> {
    asked_ns = timeout_ns;
    return false;
  };
  const Result<void> waited = frame.wait_for_room(wait);
  EXPECT_EQ(asked_ns, hang_timeout_ns(info, target));
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().kind(), ErrorKind::device_lost);
  EXPECT_TRUE(frame.wait_for_room([](uint64_t) { return Result<bool>(true); }));
}

class PlainKernel final : public Kernel {
 public:
  explicit PlainKernel(const KernelBinary& binary) : Kernel(binary) {}
};

TEST(LaunchChecks, NumberAndAlignmentOfArgumentsAreTheCallersDuty) {
  KernelBinary binary;
  binary.arguments.resize(1);
  const PlainKernel kernel(binary);
  EXPECT_DEATH(static_cast<void>(check_launch(kernel, {}, kernel.grid()[0], nullptr)), "arguments");
  const BufferRange uneven = {nullptr, 4, 4};
  EXPECT_DEATH(static_cast<void>(check_launch(kernel, {&uneven, 1}, kernel.grid()[0], nullptr)),
               "kBufferAlignment");
}

TEST(TimeSlots, HoldWhatWasMarked) {
  TimeSlots times;
  times.set(3, 42);
  EXPECT_EQ(*times.at(3), 42u);
  EXPECT_FALSE(times.at(4).has_value());
}

TEST(KernelLimits, EachIsToldWithValueAndLimit) {
  DeviceInfo info;
  info.name = "gpu7";
  Target target;
  target.lanes_per_workgroup_max = 64;
  target.buffer_bindings_max = 2;
  KernelBinary good;
  good.name = "k";
  good.wave_lanes = 32;
  good.waves_per_workgroup = 2;
  good.arguments.resize(2);
  good.local_memory_bytes = target.local_memory_bytes_max;
  good.grid[1] = target.workgroups_max[1];
  ASSERT_TRUE(check_limits(good, target, info));
  const auto refused = [&](const auto& change, const std::string& word) {
    KernelBinary bad = good;
    change(bad);
    const Result<void> checked = check_limits(bad, target, info);
    ASSERT_FALSE(checked) << word;
    EXPECT_EQ(checked.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(checked.error().message().find(word), std::string::npos) << checked.error().message();
  };
  refused([](KernelBinary& b) { b.format = CodeFormat::cubin; }, "Code format");
  refused([](KernelBinary& b) { b.waves_per_workgroup = 3; }, "(96)");
  refused([](KernelBinary& b) { b.waves_per_workgroup = 0; }, "Workgroup size (0)");
  refused([](KernelBinary& b) { ++b.local_memory_bytes; }, "(32769)");
  refused([](KernelBinary& b) { b.arguments.resize(3); }, "Number of buffers (3)");
  refused([](KernelBinary& b) { b.grid[2] = 0; }, "Grid size (0)");
  refused([](KernelBinary& b) { ++b.grid[1]; }, "Grid size (65536)");
}

}  // namespace
}  // namespace leat
