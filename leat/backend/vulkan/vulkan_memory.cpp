// Chooses the memory type and makes the buffer.
// Facts: Vulkan 1.3 specification, "Device Memory", and its order of memory types: among types that
// fit, the first is the one the driver recommends.
#include "leat/backend/vulkan/vulkan_memory.h"

#include <fmt/format.h>

#include <array>

namespace leat {

namespace {

constexpr VkMemoryPropertyFlags kDevice = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kHost =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

/// Wishes, best first; the last is what must be.
std::array<VkMemoryPropertyFlags, 3> wishes_for(const VulkanChip& chip, VulkanPlace place) {
  switch (place) {
    case VulkanPlace::device:
      if (chip.info.unified_memory) return {kDevice | kHost | kCached, kDevice | kHost, kDevice};
      return {kDevice, kDevice, kDevice};
    case VulkanPlace::shared: return {kHost | kCached, kHost, kHost};
    case VulkanPlace::arguments: return {kDevice | kHost, kHost, kHost};
  }
  return {};
}

Result<uint32_t> choose_type(const VulkanChip& chip, uint32_t allowed, VulkanPlace place) {
  for (const VkMemoryPropertyFlags wish : wishes_for(chip, place)) {
    for (uint32_t i = 0; i < chip.memory.memoryTypeCount; ++i) {
      const VkMemoryPropertyFlags flags = chip.memory.memoryTypes[i].propertyFlags;
      if ((allowed >> i & 1u) != 0 && (flags & wish) == wish) return i;
    }
  }
  return Error(ErrorKind::unsupported,
               fmt::format("Vulkan device \"{}\" has no memory type for ({}) memory.",
                           chip.info.chip, place == VulkanPlace::device ? "device" : "shared"));
}

// Reading write-combined memory over PCIe runs at tens of MB/s, so a discrete card's own memory is
// shown to the host only when the host caches it (as chips with a coherent link do).
bool host_may_map(const VulkanChip& chip, VkMemoryPropertyFlags flags, VulkanPlace place) {
  if ((flags & kHost) != kHost) return false;
  return place != VulkanPlace::device || chip.info.unified_memory || (flags & kCached) != 0;
}

Result<void> create_buffer(VulkanContext& context, VulkanAllocation& allocation) {
  VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                             VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (context.chip.pointers()) usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                   .size = allocation.size_bytes,
                                   .usage = usage,
                                   .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
  const VkResult result =
      context.calls.vkCreateBuffer(context.device, &info, nullptr, &allocation.buffer);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateBuffer");
  return {};
}

Result<void> create_memory(VulkanContext& context, VulkanPlace place,
                           VulkanAllocation& allocation) {
  const VulkanCalls& calls = context.calls;
  VkMemoryRequirements needs = {};
  calls.vkGetBufferMemoryRequirements(context.device, allocation.buffer, &needs);
  TRY_ASSIGN(const uint32_t type, choose_type(context.chip, needs.memoryTypeBits, place));
  const VkMemoryAllocateFlagsInfo flags_info = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
      .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
  const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = context.chip.pointers() ? &flags_info : nullptr,
                                     .allocationSize = needs.size,
                                     .memoryTypeIndex = type};
  VkResult result = calls.vkAllocateMemory(context.device, &info, nullptr, &allocation.memory);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkAllocateMemory");
  result = calls.vkBindBufferMemory(context.device, allocation.buffer, allocation.memory, 0);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkBindBufferMemory");
  if (host_may_map(context.chip, context.chip.memory.memoryTypes[type].propertyFlags, place)) {
    void* host = nullptr;
    result = calls.vkMapMemory(context.device, allocation.memory, 0, VK_WHOLE_SIZE, 0, &host);
    if (result != VK_SUCCESS) return vulkan_error(result, "vkMapMemory");
    allocation.host = static_cast<std::byte*>(host);
  }
  if (context.chip.pointers()) {
    const VkBufferDeviceAddressInfo address_info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = allocation.buffer};
    allocation.address = calls.vkGetBufferDeviceAddress(context.device, &address_info);
  }
  return {};
}

}  // namespace

Result<VulkanAllocation> allocate_vulkan(VulkanContext& context, uint64_t size_bytes,
                                         VulkanPlace place) {
  if (size_bytes > context.chip.allocation_bytes_max) {
    return Error(
        ErrorKind::out_of_memory,
        fmt::format("Allocation of ({}) bytes is larger than the limit ({}) of Vulkan "
                    "device \"{}\".",
                    size_bytes, context.chip.allocation_bytes_max, context.chip.info.chip));
  }
  VulkanAllocation allocation;
  allocation.size_bytes = size_bytes;
  Result<void> made = create_buffer(context, allocation);
  if (made) made = create_memory(context, place, allocation);
  if (made) return allocation;
  retire_vulkan(context, allocation);
  return made.error().during(fmt::format("allocating {} bytes", size_bytes));
}

void retire_vulkan(VulkanContext& context, const VulkanAllocation& allocation) {
  context.retire({.buffer = allocation.buffer, .memory = allocation.memory});
}

VulkanMemory::~VulkanMemory() {
  for (const VulkanAllocation& allocation : allocations_) retire_vulkan(context_, allocation);
}

Result<uint64_t> VulkanMemory::allocate(uint64_t size_bytes, VulkanPlace place) {
  TRY_ASSIGN(const VulkanAllocation allocation, allocate_vulkan(context_, size_bytes, place));
  if (free_handles_.empty()) {
    allocations_.push_back(allocation);
    return allocations_.size() - 1;
  }
  const uint64_t handle = free_handles_.back();
  free_handles_.pop_back();
  allocations_[handle] = allocation;
  return handle;
}

const VulkanAllocation& VulkanMemory::at(uint64_t handle) const {
  CHECK(handle < allocations_.size());
  return allocations_[handle];
}

void VulkanMemory::free(uint64_t handle) {
  CHECK(handle < allocations_.size());
  retire_vulkan(context_, allocations_[handle]);
  allocations_[handle] = {};
  free_handles_.push_back(handle);
}

}  // namespace leat
