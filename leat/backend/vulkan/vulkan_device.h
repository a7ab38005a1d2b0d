// The vulkan route: lists what the Vulkan drivers offer and opens one of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/device/device.h"

namespace leat {

/// A physical device; `refusal` says why it cannot be used and is empty when it can.
struct VulkanInfo {
  DeviceInfo info;       // without a name
  std::string uuid_hex;  // of the chip, the same through OpenGL
  std::string refusal;
};

/// In the drivers' order. When there is no Vulkan at all: one entry without a chip that says why.
std::vector<VulkanInfo> find_vulkan_devices();

/// Opens entry `index` of find_vulkan_devices() under `name`.
/// Errors: unsupported (the refusal), io, out_of_memory.
Result<std::unique_ptr<Device>> open_vulkan_device(size_t index, std::string name);

}  // namespace leat
