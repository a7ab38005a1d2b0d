// What the files of this folder share of one open device: its calls and handles, the timeline that
// is its Fence, and the list of things to destroy once the work that uses them is done.
// Vulkan forbids destroying what a pending command uses, hence that list; nothing here waits but
// VulkanFence::wait.
#pragma once

#include <atomic>
#include <vector>

#include "leat/backend/vulkan/vulkan_chip.h"

namespace leat {

/// A timeline semaphore: the Fence of the device's queue. Any thread may poll and wait.
class VulkanFence final : public Fence {
 public:
  uint64_t poll() override;
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override;

 private:
  friend struct VulkanContext;
  friend class VulkanQueue;
  Result<uint64_t> read();

  const VulkanCalls* calls_ = nullptr;
  VkDevice device_ = VK_NULL_HANDLE;
  VkSemaphore semaphore_ = VK_NULL_HANDLE;
  uint64_t spin_ns_ = 0;
  std::atomic<uint64_t> submitted_ = 0;  // the value that the last submit will signal
  std::atomic<uint64_t> reached_ = 0;
};

/// Handles that die together; those that are null are skipped.
struct VulkanRemains {
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkPipeline pipeline = VK_NULL_HANDLE;
  VkPipelineLayout pipeline_layout = VK_NULL_HANDLE;
  VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
  VkDescriptorPool descriptor_pool = VK_NULL_HANDLE;
  VkQueryPool query_pool = VK_NULL_HANDLE;
  VkCommandBuffer commands = VK_NULL_HANDLE;
};

/// Not copied, not moved: everything else borrows it.
struct VulkanContext {
  VulkanContext() = default;
  VulkanContext(const VulkanContext&) = delete;
  VulkanContext& operator=(const VulkanContext&) = delete;
  ~VulkanContext();

  /// Makes the VkDevice with the features that the emitter uses, its queue, command pool, fence.
  /// Errors: unsupported, io, out_of_memory.
  Result<void> open(std::unique_ptr<VulkanInstance> from, VulkanChip found);

  /// Destroys `remains` now, or once everything recorded so far is done. Never waits.
  void retire(const VulkanRemains& remains);
  /// Destroys what has become free since.
  void drain_retired();

  std::unique_ptr<VulkanInstance> instance;
  VulkanCalls calls;
  VulkanChip chip;
  VkDevice device = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;
  VkCommandPool command_pool = VK_NULL_HANDLE;
  VulkanFence fence;
  bool has_open_commands = false;  // recorded, not yet submitted

 private:
  struct Retired {
    uint64_t fence_value = 0;
    VulkanRemains remains;
  };
  Result<void> create_device();
  Result<void> create_pool_and_fence();
  void destroy(const VulkanRemains& remains);

  std::vector<Retired> retired_;
};

}  // namespace leat
