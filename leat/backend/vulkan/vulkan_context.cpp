// Opening a VkDevice, the timeline fence, and the deferred destruction.
#include "leat/backend/vulkan/vulkan_context.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat {

namespace {

// The destructor of a device with unfinished work waits this long, then leaks the device: to
// destroy it under running commands is undefined.
constexpr uint64_t kCloseTimeoutNs = 5'000'000'000;

}  // namespace

Result<uint64_t> VulkanFence::finished() {
  uint64_t value = 0;
  const VkResult result = calls_->vkGetSemaphoreCounterValue(device_, semaphore_, &value);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkGetSemaphoreCounterValue");
  if (value > frame_.submitted()) {  // what a lost device may show
    return Error(ErrorKind::device_lost,
                 fmt::format("The fence shows ({}), which no submit has asked for.", value));
  }
  return value;
}

// A lost device shows in wait(). submitted() is read last: it is raised before the device can raise
// the number, so a number beyond it is none that a submit has asked for.
uint64_t VulkanFence::poll() {
  if (number_ == nullptr) {
    const Result<uint64_t> value = finished();
    return value ? *value : 0;
  }
  const uint64_t value = std::atomic_ref<uint64_t>(*number_).load(std::memory_order_acquire);
  return std::min(value, frame_.submitted());
}

Result<bool> VulkanFence::wait(uint64_t value, uint64_t timeout_ns) {
  if (poll() >= value) return true;
  const uint64_t start_ns = steady_now_ns();
  const uint64_t spin_ns = std::min(spin_.budget_ns(), timeout_ns);
  Result<bool> done = spin_until(start_ns, spin_ns, [&] { return poll() >= value; });
  const uint64_t spent_ns = steady_now_ns() - start_ns;
  // Without time left too: only the driver tells that the device is lost.
  if (!*done) done = block(value, timeout_ns - std::min(spent_ns, timeout_ns));
  if (done) spin_.learn(steady_now_ns() - start_ns, *done);
  return done;
}

Result<bool> VulkanFence::wait_finished(uint64_t value, uint64_t timeout_ns) {
  TRY_ASSIGN(const uint64_t reached, finished());
  if (reached >= value) return true;
  return block(value, timeout_ns);
}

Result<bool> VulkanFence::block(uint64_t value, uint64_t timeout_ns) {
  const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                    .semaphoreCount = 1,
                                    .pSemaphores = &semaphore_,
                                    .pValues = &value};
  const VkResult result = calls_->vkWaitSemaphores(device_, &info, timeout_ns);
  if (result == VK_TIMEOUT) return false;
  if (result != VK_SUCCESS) return vulkan_error(result, "vkWaitSemaphores");
  TRY_ASSIGN(const uint64_t reached, finished());
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
  void* features = chip.pointers() ? static_cast<void*>(&address) : static_cast<void*>(&storage16);
  MatrixFeatures matrix = MatrixFeatures::wanted();
  if (chip.target.shader_products != 0) {
    features =
        matrix.chained_before(features, chip.target.has_product(ShaderProduct::bf16_16x16x16));
  }
  const VkBool32 has_64bit = chip.target.shader_64bit ? VK_TRUE : VK_FALSE;
  const VkPhysicalDeviceFeatures core = {.shaderFloat64 = has_64bit, .shaderInt64 = has_64bit};
  const float priority = 1.0f;
  const VkDeviceQueueCreateInfo queue_info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
      .queueFamilyIndex = chip.queue_family,
      .queueCount = 1,
      .pQueuePriorities = &priority,
  };
  const VkDeviceCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
      .pNext = features,
      .queueCreateInfoCount = 1,
      .pQueueCreateInfos = &queue_info,
      .enabledExtensionCount = static_cast<uint32_t>(chip.extensions.size()),
      .ppEnabledExtensionNames = chip.extensions.data(),
      .pEnabledFeatures = &core,
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
  // A software device computes on the core that would spin.
  fence.spin_.set_limit_ns(chip.info.software ? 0 : kSpinNsMax);
  return {};
}

VulkanContext::~VulkanContext() {
  if (device == VK_NULL_HANDLE) return;
  if (fence.semaphore_ != VK_NULL_HANDLE) {
    const Result<bool> done = fence.wait_finished(frame.submitted(), kCloseTimeoutNs);
    const bool lost = !done && done.error().kind() == ErrorKind::device_lost;
    if (!lost && (!done || !*done)) {
      static_cast<void>(instance.release());  // it must outlive its device
      return;
    }
  }
  retired_.drain_all([&](const VulkanRemains& remains) { destroy(remains); });
  calls.vkDestroySemaphore(device, fence.semaphore_, nullptr);
  calls.vkDestroyCommandPool(device, command_pool, nullptr);
  calls.vkDestroyDevice(device, nullptr);
}

Result<uint64_t> VulkanContext::submit(std::span<const VkCommandBuffer> buffers) {
  const uint64_t before = frame.submitted();
  const uint64_t value = before + buffers.size();
  const VkTimelineSemaphoreSubmitInfo timeline = {
      .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
      .signalSemaphoreValueCount = 1,
      .pSignalSemaphoreValues = &value};
  const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                             .pNext = &timeline,
                             .commandBufferCount = static_cast<uint32_t>(buffers.size()),
                             .pCommandBuffers = buffers.data(),
                             .signalSemaphoreCount = 1,
                             .pSignalSemaphores = &fence.semaphore_};
  frame.set_submitted(value);  // before the device can signal it
  const VkResult result = calls.vkQueueSubmit(queue, 1, &info, VK_NULL_HANDLE);
  if (result == VK_SUCCESS) return value;
  frame.set_submitted(before);
  return vulkan_error(result, "vkQueueSubmit");
}

void VulkanContext::retire(const VulkanRemains& remains) {
  if (device == VK_NULL_HANDLE) return;  // opening failed before there was anything
  const uint64_t last_use = frame.last_use();
  if (last_use == 0) return destroy(remains);
  const Result<uint64_t> finished = fence.finished();
  if (finished && *finished >= last_use) return destroy(remains);
  retired_.add(last_use, remains);
}

void VulkanContext::drain_retired() {
  if (retired_.is_empty()) return;
  const Result<uint64_t> finished = fence.finished();
  if (!finished) return;
  retired_.drain(*finished, [&](const VulkanRemains& remains) { destroy(remains); });
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
