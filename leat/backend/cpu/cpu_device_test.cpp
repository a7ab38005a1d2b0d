// The cpu device through the seam: memory, kernels, order, lists, times, fences.
#include "leat/backend/cpu/cpu_device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "leat/backend/cpu/cpu_object_jit_test.h"
#include "leat/backend/cpu/cpu_target.h"

namespace leat {
namespace {

class CpuDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Device>> opened = open_cpu_device(2);
    ASSERT_TRUE(opened) << opened.error().message();
    device_ = std::move(*opened);
  }

  Device& device() { return *device_; }
  Queue& queue() { return device_->queue(); }

  Buffer ints(uint32_t count, int32_t value) {
    Result<Buffer> buffer = device().allocate(count * sizeof(int32_t), MemoryKind::device);
    CHECK(buffer.has_value());
    for (uint32_t i = 0; i < count; ++i) std::memcpy(buffer->host_pointer() + i * 4, &value, 4);
    return std::move(*buffer);
  }
  static std::vector<int32_t> read(const Buffer& buffer) {
    std::vector<int32_t> values(buffer.size_bytes() / 4);
    std::memcpy(values.data(), buffer.host_pointer(), values.size() * 4);
    return values;
  }
  static BufferRange whole(const Buffer& buffer) { return {&buffer, 0, buffer.size_bytes()}; }
  std::unique_ptr<Kernel> load(const KernelBinary& binary) {
    Result<std::unique_ptr<Kernel>> kernel = device().load(binary);
    CHECK(kernel.has_value());
    return std::move(*kernel);
  }
  void launch(const Kernel& kernel, const Buffer& buffer) {
    const BufferRange arguments[] = {whole(buffer)};
    ASSERT_TRUE(queue().launch(kernel, arguments));
  }
  void wait(const Result<uint64_t>& value) {
    ASSERT_TRUE(value) << value.error().message();
    const Result<bool> done = queue().fence().wait(*value, kHangTimeoutNs);
    ASSERT_TRUE(done && *done);
  }

 private:
  std::unique_ptr<Device> device_;
};

TEST_F(CpuDeviceTest, SaysWhatItIs) {
  EXPECT_EQ(device().info().name, "cpu");
  EXPECT_EQ(device().info().route, Route::native);
  EXPECT_FALSE(device().info().chip.empty());
  EXPECT_GT(device().info().memory_bytes, 0u);
  const Target& target = device().target();
  EXPECT_TRUE(target.is_cpu);
  EXPECT_EQ(target.compute_units, 2u);
  EXPECT_EQ(target.lanes_per_workgroup_max, target.wave_lanes);
  EXPECT_EQ(target, host_cpu_target(2));
}

TEST_F(CpuDeviceTest, MemoryIsAlignedAndMapped) {
  for (const size_t size_bytes : {size_t{1}, size_t{5000}, size_t{3} << 20, size_t{4} << 20}) {
    for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
      Result<Buffer> buffer = device().allocate(size_bytes, kind);
      ASSERT_TRUE(buffer) << buffer.error().message();
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->host_pointer()) % kBufferAlignment, 0u);
      std::memset(buffer->host_pointer(), 7, size_bytes);
      EXPECT_EQ(buffer->host_pointer()[size_bytes - 1], std::byte{7});
    }
  }
}

TEST_F(CpuDeviceTest, MemoryHasLimits) {
  const Result<Buffer> none = device().allocate(0, MemoryKind::shared);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::invalid_argument);
  const Result<Buffer> vast = device().allocate(size_t{1} << 60, MemoryKind::device);
  ASSERT_FALSE(vast);
  EXPECT_EQ(vast.error().kind(), ErrorKind::out_of_memory);
}

TEST_F(CpuDeviceTest, CommandsRunInOrder) {
  constexpr uint32_t kGroups = 1000;
  const auto odd = load(triple_object(kGroups, 1));
  const auto even = load(triple_object(kGroups, 2));
  const Buffer x = ints(kGroups, 7);
  const Buffer copy = ints(kGroups, 0);
  uint32_t wanted = 7;
  for (int i = 0; i < 100; ++i) {  // more submits than the ring holds
    launch(i % 2 == 0 ? *odd : *even, x);
    wanted = 3 * wanted + (i % 2 == 0 ? 1 : 2);
    if (i % 3 == 0) {
      ASSERT_TRUE(queue().submit());
    }
  }
  ASSERT_TRUE(queue().copy(whole(copy), whole(x)));
  launch(*odd, x);
  wait(queue().submit());
  EXPECT_EQ(read(copy), std::vector<int32_t>(kGroups, static_cast<int32_t>(wanted)));
  EXPECT_EQ(read(x), std::vector<int32_t>(kGroups, static_cast<int32_t>(3 * wanted + 1)));
}

TEST_F(CpuDeviceTest, ListsReplay) {
  const auto triple = load(triple_object(10, 1));
  const Buffer x = ints(10, 0);
  ASSERT_TRUE(queue().begin_record());
  launch(*triple, x);
  launch(*triple, x);
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_TRUE(list);
  wait(queue().submit());
  EXPECT_EQ(read(x), std::vector<int32_t>(10, 0));
  for (int i = 0; i < 3; ++i) wait(queue().replay(**list));
  EXPECT_EQ(read(x), std::vector<int32_t>(10, 364));  // 1, 4, 13, 40, 121, 364
}

TEST_F(CpuDeviceTest, AListInFlightIsNotReplayed) {
  const auto slow = load(slow_object(1, 50'000'000));
  const Buffer x = ints(1, 0);
  ASSERT_TRUE(queue().begin_record());
  launch(*slow, x);
  const Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_TRUE(list);
  const Result<uint64_t> first = queue().replay(**list);
  const Result<uint64_t> second = queue().replay(**list);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::invalid_argument);
  wait(first);
  EXPECT_EQ(read(x), std::vector<int32_t>(1, 1));
}

TEST_F(CpuDeviceTest, TimesAreTaken) {
  const auto slow = load(slow_object(4, 100'000));
  const Buffer x = ints(4, 0);
  EXPECT_FALSE(queue().time_ns(0));
  ASSERT_TRUE(queue().mark_time(0));
  launch(*slow, x);
  ASSERT_TRUE(queue().mark_time(Queue::kTimeSlots - 1));
  wait(queue().submit());
  const Result<uint64_t> begin = queue().time_ns(0);
  const Result<uint64_t> end = queue().time_ns(Queue::kTimeSlots - 1);
  ASSERT_TRUE(begin && end);
  EXPECT_GT(*end, *begin);
}

TEST_F(CpuDeviceTest, TwoThreadsWaitForOneFence) {
  const auto slow = load(slow_object(2, 5'000'000));
  const Buffer x = ints(2, 0);
  launch(*slow, x);
  const Result<uint64_t> value = queue().submit();
  ASSERT_TRUE(value);
  bool seen[2] = {};
  std::thread waiters[2];
  for (int i = 0; i < 2; ++i) {
    waiters[i] = std::thread([this, &seen, &value, i] {
      const Result<bool> done = queue().fence().wait(*value, kHangTimeoutNs);
      seen[i] = done && *done && queue().fence().poll() >= *value;
    });
  }
  for (std::thread& waiter : waiters) waiter.join();
  EXPECT_TRUE(seen[0] && seen[1]);
  EXPECT_EQ(read(x), std::vector<int32_t>(2, 1));
  const Result<bool> never = queue().fence().wait(*value + 1, 1'000'000);
  ASSERT_TRUE(never);
  EXPECT_FALSE(*never);
}

TEST_F(CpuDeviceTest, BuffersAndKernelsMayDieInFlight) {
  const Buffer result = ints(4, 0);
  for (int round = 0; round < 10; ++round) {
    const auto slow = load(slow_object(4, 1'000'000));
    Buffer x = ints(4, 0);
    launch(*slow, x);
    launch(*slow, result);
    if (round % 2 == 0) x = Buffer();
    ASSERT_TRUE(queue().submit());
  }
  ASSERT_TRUE(queue().mark_time(0));
  wait(queue().submit());
  EXPECT_EQ(read(result), std::vector<int32_t>(4, 10));
}

TEST_F(CpuDeviceTest, AListMayDieInFlight) {
  // A first list keeps the thread busy while the second one, which is queued behind it, dies and
  // its memory is asked for again.
  constexpr size_t kCopies = 4000;
  const Buffer large = ints(1u << 24, 1);
  Buffer source = ints(kCopies, 7);
  Buffer target = ints(kCopies, 0);
  ASSERT_TRUE(queue().begin_record());
  ASSERT_TRUE(queue().copy({&large, 0, 1u << 25}, {&large, 1u << 25, 1u << 25}));
  auto first = queue().end_record();
  ASSERT_TRUE(first);
  ASSERT_TRUE(queue().begin_record());
  for (size_t i = 0; i < kCopies; ++i)
    ASSERT_TRUE(queue().copy({&target, 4 * i, 4}, {&source, 4 * i, 4}));
  auto second = queue().end_record();
  ASSERT_TRUE(second);
  ASSERT_TRUE(queue().replay(**first));
  const auto value = queue().replay(**second);
  first->reset();
  second->reset();
  ASSERT_TRUE(queue().begin_record());  // would take the freed commands' place
  for (size_t i = 0; i < kCopies; ++i) ASSERT_TRUE(queue().copy({&source, 0, 4}, {&source, 4, 4}));
  const auto other = queue().end_record();
  wait(value);
  EXPECT_EQ(read(target), std::vector<int32_t>(kCopies, 7));
}

TEST_F(CpuDeviceTest, CodeMayCallTheCLibrary) {
  const auto kernel = load(floor_object());
  const Buffer x = ints(1, 0);
  const Buffer y = ints(1, 0);
  const float input = -2.5f;
  std::memcpy(x.host_pointer(), &input, 4);
  const BufferRange arguments[] = {whole(x), whole(y)};
  ASSERT_TRUE(queue().launch(*kernel, arguments));
  wait(queue().submit());
  float output = 0;
  std::memcpy(&output, y.host_pointer(), 4);
  EXPECT_EQ(output, -3.0f);
}

TEST_F(CpuDeviceTest, RefusesBadBinaries) {
  const KernelBinary good = triple_object(1, 1);
  const auto refused = [&](KernelBinary binary) {
    const Result<std::unique_ptr<Kernel>> kernel = device().load(binary);
    ASSERT_FALSE(kernel);
    EXPECT_EQ(kernel.error().kind(), ErrorKind::invalid_argument);
  };
  KernelBinary binary = good;
  binary.entry = "other";
  refused(binary);
  binary = good;
  binary.code.resize(binary.code.size() / 2);
  refused(binary);
  binary.code.clear();
  refused(binary);
  binary = good;
  binary.format = CodeFormat::spirv_pointers;
  refused(binary);
  binary = good;
  binary.grid[0] = binary.grid[1] = 1u << 16;
  refused(binary);
  binary.grid[1] = 0;
  refused(binary);
  binary = good;
  binary.code[18] = std::byte{0xb7};  // e_machine: AArch64. Source: ELF gABI, e_ident and e_machine
  refused(binary);
}

TEST(CpuDeviceOpening, TooManyThreadsAreRefused) {
  const Result<std::unique_ptr<Device>> device = open_cpu_device(100'000);
  ASSERT_FALSE(device.has_value());
  EXPECT_EQ(device.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(device.error().message().find("(100000)"), std::string::npos);
}

TEST(CpuTarget, ForAarch64) {
  const Target target = aarch64_target();
  EXPECT_EQ(target.name, "aarch64 neon");
  EXPECT_EQ(target.wave_lanes, 4u);
  EXPECT_EQ(target.vector_registers, 32u);
}

}  // namespace
}  // namespace leat
