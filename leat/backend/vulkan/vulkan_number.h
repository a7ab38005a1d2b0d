// The fence's number, written by the device: one word in mapped memory, raised by a one-lane kernel
// at the end of every command buffer. A submit thus raises it once for each of its command buffers.
// The host polls it with a load; reading the timeline semaphore is a call into the driver.
// Facts: leat/route/raise_number.h; Vulkan 1.3 specification, "Host Write Ordering
// Guarantees" and "Memory Dependencies": the barrier before the kernel makes the work's writes
// visible to the host before the number's store.
#pragma once

#include "leat/backend/vulkan/vulkan_memory.h"

namespace leat {

class VulkanNumber {
 public:
  explicit VulkanNumber(VulkanContext& context) : context_(context) {}
  /// Hands what it holds to the context.
  ~VulkanNumber();
  VulkanNumber(const VulkanNumber&) = delete;
  VulkanNumber& operator=(const VulkanNumber&) = delete;

  /// Makes memory and kernel, sets the number to 0 on the device and gives it to the fence.
  /// Errors: out_of_memory, io, device_lost.
  Result<void> open();
  /// Ends `commands`: all that was recorded is done before the number rises and visible to what is
  /// submitted later; to the host too, if the commands have written what it sees.
  void record_raise(VkCommandBuffer commands, bool writes_seen) const;

 private:
  Result<void> create_layout();
  Result<void> create_set();
  Result<void> set_to_zero();

  VulkanContext& context_;
  VulkanAllocation counter_;  // the device's own
  VulkanAllocation number_;   // mapped
  VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipeline pipeline_ = VK_NULL_HANDLE;
  VkDescriptorPool pool_ = VK_NULL_HANDLE;
  VkDescriptorSet set_ = VK_NULL_HANDLE;
};

}  // namespace leat
