// Opens libvulkan.so.1, looks the entry points up and makes an instance.
// The library is never unloaded (RTLD_NODELETE): drivers built on LLVM leave exit handlers behind.
#include "leat/backend/vulkan/vulkan_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdio>

#include "leat/base/drivers.h"
#include "leat/base/env.h"

namespace leat {

namespace {

constexpr const char* kLibraryName = "libvulkan.so.1";
constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

std::string_view name_of(VkResult result) {
  switch (static_cast<int>(result)) {  // an int: drivers return values newer than our header
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_INITIALIZATION_FAILED: return "VK_ERROR_INITIALIZATION_FAILED";
    case VK_ERROR_DEVICE_LOST: return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_MEMORY_MAP_FAILED: return "VK_ERROR_MEMORY_MAP_FAILED";
    case VK_ERROR_LAYER_NOT_PRESENT: return "VK_ERROR_LAYER_NOT_PRESENT";
    case VK_ERROR_EXTENSION_NOT_PRESENT: return "VK_ERROR_EXTENSION_NOT_PRESENT";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "VK_ERROR_FEATURE_NOT_PRESENT";
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_ERROR_TOO_MANY_OBJECTS: return "VK_ERROR_TOO_MANY_OBJECTS";
    case VK_ERROR_INVALID_SHADER_NV: return "VK_ERROR_INVALID_SHADER_NV";
    case VK_ERROR_OUT_OF_POOL_MEMORY: return "VK_ERROR_OUT_OF_POOL_MEMORY";
    case VK_ERROR_UNKNOWN: return "VK_ERROR_UNKNOWN";
    case VK_NOT_READY: return "VK_NOT_READY";
    case VK_TIMEOUT: return "VK_TIMEOUT";
    case VK_INCOMPLETE: return "VK_INCOMPLETE";
    default: return "VkResult";
  }
}

ErrorKind kind_of(VkResult result) {
  switch (static_cast<int>(result)) {
    case VK_ERROR_DEVICE_LOST: return ErrorKind::device_lost;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_TOO_MANY_OBJECTS: return ErrorKind::out_of_memory;
    case VK_ERROR_FEATURE_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
    case VK_ERROR_INCOMPATIBLE_DRIVER: return ErrorKind::unsupported;
    default: return ErrorKind::io;
  }
}

VKAPI_ATTR VkBool32 VKAPI_CALL print_message(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                             VkDebugUtilsMessageTypeFlagsEXT,
                                             const VkDebugUtilsMessengerCallbackDataEXT* data,
                                             void*) {
  std::fprintf(stderr, "leat: Vulkan validation: %s\n", data->pMessage);
  return VK_FALSE;
}

constexpr VkDebugUtilsMessengerCreateInfoEXT kMessengerInfo = {
    .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
    .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
    .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                   VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
    .pfnUserCallback = print_message,
};

}  // namespace

Error vulkan_error(VkResult result, std::string_view call) {
  return Error(kind_of(result), fmt::format("Vulkan call {} returns {} ({}).", call,
                                            name_of(result), static_cast<int>(result)));
}

Result<void> load_device_calls(VulkanCalls& calls, VkDevice device) {
  const char* missing = nullptr;
#define LEAT_VULKAN_DEVICE(name)                                                       \
  calls.name = reinterpret_cast<PFN_##name>(calls.vkGetDeviceProcAddr(device, #name)); \
  if (calls.name == nullptr) missing = #name;
#define LEAT_VULKAN_DEVICE_OR(name, old)                                                \
  calls.name = reinterpret_cast<PFN_##name>(calls.vkGetDeviceProcAddr(device, #name));  \
  if (calls.name == nullptr) {                                                          \
    calls.name = reinterpret_cast<PFN_##name>(calls.vkGetDeviceProcAddr(device, #old)); \
  }
#include "leat/backend/vulkan/vulkan_calls.def"
  if (missing == nullptr) return {};
  return Error(ErrorKind::unsupported,
               fmt::format("The Vulkan driver lacks the call ({}).", missing));
}

Result<std::unique_ptr<VulkanInstance>> VulkanInstance::create() {
  auto instance = std::make_unique<VulkanInstance>();
  TRY(instance->open_library());
  TRY(instance->create_instance());
  return instance;
}

Result<void> VulkanInstance::open_library() {
  library_ = open_driver(kLibraryName);
  if (library_ == nullptr) {
    return Error(ErrorKind::unsupported,
                 fmt::format("The Vulkan loader ({}) does not open: {}.", kLibraryName, dlerror()));
  }
  calls_.vkGetInstanceProcAddr =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library_, "vkGetInstanceProcAddr"));
  if (calls_.vkGetInstanceProcAddr == nullptr) {
    return Error(ErrorKind::unsupported,
                 fmt::format("The library ({}) has no vkGetInstanceProcAddr.", kLibraryName));
  }
#define LEAT_VULKAN_GLOBAL(name) \
  calls_.name = reinterpret_cast<PFN_##name>(calls_.vkGetInstanceProcAddr(nullptr, #name));
#include "leat/backend/vulkan/vulkan_calls.def"
  // Looked up by hand: a Vulkan 1.0 loader has no vkEnumerateInstanceVersion.
  if (calls_.vkGetInstanceProcAddr(nullptr, "vkEnumerateInstanceVersion") == nullptr) {
    return Error(ErrorKind::unsupported, "The Vulkan loader is older than version (1.1).");
  }
  return {};
}

bool VulkanInstance::has_layer(std::string_view name) const {
  uint32_t count = 0;
  if (calls_.vkEnumerateInstanceLayerProperties(&count, nullptr) != VK_SUCCESS) return false;
  std::vector<VkLayerProperties> layers(count);
  if (calls_.vkEnumerateInstanceLayerProperties(&count, layers.data()) < 0) return false;
  for (const VkLayerProperties& layer : layers) {
    if (layer.layerName == name) return true;
  }
  return false;
}

Result<void> VulkanInstance::create_instance() {
  const bool validation = env_flag("LEAT_VULKAN_VALIDATION") && has_layer(kValidationLayer);
  const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                         .pApplicationName = "leat",
                                         .pEngineName = "leat",
                                         .apiVersion = VK_API_VERSION_1_3};
  const VkInstanceCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
      .pApplicationInfo = &application,
      .enabledLayerCount = validation ? 1u : 0u,
      .ppEnabledLayerNames = &kValidationLayer,
      .enabledExtensionCount = validation ? 1u : 0u,
      .ppEnabledExtensionNames = &extension,
  };
  const VkResult result = calls_.vkCreateInstance(&info, nullptr, &instance_);
  if (result != VK_SUCCESS) {
    return Error(ErrorKind::unsupported, vulkan_error(result, "vkCreateInstance").message());
  }
#define LEAT_VULKAN_INSTANCE(name) \
  calls_.name = reinterpret_cast<PFN_##name>(calls_.vkGetInstanceProcAddr(instance_, #name));
#include "leat/backend/vulkan/vulkan_calls.def"
  if (validation) {
    const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
        calls_.vkGetInstanceProcAddr(instance_, "vkCreateDebugUtilsMessengerEXT"));
    if (create != nullptr) create(instance_, &kMessengerInfo, nullptr, &messenger_);
  }
  return {};
}

VulkanInstance::~VulkanInstance() {
  if (messenger_ != VK_NULL_HANDLE) {
    const auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
        calls_.vkGetInstanceProcAddr(instance_, "vkDestroyDebugUtilsMessengerEXT"));
    if (destroy != nullptr) destroy(instance_, messenger_, nullptr);
  }
  if (instance_ != VK_NULL_HANDLE) calls_.vkDestroyInstance(instance_, nullptr);
  if (library_ != nullptr) dlclose(library_);
}

Result<std::vector<VkPhysicalDevice>> VulkanInstance::physical_devices() const {
  uint32_t count = 0;
  VkResult result = calls_.vkEnumeratePhysicalDevices(instance_, &count, nullptr);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkEnumeratePhysicalDevices");
  std::vector<VkPhysicalDevice> devices(count);
  result = calls_.vkEnumeratePhysicalDevices(instance_, &count, devices.data());
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
    return vulkan_error(result, "vkEnumeratePhysicalDevices");
  }
  devices.resize(count);
  return devices;
}

}  // namespace leat
