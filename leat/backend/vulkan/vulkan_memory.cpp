// Chooses the memory type and makes the buffer.
// Facts: Vulkan 1.3 specification, "Device Memory", and its order of memory types: among types that
// fit, the first is the one the driver recommends.
#include "leat/backend/vulkan/vulkan_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace leat {

namespace {

constexpr VkMemoryPropertyFlags kDevice = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kHost =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

// In the order of VulkanPlace.
constexpr const char* kPlaceNames[] = {"device", "shared", "argument", "window"};

/// Wishes, best first; the last is what must be.
std::array<VkMemoryPropertyFlags, 3> wishes_for(const VulkanChip& chip, VulkanPlace place) {
  switch (place) {
    case VulkanPlace::device:
      if (chip.info.unified_memory) return {kDevice | kHost | kCached, kDevice | kHost, kDevice};
      return {kDevice, kDevice, kDevice};
    case VulkanPlace::shared: return {kHost | kCached, kHost, kHost};
    case VulkanPlace::arguments: return {kDevice | kHost, kHost, kHost};
    case VulkanPlace::window: return {kDevice | kHost, kDevice | kHost, kDevice | kHost};
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
               fmt::format("Vulkan device \"{}\" has no memory type for {} memory.", chip.info.chip,
                           kPlaceNames[static_cast<size_t>(place)]));
}

// Reading write-combined memory over PCIe runs at tens of MB/s, so a discrete card's own memory is
// shown to the host only when the host caches it (as chips with a coherent link do).
bool host_may_map(const VulkanChip& chip, VkMemoryPropertyFlags flags, VulkanPlace place) {
  if ((flags & kHost) != kHost) return false;
  return place != VulkanPlace::device || chip.info.unified_memory || (flags & kCached) != 0;
}

/// The kind of handle behind the sharing; 0 for none.
VkExternalMemoryHandleTypeFlags handle_type_of(const VulkanSharing& sharing) {
  if (sharing.host != nullptr) return VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  const bool is_dma_buf = sharing.dma_buf >= 0 || sharing.is_exportable;
  return is_dma_buf ? VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT : 0;
}

Result<void> create_buffer(VulkanContext& context, const VulkanSharing& sharing,
                           VulkanAllocation& allocation) {
  VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                             VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (context.chip.pointers()) usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  const VkExternalMemoryBufferCreateInfo external = {
      .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
      .handleTypes = handle_type_of(sharing)};
  const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                   .pNext = external.handleTypes != 0 ? &external : nullptr,
                                   .size = allocation.size_bytes,
                                   .usage = usage,
                                   .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
  const VkResult result =
      context.calls.vkCreateBuffer(context.device, &info, nullptr, &allocation.buffer);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateBuffer");
  return {};
}

/// The memory types that the shared memory may be used as.
Result<uint32_t> allowed_types(VulkanContext& context, const VulkanSharing& sharing) {
  const VulkanCalls& calls = context.calls;
  if (sharing.host != nullptr && calls.vkGetMemoryHostPointerPropertiesEXT != nullptr) {
    VkMemoryHostPointerPropertiesEXT found = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    const VkResult result = calls.vkGetMemoryHostPointerPropertiesEXT(
        context.device, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, sharing.host,
        &found);
    if (result != VK_SUCCESS) return vulkan_error(result, "vkGetMemoryHostPointerPropertiesEXT");
    return found.memoryTypeBits;
  }
  if (sharing.dma_buf >= 0 && calls.vkGetMemoryFdPropertiesKHR != nullptr) {
    VkMemoryFdPropertiesKHR found = {.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR};
    const VkResult result = calls.vkGetMemoryFdPropertiesKHR(
        context.device, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, sharing.dma_buf, &found);
    if (result != VK_SUCCESS) return vulkan_error(result, "vkGetMemoryFdPropertiesKHR");
    return found.memoryTypeBits;
  }
  return ~uint32_t{0};
}

Result<void> take_memory(VulkanContext& context, uint64_t size_bytes, uint32_t type,
                         const VulkanSharing& sharing, VulkanAllocation& allocation) {
  const VkMemoryAllocateFlagsInfo flags_info = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
      .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
  const void* chain = context.chip.pointers() ? &flags_info : nullptr;
  const VkImportMemoryHostPointerInfoEXT from_host = {
      .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
      .pNext = chain,
      .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
      .pHostPointer = sharing.host};
  const int duplicate = sharing.dma_buf >= 0 ? dup(sharing.dma_buf) : -1;
  if (sharing.dma_buf >= 0 && duplicate < 0) {
    return Error(ErrorKind::io, fmt::format("dup of dma-buf ({}) fails: {}.", sharing.dma_buf,
                                            std::strerror(errno)));
  }
  const VkImportMemoryFdInfoKHR from_fd = {
      .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
      .pNext = chain,
      .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
      .fd = duplicate};
  const VkExportMemoryAllocateInfo to_fd = {
      .sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
      .pNext = chain,
      .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT};
  if (sharing.host != nullptr) chain = &from_host;
  if (duplicate >= 0) chain = &from_fd;
  if (sharing.is_exportable) chain = &to_fd;
  const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = chain,
                                     .allocationSize = size_bytes,
                                     .memoryTypeIndex = type};
  const VkResult result =
      context.calls.vkAllocateMemory(context.device, &info, nullptr, &allocation.memory);
  if (result == VK_SUCCESS) return {};  // the descriptor is the driver's now
  if (duplicate >= 0) close(duplicate);
  return vulkan_error(result, "vkAllocateMemory");
}

Result<void> map_memory(VulkanContext& context, uint32_t type, VulkanPlace place,
                        const VulkanSharing& sharing, VulkanAllocation& allocation) {
  allocation.host = static_cast<std::byte*>(sharing.host);
  if (sharing.host != nullptr) return {};
  if (!host_may_map(context.chip, context.chip.memory.memoryTypes[type].propertyFlags, place)) {
    return {};
  }
  void* host = nullptr;
  const VkResult result =
      context.calls.vkMapMemory(context.device, allocation.memory, 0, VK_WHOLE_SIZE, 0, &host);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkMapMemory");
  allocation.host = static_cast<std::byte*>(host);
  return {};
}

Result<void> create_memory(VulkanContext& context, VulkanPlace place, const VulkanSharing& sharing,
                           VulkanAllocation& allocation) {
  const VulkanCalls& calls = context.calls;
  VkMemoryRequirements needs = {};
  calls.vkGetBufferMemoryRequirements(context.device, allocation.buffer, &needs);
  TRY_ASSIGN(const uint32_t allowed, allowed_types(context, sharing));
  TRY_ASSIGN(const uint32_t type, choose_type(context.chip, needs.memoryTypeBits & allowed, place));
  const uint64_t size_bytes = sharing.host != nullptr ? allocation.size_bytes : needs.size;
  TRY(take_memory(context, size_bytes, type, sharing, allocation));
  const VkResult result =
      calls.vkBindBufferMemory(context.device, allocation.buffer, allocation.memory, 0);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkBindBufferMemory");
  TRY(map_memory(context, type, place, sharing, allocation));
  if (context.chip.pointers()) {
    const VkBufferDeviceAddressInfo address_info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = allocation.buffer};
    allocation.address = calls.vkGetBufferDeviceAddress(context.device, &address_info);
  }
  return {};
}

}  // namespace

Result<VulkanAllocation> allocate_vulkan(VulkanContext& context, uint64_t size_bytes,
                                         VulkanPlace place, const VulkanSharing& sharing) {
  if (size_bytes > context.chip.allocation_bytes_max) {
    return Error(
        ErrorKind::out_of_memory,
        fmt::format("Allocation of ({}) bytes is larger than the limit ({}) of Vulkan "
                    "device \"{}\".",
                    size_bytes, context.chip.allocation_bytes_max, context.chip.info.chip));
  }
  VulkanAllocation allocation;
  allocation.size_bytes = size_bytes;
  Result<void> made = create_buffer(context, sharing, allocation);
  if (made) made = create_memory(context, place, sharing, allocation);
  allocation.is_foreign = sharing.host != nullptr || sharing.is_exportable || sharing.dma_buf >= 0;
  allocation.is_seen = allocation.host != nullptr || allocation.is_foreign;
  if (made) return allocation;
  retire_vulkan(context, allocation);
  return made.error().during(fmt::format("allocating {} bytes", size_bytes));
}

Result<int> export_vulkan(VulkanContext& context, const VulkanAllocation& allocation) {
  const VkMemoryGetFdInfoKHR info = {.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
                                     .memory = allocation.memory,
                                     .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT};
  int fd = -1;
  const VkResult result = context.calls.vkGetMemoryFdKHR(context.device, &info, &fd);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkGetMemoryFdKHR");
  return fd;
}

void retire_vulkan(VulkanContext& context, const VulkanAllocation& allocation) {
  context.retire({.buffer = allocation.buffer, .memory = allocation.memory});
}

VulkanMemory::~VulkanMemory() {
  allocations_.take_all(
      [&](const VulkanAllocation& allocation) { retire_vulkan(context_, allocation); });
}

Result<uint64_t> VulkanMemory::allocate(uint64_t size_bytes, VulkanPlace place,
                                        const VulkanSharing& sharing) {
  TRY_ASSIGN(const VulkanAllocation allocation,
             allocate_vulkan(context_, size_bytes, place, sharing));
  return allocations_.add(allocation);
}

}  // namespace leat
