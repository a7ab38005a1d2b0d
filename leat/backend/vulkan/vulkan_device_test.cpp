// The vulkan route alone: refusals, the pipeline cache's file, objects that die in flight. What all
// backends have in common is tested in tests/backend. Cases skip where no Vulkan device opens.
#include "leat/backend/vulkan/vulkan_device.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "leat/backend/vulkan/vulkan_commands.h"
#include "leat/backend/vulkan/vulkan_pipeline_cache.h"
#include "leat/base/files.h"

namespace leat {
namespace {

namespace fs = std::filesystem;

/// Sets an environment variable for one case.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name); old != nullptr) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() {
    if (old_) {
      setenv(name_, old_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

/// void main() of one lane that does nothing, without arguments, as spirv-as would write it.
KernelBinary idle_kernel(CodeFormat format) {
  const uint32_t words[] = {0x07230203,
                            0x00010300,
                            0,
                            5,
                            0,  //
                            2u << 16 | 17,
                            1,  // capability Shader
                            3u << 16 | 14,
                            0,
                            1,  // Logical GLSL450
                            5u << 16 | 15,
                            5,
                            1,
                            0x6e69616d,
                            0,  // GLCompute "main"
                            6u << 16 | 16,
                            1,
                            17,
                            1,
                            1,
                            1,  // LocalSize 1 1 1
                            2u << 16 | 19,
                            2,  // void
                            3u << 16 | 33,
                            3,
                            2,  // void()
                            5u << 16 | 54,
                            2,
                            1,
                            0,
                            3,  // function
                            2u << 16 | 248,
                            4,
                            1u << 16 | 253,
                            1u << 16 | 56};  // label return end
  KernelBinary binary;
  binary.name = "idle";
  binary.entry = "main";
  binary.format = format;
  binary.code.resize(sizeof words);
  std::memcpy(binary.code.data(), words, sizeof words);
  return binary;
}

std::unique_ptr<Device> open_first() {
  Result<std::unique_ptr<Device>> device = open_vulkan_device(0, "test");
  return device ? std::move(*device) : nullptr;
}

std::string bytes_of(const fs::path& path) {
  const Result<std::string> bytes = read_file(path.string(), size_t{1} << 28);
  return bytes ? *bytes : "";
}

TEST(VulkanDevice, WithoutADriverThereIsAReason) {
  const ScopedVariable no_driver("VK_ICD_FILENAMES", "/nonexistent/driver.json");
  const ScopedVariable no_driver_either("VK_DRIVER_FILES", "/nonexistent/driver.json");
  const std::vector<FoundRoute> found = find_vulkan_devices();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].info.chip.empty());
  EXPECT_FALSE(found[0].refusal.empty());
  EXPECT_FALSE(open_vulkan_device(0, "test").has_value());
}

TEST(VulkanDevice, AnIndexPastTheListIsRefused) {
  const Result<std::unique_ptr<Device>> device = open_vulkan_device(1000, "test");
  ASSERT_FALSE(device.has_value());
  EXPECT_EQ(device.error().kind(), ErrorKind::unsupported);
}

TEST(VulkanDevice, FactsArePlausible) {
  const std::unique_ptr<Device> device = open_first();
  if (device == nullptr) GTEST_SKIP() << "No Vulkan device opens.";
  const Target& target = device->target();
  EXPECT_EQ(device->info().name, "test");
  EXPECT_EQ(device->info().route, Route::vulkan);
  EXPECT_GT(device->info().memory_bytes, uint64_t{64} << 20);
  EXPECT_FALSE(target.is_cpu);
  EXPECT_GE(target.wave_lanes, 1u);
  EXPECT_LE(target.wave_lanes, 128u);
  EXPECT_GE(target.lanes_per_workgroup_max, 128u);   // Vulkan's minimum
  EXPECT_GE(target.local_memory_bytes_max, 16384u);  // Vulkan's minimum
  EXPECT_GE(target.buffer_bindings_max, 4u);         // Vulkan's minimum
  EXPECT_GE(target.compute_units, 1u);
}

TEST(VulkanDevice, BindingsCanBeAskedFor) {
  const ScopedVariable bindings("LEAT_VULKAN_BINDINGS", "1");
  const std::unique_ptr<Device> device = open_first();
  if (device == nullptr) GTEST_SKIP() << "No Vulkan device opens.";
  EXPECT_EQ(device->target().format, CodeFormat::spirv_bindings);
  const auto kernel = device->load(idle_kernel(CodeFormat::spirv_bindings));
  ASSERT_TRUE(kernel.has_value()) << kernel.error().message();
  ASSERT_TRUE(device->queue().launch(**kernel, {}).has_value());
  const Result<uint64_t> value = device->queue().submit();
  ASSERT_TRUE(value.has_value());
  EXPECT_TRUE(*device->queue().fence().wait(*value, kHangTimeoutNs));
}

TEST(VulkanDevice, LimitsOfTheChipHold) {
  const std::unique_ptr<Device> device = open_first();
  if (device == nullptr) GTEST_SKIP() << "No Vulkan device opens.";
  const KernelBinary good = idle_kernel(device->target().format);
  KernelBinary binary = good;
  binary.waves_per_workgroup = device->target().lanes_per_workgroup_max + 1;
  EXPECT_FALSE(device->load(binary).has_value());
  binary = good;
  binary.local_memory_bytes = device->target().local_memory_bytes_max + 1;
  EXPECT_FALSE(device->load(binary).has_value());
  binary = good;
  binary.arguments.resize(device->target().buffer_bindings_max + 1);
  EXPECT_FALSE(device->load(binary).has_value());
  EXPECT_TRUE(device->load(good).has_value());
}

TEST(VulkanDevice, ListsAndDevicesMayDieInFlight) {
  std::unique_ptr<Device> device = open_first();
  if (device == nullptr) GTEST_SKIP() << "No Vulkan device opens.";
  auto kernel = device->load(idle_kernel(device->target().format));
  ASSERT_TRUE(kernel.has_value()) << kernel.error().message();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(device->queue().begin_record().has_value());
    for (int repeat = 0; repeat < 100; ++repeat) {
      ASSERT_TRUE(device->queue().launch(**kernel, {}).has_value());
    }
    const auto list = device->queue().end_record();
    ASSERT_TRUE(list.has_value());
    ASSERT_TRUE(device->queue().replay(**list).has_value());
  }
  ASSERT_TRUE(device->queue().launch(**kernel, {}).has_value());  // never submitted
  kernel->reset();
  device.reset();
}

/// Opens the first device; false where there is none.
bool open_first(VulkanContext& context) {
  auto instance = VulkanInstance::create();
  if (!instance) return false;
  const auto devices = (*instance)->physical_devices();
  if (!devices || devices->empty()) return false;
  VulkanChip chip = inspect_chip((*instance)->calls(), devices->front());
  return chip.refusal.empty() && context.open(std::move(*instance), std::move(chip)).has_value();
}

uint32_t barriers = 0;

void VKAPI_CALL count_barrier(VkCommandBuffer, VkPipelineStageFlags, VkPipelineStageFlags,
                              VkDependencyFlags, uint32_t, const VkMemoryBarrier*, uint32_t,
                              const VkBufferMemoryBarrier*, uint32_t, const VkImageMemoryBarrier*) {
  ++barriers;
}

// A receipt is a copy that meets nothing before it, and tells all the same that it is done.
TEST(VulkanCommands, ACopyStartsBehindAllThatStandsBeforeIt) {
  VulkanContext context;
  if (!open_first(context)) GTEST_SKIP() << "No Vulkan device opens.";
  VulkanMemory memory(context);
  std::vector<Buffer> buffers;
  for (int i = 0; i < 4; ++i) {
    const auto handle = memory.allocate(256, VulkanPlace::shared, {});
    ASSERT_TRUE(handle.has_value());
    buffers.emplace_back(nullptr, *handle, 256, nullptr);
  }
  const auto commands = VulkanCommands::create(context, memory);
  ASSERT_TRUE(commands.has_value());
  ASSERT_TRUE((*commands)->begin(0).has_value());
  context.calls.vkCmdPipelineBarrier = count_barrier;
  barriers = 0;
  (*commands)->copy({&buffers[0], 0, 256}, {&buffers[1], 0, 256});
  EXPECT_EQ(barriers, 0u);
  (*commands)->copy({&buffers[2], 0, 256}, {&buffers[3], 0, 256});
  EXPECT_EQ(barriers, 1u);
}

// No driver here loses its device, so its answer is put in the place of the call.
TEST(VulkanFence, ALostDeviceIsToldWithoutAWaitToo) {
  VulkanContext context;
  if (!open_first(context)) GTEST_SKIP() << "No Vulkan device opens.";
  const FencePoint never[] = {{&context.fence, 1}};
  EXPECT_FALSE(context.fence.wait(1, 0).value());
  EXPECT_FALSE(wait_all(never, 0).value());
  const PFN_vkWaitSemaphores real = std::exchange(
      context.calls.vkWaitSemaphores,
      [](VkDevice, const VkSemaphoreWaitInfo*, uint64_t) { return VK_ERROR_DEVICE_LOST; });
  const Result<bool> waited = context.fence.wait(1, 0);
  ASSERT_FALSE(waited.has_value());
  EXPECT_EQ(waited.error().kind(), ErrorKind::device_lost);
  EXPECT_FALSE(wait_all(never, 0).has_value());
  context.calls.vkWaitSemaphores = real;
}

TEST(VulkanPipelineCache, AFileIsWrittenAndDamageIsMended) {
  const fs::path folder =
      fs::path(testing::TempDir()) / ("leat_vulkan_" + std::to_string(getpid()));
  const ScopedVariable cache_home("XDG_CACHE_HOME", folder.string());
  const ScopedVariable state_home("XDG_STATE_HOME", folder.string() + "/state");
  const ScopedVariable cache_on("LEAT_CACHE", "1");
  const auto run_once = [] {
    const std::unique_ptr<Device> device = open_first();
    if (device == nullptr) return false;
    return device->load(idle_kernel(device->target().format)).has_value();
  };
  if (!run_once()) GTEST_SKIP() << "No Vulkan device opens.";
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder / "leat")) files.push_back(entry.path());
  ASSERT_EQ(files.size(), 1u);
  const std::string whole = bytes_of(files[0]);
  EXPECT_GT(whole.size(), kDigestBytes);
  std::ofstream(files[0], std::ios::binary | std::ios::in).write("damage", 6);
  EXPECT_NE(bytes_of(files[0]), whole);
  EXPECT_TRUE(run_once());
  EXPECT_EQ(bytes_of(files[0]).substr(0, 6), whole.substr(0, 6));
  fs::remove_all(folder);
  const ScopedVariable cache_off("LEAT_CACHE", "0");
  EXPECT_TRUE(run_once());
  EXPECT_FALSE(fs::exists(folder / "leat"));  // Mesa keeps a cache of its own beside it
  fs::remove_all(folder);
}

}  // namespace
}  // namespace leat
