// One command buffer with the memory that its launches' arguments stand in: argument blocks in a
// host-visible arena (pointers) or descriptor sets (bindings), both written while recording and
// left alone by replays. The queue recycles a few of these; a recorded list is one of its own.
#pragma once

#include "leat/backend/vulkan/vulkan_kernel.h"
#include "leat/backend/vulkan/vulkan_memory.h"
#include "leat/device/memory_hazards.h"

namespace leat {

class VulkanCommands final : public RecordedList {
 public:
  /// Errors: out_of_memory, io.
  static Result<std::unique_ptr<VulkanCommands>> create(VulkanContext& context,
                                                        const VulkanMemory& memory);
  VulkanCommands(VulkanContext& context, const VulkanMemory& memory);  // for create()
  ~VulkanCommands() override;
  VulkanCommands(const VulkanCommands&) = delete;
  VulkanCommands& operator=(const VulkanCommands&) = delete;

  /// Starts anew; what was recorded before must be done.
  Result<void> begin(VkCommandBufferUsageFlags usage);
  Result<void> end();
  Result<void> launch(const VulkanKernel& kernel, std::span<const BufferRange> arguments,
                      const Grid& grid);
  void copy(const BufferRange& target, const BufferRange& source);
  void mark_time(VkQueryPool pool, uint32_t slot);

  VkCommandBuffer handle() const { return commands_; }
  /// The fence value of its last submit.
  uint64_t fence_value = 0;

 private:
  Result<void> bind_pointers(const VulkanKernel& kernel, std::span<const BufferRange> arguments);
  Result<void> bind_sets(const VulkanKernel& kernel, std::span<const BufferRange> arguments);
  Result<std::byte*> take_block(uint64_t size_bytes, VkDeviceAddress& address);
  Result<VkDescriptorSet> take_set(const VulkanKernel& kernel);
  Result<void> add_pool();
  void add_access(const BufferRange& range, bool written);
  void wait_where_needed();

  VulkanContext& context_;
  const VulkanMemory& memory_;
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
  MemoryHazards hazards_;
  std::vector<MemoryAccess> accesses_;  // scratch of one command
  bool writes_seen_ = false;            // what the host or another device sees
  VkPipeline bound_ = VK_NULL_HANDLE;

  std::vector<VulkanAllocation> arenas_;       // pointers
  std::vector<VkDescriptorPool> pools_;        // bindings
  std::vector<VkDescriptorBufferInfo> infos_;  // bindings: scratch of one launch
  std::vector<VkWriteDescriptorSet> writes_;
  size_t chunk_ = 0;         // of arenas_ or pools_, the one being filled
  uint64_t chunk_used_ = 0;  // bytes of an arena, descriptors of a pool
  uint32_t chunk_sets_ = 0;
};

}  // namespace leat
