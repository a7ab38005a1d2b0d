// Which drivers and chips the direct route takes, and with what sentence it refuses the others; and
// chips that were never held, whose descriptors and banks are checked against the mock alone.
#include "leat/backend/nvidia/nvidia_device.h"
#include "leat/base/nvidia_architecture.h"
#include "tests/wire/mock_cubin.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

std::string refusal_of(const mock::ChipOptions& options) {
  mock::Nvidia nvidia(options);
  const std::vector<FoundRoute> found = find_nvidia_devices_on(nvidia.os());
  EXPECT_EQ(found.size(), 1u);
  EXPECT_EQ(nvidia.server().open_descriptors(), 0u);
  return found[0].refusal;
}

TEST(WireChips, IsFound) {
  mock::Nvidia nvidia({.cards = 2});
  const std::vector<FoundRoute> found = find_nvidia_devices_on(nvidia.os());
  ASSERT_EQ(found.size(), 2u);
  for (const FoundRoute& info : found) {
    EXPECT_EQ(info.refusal, "");
    EXPECT_EQ(info.info.chip, "Mock GH100");
    EXPECT_EQ(info.info.driver, "NVIDIA 580.159.04");
    EXPECT_EQ(info.uuid_hex, "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
    EXPECT_EQ(info.info.memory_bytes, uint64_t{4} << 30);
  }
}

TEST(WireChips, RefusesWithASentence) {
  EXPECT_NE(refusal_of({.has_driver = false}).find("\"/dev/nvidiactl\" does not open"),
            std::string::npos);
  EXPECT_NE(refusal_of({.cards = 0}).find("shows no card"), std::string::npos);
  EXPECT_NE(refusal_of({.compute = 0xC3C0}).find("compute class"), std::string::npos);
  EXPECT_NE(refusal_of({.has_copy_engine = false}).find("copy engine"), std::string::npos);
  for (const char* version : {"535.54.03", "610.1", "", "rubbish"}) {
    const std::string refusal = refusal_of({.version = version});
    EXPECT_NE(refusal.find("branch"), std::string::npos) << refusal;
  }
}

struct Chip {
  const char* name;
  mock::ChipOptions options;
  uint32_t parameter_offset;
  uint32_t sm_version;
};

const Chip kChips[] = {
    {"Hopper", {}, 0x210, 90},
    {"Ampere",
     {.channel = 0xC56F,
      .usermode = 0xC561,
      .compute = 0xC6C0,
      .copy = 0xC6B5,
      .sm_version = 0x800},
     0x160,
     80},
    {"ConsumerAmpere",
     {.channel = 0xC56F,
      .usermode = 0xC561,
      .compute = 0xC7C0,
      .copy = 0xC7B5,
      .sm_version = 0x806},
     0x160,
     86},
    {"Ada",
     {.channel = 0xC56F,
      .usermode = 0xC561,
      .compute = 0xC9C0,
      .copy = 0xC7B5,
      .sm_version = 0x809},
     0x160,
     89},
    {"Blackwell",
     {.channel = 0xC96F,
      .usermode = 0xC661,
      .compute = 0xCDC0,
      .copy = 0xC9B5,
      .sm_version = 0xA00},
     0x380,
     100},
    {"ConsumerBlackwell",
     {.channel = 0xCA6F,
      .usermode = 0xC761,
      .compute = 0xCEC0,
      .copy = 0xCAB5,
      .sm_version = 0xA04},
     0x380,
     120},
};

/// A wave program as a cubin of that chip, on the plain direct route.
Result<int32_t> run_move(Device& device, const Chip& chip) {
  KernelBinary binary = move_program(7);
  mock::CubinOptions cubin;
  cubin.code.assign(reinterpret_cast<const char*>(binary.code.data()), binary.code.size());
  cubin.code += '\0';
  cubin.sm_version = chip.sm_version;
  cubin.parameter_offset = chip.parameter_offset;
  cubin.parameter_bytes = 16;
  cubin.stack_bytes = 256;  // so that local memory is set up, too
  binary.format = CodeFormat::cubin;
  binary.entry = cubin.entry;
  binary.code = mock::make_cubin(cubin);
  TRY_ASSIGN(const std::unique_ptr<Kernel> kernel, device.load(binary));
  TRY_ASSIGN(const Buffer in, device.allocate(128, MemoryKind::shared));
  TRY_ASSIGN(const Buffer out, device.allocate(128, MemoryKind::shared));
  for (int i = 0; i < 32; ++i) reinterpret_cast<int32_t*>(in.host_pointer())[i] = i;
  const BufferRange ranges[] = {{&in, 0, 128}, {&out, 0, 128}};
  TRY(device.queue().launch(*kernel, ranges));
  TRY_ASSIGN(const uint64_t value, device.queue().submit());
  TRY_ASSIGN(const bool done, device.queue().fence().wait(value, 1'000'000'000));
  CHECK(done);
  return reinterpret_cast<const int32_t*>(out.host_pointer())[31];
}

TEST(WireChips, EachRunsAKernelOnTheMock) {
  setenv("LEAT_NVIDIA_CHECK", "1", 1);
  for (const Chip& chip : kChips) {
    mock::Nvidia nvidia(chip.options);
    Result<std::unique_ptr<Device>> device = open_nvidia_device_on(nvidia.os(), 0, "mock");
    ASSERT_OK(device);
    EXPECT_EQ(nvidia_architecture((*device)->target().llvm_cpu), chip.sm_version);
    const Result<int32_t> seen = run_move(**device, chip);
    ASSERT_OK(seen);
    EXPECT_EQ(*seen, 38) << chip.name;
    EXPECT_TRUE(nvidia.engines().broken_rules().empty())
        << chip.name << ": " << nvidia.engines().broken_rules()[0];
  }
}

TEST(WireChips, EachKnownBranchOpens) {
  for (const char* version : {"570.86.10", "575.51.02", "580.65.06", "590.44.01", "595.45.04"}) {
    mock::Nvidia nvidia({.version = version});
    Result<std::unique_ptr<Device>> device = open_nvidia_device_on(nvidia.os(), 0, "mock");
    ASSERT_OK(device);
    const Result<int32_t> seen = run_move(**device, kChips[0]);
    ASSERT_OK(seen);
    EXPECT_EQ(*seen, 38) << version;
  }
}

TEST(WireChips, CodeOfAnotherChipIsRefused) {
  mock::Nvidia nvidia;
  Result<std::unique_ptr<Device>> device = open_nvidia_device_on(nvidia.os(), 0, "mock");
  ASSERT_OK(device);
  for (const uint32_t sm_version : {75u, 89u, 100u, 120u}) {
    Chip chip = kChips[0];
    chip.sm_version = sm_version;
    const Result<int32_t> refused = run_move(**device, chip);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_argument);
  }
}

}  // namespace
}  // namespace leat
