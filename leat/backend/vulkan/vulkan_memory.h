// Memory of a Vulkan device: one VkBuffer with one VkDeviceMemory for each allocation, because the
// callers allocate few, large arenas. Host-visible memory is coherent and mapped for its whole
// life.
#pragma once

#include "leat/backend/vulkan/vulkan_context.h"
#include "leat/route/handle_table.h"

namespace leat {

struct VulkanAllocation {
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkDeviceAddress address = 0;  // 0 with bindings
  std::byte* host = nullptr;
  uint64_t size_bytes = 0;
  bool is_seen = false;     // by the host or by another device
  bool is_foreign = false;  // imported or exported, so that another buffer may be the same memory
};

enum class VulkanPlace : uint8_t {
  device,     // MemoryKind::device
  shared,     // MemoryKind::shared: the host reads and writes it
  arguments,  // the host writes it, each launch reads it: near the device if the host reaches it
  window,     // the device's own, mapped for the host to write
};

/// Where an allocation's bytes come from or go to, if not from the driver alone.
struct VulkanSharing {
  void* host = nullptr;        // memory of the caller, used in place
  int dma_buf = -1;            // of the caller, used in place; the driver gets a duplicate
  bool is_exportable = false;  // export_vulkan may be called
};

/// Errors: out_of_memory, io.
Result<VulkanAllocation> allocate_vulkan(VulkanContext& context, uint64_t size_bytes,
                                         VulkanPlace place, const VulkanSharing& sharing = {});
/// A new file descriptor of an exportable allocation. Errors: io, unsupported.
Result<int> export_vulkan(VulkanContext& context, const VulkanAllocation& allocation);
void retire_vulkan(VulkanContext& context, const VulkanAllocation& allocation);

/// The table behind Buffer::handle().
class VulkanMemory {
 public:
  explicit VulkanMemory(VulkanContext& context) : context_(context) {}
  ~VulkanMemory();

  /// Errors: as allocate_vulkan.
  Result<uint64_t> allocate(uint64_t size_bytes, VulkanPlace place,
                            const VulkanSharing& sharing = {});
  const VulkanAllocation& at(uint64_t handle) const { return allocations_.at(handle); }
  void free(uint64_t handle) { retire_vulkan(context_, allocations_.take(handle)); }

 private:
  VulkanContext& context_;
  HandleTable<VulkanAllocation> allocations_;
};

}  // namespace leat
