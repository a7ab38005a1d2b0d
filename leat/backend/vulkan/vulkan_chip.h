// What a physical device says of itself: the facts for people (DeviceInfo), for the compiler
// (Target) and for the other files of this folder; and why it is refused, if it is.
// Facts: Vulkan 1.3 specification, "Features" and "Limits".
#pragma once

#include <array>
#include <string>
#include <vector>

#include "leat/backend/vulkan/vulkan_loader.h"
#include "leat/base/target.h"
#include "leat/device/device.h"

namespace leat {

struct VulkanChip {
  VkPhysicalDevice handle = VK_NULL_HANDLE;
  DeviceInfo info;  // info.name is empty: it is given by the list of backends
  Target target;
  std::string uuid_hex;
  std::string refusal;  // empty: usable

  std::vector<const char*> extensions;  // to enable

  uint32_t queue_family = 0;
  uint32_t timestamp_bits = 0;
  double timestamp_period_ns = 1.0;
  VkPhysicalDeviceMemoryProperties memory = {};
  uint64_t allocation_bytes_max = 0;
  uint64_t window_bytes = 0;            // device-local memory that the host can map
  uint64_t import_alignment_bytes = 0;  // of host memory; 0: it cannot be imported
  bool dma_bufs = false;
  uint32_t vendor_id = 0;
  uint32_t device_id = 0;
  uint32_t driver_version = 0;
  std::array<uint8_t, VK_UUID_SIZE> cache_uuid =
      {};  // changes when old pipeline caches are useless

  /// Kernels reach buffers by address, not by binding.
  bool pointers() const { return target.format == CodeFormat::spirv_pointers; }
};

/// LEAT_VULKAN_BINDINGS=1 in the environment makes chips that have buffer addresses use bindings.
VulkanChip inspect_chip(const VulkanCalls& calls, VkPhysicalDevice device);

}  // namespace leat
