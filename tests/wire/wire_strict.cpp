// The mock is as strict as the driver and the chip: what it must refuse, it refuses, so that a
// passing suite on it means something.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "tests/wire/mock_bytes.h"
#include "tests/wire/mock_cubin.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

using mock::get;
using mock::put;

/// Raw calls with structs by offset.
class WireStrict : public testing::Test {
 protected:
  void SetUp() override {
    control_ = open("/dev/nvidiactl");
    card_ = open("/dev/nvidia0");
    int32_t control = control_;
    ASSERT_EQ(ioctl(card_, 0xC9, 4, &control), 0);
    client_ = alloc(0, 0, 0x41, nullptr);
    ASSERT_NE(client_, 0u);
    device_ = alloc(client_, 1, 0x80, zeros_);
    subdevice_ = alloc(device_, 2, 0x2080, zeros_);
    space_ = alloc(device_, 3, 0x90F1, zeros_);
  }

  int open(const char* path) { return nvidia_.os().open(nvidia_.os().context, path); }
  int ioctl(int fd, uint32_t number, size_t size_bytes, void* argument) {
    const unsigned long request = 3ul << 30 | size_bytes << 16 | 0x46ul << 8 | number;
    return nvidia_.os().ioctl(nvidia_.os().context, fd, request, argument);
  }
  /// The handle, or 0 with status_ set.
  uint32_t alloc(uint32_t parent, uint32_t handle, uint32_t object_class, const void* params) {
    std::byte request[48] = {};
    put(request, 0, client_);
    put(request, 4, parent);
    put(request, 8, handle);
    put(request, 12, object_class);
    put(request, 16, reinterpret_cast<uint64_t>(params));
    EXPECT_EQ(ioctl(control_, 0x2B, 48, request), 0);
    status_ = get<uint32_t>(request, 40);
    return status_ == 0 ? get<uint32_t>(request, 8) : 0;
  }
  uint32_t control(uint32_t object, uint32_t cmd, void* params, uint32_t size_bytes) {
    std::byte request[32] = {};
    put(request, 0, client_);
    put(request, 4, object);
    put(request, 8, cmd);
    put(request, 16, reinterpret_cast<uint64_t>(params));
    put(request, 24, size_bytes);
    EXPECT_EQ(ioctl(control_, 0x2A, 32, request), 0);
    return get<uint32_t>(request, 28);
  }

  mock::Nvidia nvidia_;
  std::byte zeros_[1024] = {};
  int control_ = -1, card_ = -1;
  uint32_t client_ = 0, device_ = 0, subdevice_ = 0, space_ = 0, status_ = 0;
};

TEST_F(WireStrict, Handles) {
  EXPECT_EQ(alloc(device_, 0xCAF00001, 0x90F1, zeros_), 0u);
  EXPECT_EQ(status_, 0x19u);
  EXPECT_EQ(alloc(device_, space_, 0x90F1, zeros_), 0u);
  EXPECT_EQ(status_, 0x19u);
  EXPECT_EQ(alloc(client_, 20, 0x90F1, zeros_), 0u);
  EXPECT_EQ(status_, 0x36u);
  EXPECT_EQ(alloc(device_, 20, 0x1234, zeros_), 0u);
  EXPECT_EQ(status_, 0x22u);
  EXPECT_EQ(alloc(device_, 20, 0x90F1, nullptr), 0u);
  EXPECT_EQ(status_, 0x1Fu);
}

TEST_F(WireStrict, SizesOfStructs) {
  std::byte bytes[2048] = {};
  EXPECT_EQ(control(subdevice_, 0x2080014A, bytes, 268), 0u);
  EXPECT_EQ(control(subdevice_, 0x2080014A, bytes, 272), 0x3Au);
  EXPECT_EQ(control(device_, 0x2080014A, bytes, 268), 0x33u);
  EXPECT_EQ(control(subdevice_, 0x2080200A, bytes, 8), 0x56u);  // PERF_BOOST is not for us
  EXPECT_EQ(ioctl(control_, 0x2A, 40, bytes), -1);
  EXPECT_EQ(ioctl(card_, 0x2A, 32, bytes), -1);
  EXPECT_EQ(ioctl(control_, 0x27, 56, bytes), -1);
}

TEST_F(WireStrict, Mappings) {
  const NvidiaOs& os = nvidia_.os();
  EXPECT_EQ(os.mmap(os.context, 4096, card_), nullptr);  // nothing was announced
  std::byte memory[128] = {};
  put(memory, 0, client_);
  put<uint64_t>(memory, 64, 2 << 20);
  put<uint64_t>(memory, 72, 2 << 20);
  const uint32_t video = alloc(device_, 21, 0x40, memory);
  ASSERT_NE(video, 0u);
  const auto map = [&](int fd, uint64_t length) {
    std::byte request[56] = {};
    put(request, 0, client_);
    put(request, 4, device_);
    put(request, 8, video);
    put(request, 24, length);
    put(request, 48, fd);
    EXPECT_EQ(ioctl(control_, 0x4E, 56, request), 0);
    return get<uint32_t>(request, 40);
  };
  EXPECT_NE(map(control_, 4096), 0u);              // video memory is not the control node's
  EXPECT_NE(map(open("/dev/nvidia0"), 4096), 0u);  // not registered
  EXPECT_NE(map(card_, 4 << 20), 0u);
  EXPECT_EQ(map(card_, 2 << 20), 0u);
  EXPECT_NE(map(card_, 2 << 20), 0u);  // one mapping for each descriptor
  EXPECT_EQ(os.mmap(os.context, 4096, card_), nullptr);
  EXPECT_NE(os.mmap(os.context, 2 << 20, card_), nullptr);
  EXPECT_EQ(os.mmap(os.context, 2 << 20, card_), nullptr);
}

TEST_F(WireStrict, Channels) {
  std::byte group[20] = {};
  put(group, 8, space_);
  put(group, 12, 1);
  const uint32_t tsg = alloc(device_, 30, 0xA06C, group);
  ASSERT_NE(tsg, 0u);
  std::byte channel[368] = {};
  put(channel, 16, 1024);
  put(channel, 20, 0x400080);
  EXPECT_EQ(alloc(tsg, 31, 0xC86F, channel), 0u);  // the ring is not mapped
  EXPECT_EQ(status_, 0x1Eu);
  put(channel, 28, space_);
  EXPECT_EQ(alloc(tsg, 31, 0xC86F, channel), 0u);
  EXPECT_EQ(status_, 0x1Fu);
  put(channel, 28, 0);
  put(channel, 16, 1000);
  EXPECT_EQ(alloc(tsg, 31, 0xC86F, channel), 0u);
  EXPECT_EQ(status_, 0x1Fu);
  put(channel, 16, 1024);
  put(channel, 128, 9);  // another engine than the group's
  EXPECT_EQ(alloc(tsg, 31, 0xC86F, channel), 0u);
  EXPECT_EQ(status_, 0x1Fu);
}

TEST_F(WireStrict, PinnedMemory) {
  std::vector<std::byte> pages(3 * 4096);
  const auto pin = [&](uint64_t pointer, uint64_t limit) {
    std::byte request[56] = {};
    put(request, 0, client_);
    put(request, 4, device_);
    put(request, 8, 40);
    put(request, 12, 0x71);
    put(request, 16, 0x40001010);
    put(request, 24, pointer);
    put(request, 32, limit);
    put(request, 48, -1);
    EXPECT_EQ(ioctl(card_, 0x27, 56, request), 0);
    return get<uint32_t>(request, 40);
  };
  const auto aligned = (reinterpret_cast<uint64_t>(pages.data()) + 4095) / 4096 * 4096;
  EXPECT_EQ(pin(aligned + 8, 4095), 0x1Eu);
  EXPECT_EQ(pin(aligned, 100), 0x1Eu);
  EXPECT_EQ(pin(aligned, 4095), 0u);
  EXPECT_EQ(pin(aligned, 4095), 0x19u);
}

/// Packets written by hand into a mock that the direct route has set up.
class WirePackets : public WireTest {
 protected:
  void SetUp() override {
    open();
    device().expect_broken_rules();
  }
  /// Whether some broken rule says so.
  bool broke(const std::string& word) {
    const std::vector<std::string>& rules = gpu().engines().broken_rules();
    return std::any_of(rules.begin(), rules.end(), [&](const std::string& rule) {
      return rule.find(word) != std::string::npos;
    });
  }
};

TEST_F(WirePackets, AnUnknownTokenIsIgnored) {
  uint32_t somewhere = 0;
  gpu().os().ring_doorbell(gpu().os().context, &somewhere, 4);
  auto* doorbell = reinterpret_cast<volatile uint32_t*>(
      const_cast<std::byte*>(gpu().server().doorbell_page() + 0x90));
  gpu().os().ring_doorbell(gpu().os().context, doorbell, 0x7777);
  EXPECT_TRUE(gpu().engines().broken_rules().empty());
  submit_and_wait();
}

TEST_F(WirePackets, CodeThatIsNoProgramFaults) {
  KernelBinary binary = add_program(1);
  mock::CubinOptions options;
  options.code = "this is no wave program";
  options.code += '\0';
  options.parameter_bytes = 8;
  binary.format = CodeFormat::cubin;
  binary.entry = options.entry;
  binary.code = mock::make_cubin(options);
  Result<std::unique_ptr<Kernel>> kernel = device().inner().load(binary);
  ASSERT_OK(kernel);
  const Buffer x = numbers(0);
  launch(**kernel, {&x});
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  const Result<bool> waited = queue().fence().wait(*value, 1'000'000'000);
  ASSERT_FALSE(waited.has_value());
  EXPECT_NE(waited.error().message().find("Xid 13"), std::string::npos);
  EXPECT_TRUE(broke("Xid 13"));
}

TEST_F(WirePackets, ALaunchOfTheWrongSizeIsSeen) {
  KernelBinary binary = add_program(1);
  KernelBinary wrong = mock::wrap_program(binary);
  wrong.grid[0] = 2;
  Result<std::unique_ptr<Kernel>> kernel = device().inner().load(wrong);
  ASSERT_OK(kernel);
  const Buffer x = numbers(0);
  launch(**kernel, {&x});
  submit_and_wait();
  EXPECT_TRUE(broke("another size"));
}

TEST_F(WirePackets, WhatIsDeclaredReadMustNotBeWritten) {
  KernelBinary binary = add_program(1);
  binary.arguments[0].written = false;  // a lie, so the launches run beside each other
  Result<std::unique_ptr<Kernel>> kernel = device().inner().load(mock::wrap_program(binary));
  ASSERT_OK(kernel);
  const Buffer x = numbers(0);
  launch(**kernel, {&x});
  launch(**kernel, {&x});
  submit_and_wait();
  EXPECT_TRUE(broke("runs beside one whose data it needs"));
  EXPECT_TRUE(broke("not visible at its end"));
}

}  // namespace
}  // namespace leat
