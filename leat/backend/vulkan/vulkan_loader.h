// The Vulkan loader (libvulkan.so.1), opened at run time, and an instance made through it. Nothing
// of ours links to it, so a machine without Vulkan runs the same program and is told why.
// Facts: Vulkan 1.3 specification, "Initialization"; headers 1.3.239.
#pragma once

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan_core.h>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/backend/vulkan/vulkan_matrix.h"
#include "leat/base/result.h"

namespace leat {

/// Every entry point we call. Filled in three steps: loader, instance, device.
struct VulkanCalls {
  PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr = nullptr;
#define LEAT_VULKAN_GLOBAL(name) PFN_##name name = nullptr;
#define LEAT_VULKAN_INSTANCE(name) PFN_##name name = nullptr;
#define LEAT_VULKAN_DEVICE(name) PFN_##name name = nullptr;
#define LEAT_VULKAN_DEVICE_OR(name, old) PFN_##name name = nullptr;
#include "leat/backend/vulkan/vulkan_calls.def"
};

/// The error of a Vulkan call that did not return VK_SUCCESS.
Error vulkan_error(VkResult result, std::string_view call);

/// Fills the device's rows of `calls`. Errors: unsupported, when one that every device has is
/// absent.
Result<void> load_device_calls(VulkanCalls& calls, VkDevice device);

/// A VkInstance and the library it came from.
class VulkanInstance {
 public:
  /// LEAT_VULKAN_VALIDATION=1 in the environment turns VK_LAYER_KHRONOS_validation on where it is
  /// installed; its messages go to stderr. Errors: unsupported (no loader, no driver, too old).
  static Result<std::unique_ptr<VulkanInstance>> create();
  VulkanInstance() = default;  // for create()
  ~VulkanInstance();
  VulkanInstance(const VulkanInstance&) = delete;
  VulkanInstance& operator=(const VulkanInstance&) = delete;

  const VulkanCalls& calls() const { return calls_; }
  VkInstance handle() const { return instance_; }
  /// In the driver's order.
  Result<std::vector<VkPhysicalDevice>> physical_devices() const;

 private:
  Result<void> open_library();
  Result<void> create_instance();
  bool has_layer(std::string_view name) const;

  void* library_ = nullptr;
  VkInstance instance_ = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  VulkanCalls calls_;
};

}  // namespace leat
