// Opening a VkDevice, the timeline fence, and the deferred destruction.
#include "leat/backend/vulkan/vulkan_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

// How long a wait looks at the number before it blocks in the driver. A wake-up from a block costs
// 30 to 60 us on Linux, so spinning longer than that gains little. A software device computes on
// the core that would spin.
constexpr uint64_t kSpinNs = 50'000;

// The destructor of a device with unfinished work waits this long, then leaks the device: to
// destroy it under running commands is undefined.
constexpr uint64_t kCloseTimeoutNs = 5'000'000'000;

uint64_t ns_since(Clock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

}  // namespace

Result<uint64_t> VulkanFence::read() {
  uint64_t value = 0;
  const VkResult result = calls_->vkGetSemaphoreCounterValue(device_, semaphore_, &value);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkGetSemaphoreCounterValue");
  if (value > submitted_.load(std::memory_order_acquire)) {  // what a lost device may show
    return Error(ErrorKind::device_lost,
                 fmt::format("The fence shows ({}), which no submit has asked for.", value));
  }
  uint64_t seen = reached_.load(std::memory_order_relaxed);
  while (seen < value && !reached_.compare_exchange_weak(seen, value)) {
  }
  return value;
}

uint64_t VulkanFence::poll() {
  static_cast<void>(read());  // a lost device shows in wait()
  return reached_.load(std::memory_order_acquire);
}

Result<bool> VulkanFence::wait(uint64_t value, uint64_t timeout_ns) {
  if (reached_.load(std::memory_order_acquire) >= value) return true;
  const Clock::time_point start = Clock::now();
  const uint64_t spin_ns = std::min(spin_ns_, timeout_ns);
  do {
    TRY_ASSIGN(const uint64_t reached, read());
    if (reached >= value) return true;
  } while (ns_since(start) < spin_ns);
  const uint64_t spent_ns = ns_since(start);
  if (spent_ns >= timeout_ns) return false;
  const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                    .semaphoreCount = 1,
                                    .pSemaphores = &semaphore_,
                                    .pValues = &value};
  const VkResult result = calls_->vkWaitSemaphores(device_, &info, timeout_ns - spent_ns);
  if (result == VK_TIMEOUT) return false;
  if (result != VK_SUCCESS) return vulkan_error(result, "vkWaitSemaphores");
  TRY_ASSIGN(const uint64_t reached, read());
  return reached >= value;
}

Result<void> VulkanContext::open(std::unique_ptr<VulkanInstance> from, VulkanChip found) {
  instance = std::move(from);
  chip = std::move(found);
  calls = instance->calls();
  TRY(create_device());
  return create_pool_and_fence();
}

Result<void> VulkanContext::create_device() {
  VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
      .timelineSemaphore = VK_TRUE};
  VkPhysicalDevice16BitStorageFeatures storage16 = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
      .pNext = &timeline,
      .storageBuffer16BitAccess = chip.target.storage_f16 ? VK_TRUE : VK_FALSE};
  VkPhysicalDeviceBufferDeviceAddressFeatures address = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
      .pNext = &storage16,
      .bufferDeviceAddress = VK_TRUE};
  const float priority = 1.0f;
  const VkDeviceQueueCreateInfo queue_info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
      .queueFamilyIndex = chip.queue_family,
      .queueCount = 1,
      .pQueuePriorities = &priority,
  };
  const VkDeviceCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
      .pNext = chip.pointers() ? static_cast<void*>(&address) : static_cast<void*>(&storage16),
      .queueCreateInfoCount = 1,
      .pQueueCreateInfos = &queue_info,
      .enabledExtensionCount = static_cast<uint32_t>(chip.extensions.size()),
      .ppEnabledExtensionNames = chip.extensions.data(),
  };
  const VkResult result = calls.vkCreateDevice(chip.handle, &info, nullptr, &device);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateDevice");
  TRY(load_device_calls(calls, device));
  if (calls.vkWaitSemaphores == nullptr || calls.vkGetSemaphoreCounterValue == nullptr ||
      (chip.pointers() && calls.vkGetBufferDeviceAddress == nullptr)) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Vulkan device \"{}\" lacks the calls of a feature that it claims.",
                             chip.info.chip));
  }
  calls.vkGetDeviceQueue(device, chip.queue_family, 0, &queue);
  return {};
}

Result<void> VulkanContext::create_pool_and_fence() {
  const VkCommandPoolCreateInfo pool_info = {
      .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
      .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
      .queueFamilyIndex = chip.queue_family,
  };
  VkResult result = calls.vkCreateCommandPool(device, &pool_info, nullptr, &command_pool);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateCommandPool");
  const VkSemaphoreTypeCreateInfo type_info = {
      .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
  };
  const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                      .pNext = &type_info};
  result = calls.vkCreateSemaphore(device, &info, nullptr, &fence.semaphore_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateSemaphore");
  fence.calls_ = &calls;
  fence.device_ = device;
  fence.spin_ns_ = chip.info.software ? 0 : kSpinNs;
  return {};
}

VulkanContext::~VulkanContext() {
  if (device == VK_NULL_HANDLE) return;
  if (fence.semaphore_ != VK_NULL_HANDLE) {
    const Result<bool> done = fence.wait(fence.submitted_.load(), kCloseTimeoutNs);
    const bool lost = !done && done.error().kind() == ErrorKind::device_lost;
    if (!lost && (!done || !*done)) {
      static_cast<void>(instance.release());  // it must outlive its device
      return;
    }
  }
  for (const Retired& retired : retired_) destroy(retired.remains);
  calls.vkDestroySemaphore(device, fence.semaphore_, nullptr);
  calls.vkDestroyCommandPool(device, command_pool, nullptr);
  calls.vkDestroyDevice(device, nullptr);
}

void VulkanContext::retire(const VulkanRemains& remains) {
  const uint64_t value = fence.submitted_.load() + (has_open_commands ? 1 : 0);
  if (fence.reached_.load() >= value || fence.poll() >= value) return destroy(remains);
  retired_.push_back({value, remains});
}

void VulkanContext::drain_retired() {
  if (retired_.empty()) return;
  const uint64_t reached = fence.poll();
  std::erase_if(retired_, [&](const Retired& retired) {
    if (retired.fence_value > reached) return false;
    destroy(retired.remains);
    return true;
  });
}

void VulkanContext::destroy(const VulkanRemains& remains) {
  if (remains.commands != VK_NULL_HANDLE) {
    calls.vkFreeCommandBuffers(device, command_pool, 1, &remains.commands);
  }
  calls.vkDestroyDescriptorPool(device, remains.descriptor_pool, nullptr);
  calls.vkDestroyQueryPool(device, remains.query_pool, nullptr);
  calls.vkDestroyPipeline(device, remains.pipeline, nullptr);
  calls.vkDestroyPipelineLayout(device, remains.pipeline_layout, nullptr);
  calls.vkDestroyDescriptorSetLayout(device, remains.set_layout, nullptr);
  calls.vkDestroyBuffer(device, remains.buffer, nullptr);
  calls.vkFreeMemory(device, remains.memory, nullptr);  // unmaps
}

}  // namespace leat
