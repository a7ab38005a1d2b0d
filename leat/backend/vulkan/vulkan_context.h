// What the files of this folder share of one open device: its calls and handles, the timeline that
// is its Fence, and the list of things to destroy once the work that uses them is done.
// Vulkan forbids destroying what a pending command uses, hence that list; nothing here waits but
// VulkanFence::wait.
#pragma once

#include <atomic>
#include <span>

#include "leat/backend/vulkan/vulkan_chip.h"
#include "leat/device/spin.h"
#include "leat/route/queue_frame.h"
#include "leat/route/retire_list.h"

namespace leat {

class VulkanNumber;

// What launches and copies are to a barrier.
inline constexpr VkPipelineStageFlags kVulkanWorkStages =
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
inline constexpr VkAccessFlags kVulkanWrites =
    VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
inline constexpr VkAccessFlags kVulkanReads =
    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;

/// The Fence of the device's queue, twice: a number in mapped memory that the work raises itself
/// (vulkan_number.h), which is polled, and a timeline semaphore of the same value, which a waiting
/// thread blocks on. The semaphore follows the number: only once it is reached does Vulkan allow to
/// destroy or record anew what was submitted. Any thread may poll and wait.
class VulkanFence final : public Fence {
 public:
  explicit VulkanFence(const QueueFrame& frame) : frame_(frame) {}
  uint64_t poll() override;
  Result<bool> wait(uint64_t value, uint64_t timeout_ns) override;
  /// As wait, for the semaphore: the driver is done with all that was submitted up to `value`.
  Result<bool> wait_finished(uint64_t value, uint64_t timeout_ns);

 private:
  friend struct VulkanContext;
  friend class VulkanNumber;
  Result<uint64_t> finished();
  Result<bool> block(uint64_t value, uint64_t timeout_ns);

  const QueueFrame& frame_;
  const VulkanCalls* calls_ = nullptr;
  VkDevice device_ = VK_NULL_HANDLE;
  VkSemaphore semaphore_ = VK_NULL_HANDLE;
  uint64_t* number_ = nullptr;  // mapped; null before and after VulkanNumber's life
  AdaptiveSpin spin_;
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

  /// Hands command buffers, each of which raises the number once, to the device; the value of the
  /// last one's end. Errors: those of the driver.
  Result<uint64_t> submit(std::span<const VkCommandBuffer> buffers);

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
  QueueFrame frame{chip.info, chip.target};
  VulkanFence fence{frame};
  const VulkanNumber* number = nullptr;

 private:
  Result<void> create_device();
  Result<void> create_pool_and_fence();
  void destroy(const VulkanRemains& remains);

  RetireList<VulkanRemains> retired_;
};

}  // namespace leat
