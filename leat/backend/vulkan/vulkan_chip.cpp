// Reads a physical device's properties and features. Structures that extend a query may only be
// chained when the device knows them, hence the two steps: extensions and version, then the rest.
#include "leat/backend/vulkan/vulkan_chip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/base/cpu_count.h"
#include "leat/base/env.h"
#include "leat/base/limits_profile.h"

namespace leat {

namespace {

using Extensions = std::vector<VkExtensionProperties>;

/// Lanes that share a matrix, as of the products that kernels use.
constexpr uint32_t kMatrixLanes = 32;

Extensions extensions_of(const VulkanCalls& calls, VkPhysicalDevice device) {
  uint32_t count = 0;
  if (calls.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr) < 0) return {};
  Extensions extensions(count);
  if (calls.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, extensions.data()) < 0) {
    return {};
  }
  extensions.resize(count);
  return extensions;
}

bool has(const Extensions& extensions, std::string_view name) {
  return std::ranges::any_of(extensions, [name](const VkExtensionProperties& extension) {
    return extension.extensionName == name;
  });
}

/// Modules with matrices are of SPIR-V 1.6, see leat/emit/spirv_fragment.cpp.
bool knows_matrices(uint32_t version, const Extensions& extensions) {
  return version >= VK_API_VERSION_1_3 && has(extensions, kMatrixExtension);
}

/// A chain of structures that extend one query.
class Chain {
 public:
  explicit Chain(void* head) : last_(static_cast<VkBaseOutStructure*>(head)) {}
  void add(void* structure) {
    last_->pNext = static_cast<VkBaseOutStructure*>(structure);
    last_ = last_->pNext;
  }

 private:
  VkBaseOutStructure* last_;
};

std::string hex_of_bytes(const uint8_t* bytes, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

// Source: the PCI-SIG's list of vendor ids, and VkVendorId for those that have none.
std::string vendor_of(uint32_t vendor_id) {
  switch (vendor_id) {
    case 0x1002: return "AMD";
    case 0x1010: return "Imagination";
    case 0x106b: return "Apple";
    case 0x10de: return "NVIDIA";
    case 0x13b5: return "Arm";
    case 0x14e4: return "Broadcom";
    case 0x1ae0: return "Google";
    case 0x5143: return "Qualcomm";
    case 0x8086: return "Intel";
    case VK_VENDOR_ID_MESA: return "Mesa";
    default: return fmt::format("vendor {:#06x}", vendor_id);
  }
}

/// The properties of one device, with the extending structures that it knows.
struct Properties {
  VkPhysicalDeviceProperties2 core = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroup = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceMaintenance3Properties maintenance3 = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
  VkPhysicalDeviceDriverProperties driver = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
  VkPhysicalDeviceExternalMemoryHostPropertiesEXT host_memory = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
  VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nvidia = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV};
  VkPhysicalDeviceShaderCorePropertiesAMD amd = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD};
  VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM arm = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM};
  VkPhysicalDeviceSubgroupSizeControlProperties subgroup_sizes = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
  VkPhysicalDeviceFloatControlsProperties float_controls = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES};
  MatrixStagesKhr matrix;
};

void read_properties(const VulkanCalls& calls, VkPhysicalDevice device, uint32_t version,
                     const Extensions& extensions, Properties& properties) {
  Chain chain(&properties.core);
  chain.add(&properties.id);
  chain.add(&properties.subgroup);
  chain.add(&properties.maintenance3);
  if (version >= VK_API_VERSION_1_2 || has(extensions, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME)) {
    chain.add(&properties.driver);
  }
  if (has(extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME)) {
    chain.add(&properties.host_memory);
  }
  if (version >= VK_API_VERSION_1_2 ||
      has(extensions, VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME)) {
    chain.add(&properties.float_controls);
  }
  if (knows_matrices(version, extensions)) {
    chain.add(&properties.subgroup_sizes);
    chain.add(&properties.matrix);
  }
  if (has(extensions, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME)) chain.add(&properties.nvidia);
  if (has(extensions, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME)) chain.add(&properties.amd);
  if (has(extensions, VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME)) chain.add(&properties.arm);
  calls.vkGetPhysicalDeviceProperties2(device, &properties.core);
}

uint32_t compute_units_of(const Properties& properties) {
  if (properties.core.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU) {
    return usable_cpus();
  }
  const auto& amd = properties.amd;
  return std::max(
      {1u, properties.nvidia.shaderSMCount, properties.arm.shaderCoreCount,
       amd.shaderEngineCount * amd.shaderArraysPerEngineCount * amd.computeUnitsPerShaderArray});
}

std::string driver_of(const Properties& properties) {
  const VkPhysicalDeviceDriverProperties& driver = properties.driver;
  const uint32_t version = properties.core.properties.driverVersion;
  if (driver.driverInfo[0] != '\0')
    return fmt::format("{} {}", driver.driverName, driver.driverInfo);
  return fmt::format(
      "{} {}.{}.{}", driver.driverName[0] != '\0' ? driver.driverName : "Vulkan driver",
      VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version), VK_API_VERSION_PATCH(version));
}

void fill_info(const Properties& properties, VulkanChip& chip) {
  const VkPhysicalDeviceProperties& core = properties.core.properties;
  chip.info.chip = core.deviceName;
  chip.info.vendor = vendor_of(core.vendorID);
  chip.info.driver = driver_of(properties);
  chip.info.route = Route::vulkan;
  chip.info.software = core.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  chip.info.unified_memory =
      chip.info.software || core.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
  for (uint32_t i = 0; i < chip.memory.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = chip.memory.memoryHeaps[i];
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0) {
      chip.info.memory_bytes = std::max<uint64_t>(chip.info.memory_bytes, heap.size);
    }
  }
  chip.uuid_hex = hex_of_bytes(properties.id.deviceUUID, VK_UUID_SIZE);
}

void fill_limits(const Properties& properties, VulkanChip& chip) {
  const VkPhysicalDeviceProperties& core = properties.core.properties;
  chip.timestamp_period_ns = static_cast<double>(core.limits.timestampPeriod);
  chip.allocation_bytes_max = properties.maintenance3.maxMemoryAllocationSize;
  chip.vendor_id = core.vendorID;
  chip.device_id = core.deviceID;
  chip.driver_version = core.driverVersion;
  std::memcpy(chip.cache_uuid.data(), core.pipelineCacheUUID, VK_UUID_SIZE);

  Target& target = chip.target;
  target.name = fmt::format("spirv {}", core.deviceName);
  target.software = chip.info.software;
  target.waves_hide_latency = !target.software;
  target.local_memory_is_fast = !target.software;
  target.wave_lanes = std::max(1u, properties.subgroup.subgroupSize);
  target.lanes_per_workgroup_max =
      std::min(core.limits.maxComputeWorkGroupInvocations, core.limits.maxComputeWorkGroupSize[0]);
  target.local_memory_bytes_max = core.limits.maxComputeSharedMemorySize;
  std::copy_n(core.limits.maxComputeWorkGroupCount, 3, target.workgroups_max);
  target.vector_registers = 32;
  target.compute_units = compute_units_of(properties);
}

// Memory that is the device's own and mapped. On a card without a resizable BAR it is 256 MiB.
uint64_t window_bytes_of(const VulkanChip& chip) {
  constexpr VkMemoryPropertyFlags kWanted = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                                            VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                            VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  uint64_t size_bytes = 0;
  for (uint32_t i = 0; i < chip.memory.memoryTypeCount; ++i) {
    const VkMemoryType& type = chip.memory.memoryTypes[i];
    if ((type.propertyFlags & kWanted) != kWanted) continue;
    size_bytes = std::max<uint64_t>(size_bytes, chip.memory.memoryHeaps[type.heapIndex].size);
  }
  return size_bytes;
}

/// Whether buffers as we use them may lie in memory of that kind, with all of `wanted`.
bool allows(const VulkanCalls& calls, VkPhysicalDevice device,
            VkExternalMemoryHandleTypeFlagBits kind, VkExternalMemoryFeatureFlags wanted) {
  const VkPhysicalDeviceExternalBufferInfo info = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT,
      .handleType = kind};
  VkExternalBufferProperties found = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};
  calls.vkGetPhysicalDeviceExternalBufferProperties(device, &info, &found);
  return (found.externalMemoryProperties.externalMemoryFeatures & wanted) == wanted;
}

/// Extensions that bring memory from outside; each is used only where it is.
void fill_sharing(const VulkanCalls& calls, const Properties& properties,
                  const Extensions& extensions, VulkanChip& chip) {
  chip.window_bytes = window_bytes_of(chip);
  if (has(extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) &&
      allows(calls, chip.handle, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
             VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT)) {
    chip.extensions.push_back(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    chip.import_alignment_bytes =
        std::max<uint64_t>(1, properties.host_memory.minImportedHostPointerAlignment);
  }
  chip.dma_bufs =
      has(extensions, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME) &&
      has(extensions, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME) &&
      allows(calls, chip.handle, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
             VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT | VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT);
  if (!chip.dma_bufs) return;
  chip.extensions.push_back(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME);
  chip.extensions.push_back(VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
}

/// The features we ask about; those that we use are switched on at vulkan_device.cpp.
struct Features {
  VkPhysicalDeviceFeatures2 core = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkPhysicalDevice16BitStorageFeatures storage16 = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
  VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES};
  VkPhysicalDeviceBufferDeviceAddressFeatures address = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
  MatrixFeatures matrix;
};

void read_features(const VulkanCalls& calls, uint32_t version, const Extensions& extensions,
                   VulkanChip& chip, Features& features) {
  Chain chain(&features.core);
  chain.add(&features.storage16);
  const auto add = [&](const char* extension, void* structure) {
    if (version >= VK_API_VERSION_1_2) return chain.add(structure);
    if (!has(extensions, extension)) return;
    chip.extensions.push_back(extension);
    chain.add(structure);
  };
  add(VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME, &features.timeline);
  add(VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME, &features.address);
  if (knows_matrices(version, extensions)) {
    features.core.pNext =
        features.matrix.chained_before(features.core.pNext, has(extensions, kBFloat16Extension));
  }
  calls.vkGetPhysicalDeviceFeatures2(chip.handle, &features.core);
}

/// Matrix units, where the device says so and a wave is what shares a matrix. Others' subgroups
/// vary in size from kernel to kernel.
void fill_matrices(const VulkanCalls& calls, const Properties& properties, const Features& features,
                   VulkanChip& chip) {
  const auto& sizes = properties.subgroup_sizes;
  const bool is_wave = sizes.minSubgroupSize == kMatrixLanes &&
                       sizes.maxSubgroupSize == kMatrixLanes &&
                       properties.subgroup.subgroupSize == kMatrixLanes;
  const bool in_kernels =
      (properties.matrix.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  const auto list = calls.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR;
  if (list == nullptr || !env_flag("LEAT_VULKAN_MATRIX", true) || chip.info.software || !is_wave ||
      !in_kernels || !features.matrix.allow_products() ||
      features.storage16.storageBuffer16BitAccess != VK_TRUE) {
    return;
  }
  uint32_t count = 0;
  if (list(chip.handle, &count, nullptr) < 0) return;
  std::vector<MatrixProductKhr> offered(count);
  if (list(chip.handle, &count, offered.data()) < 0) return;
  offered.resize(count);
  chip.target.shader_products = shader_products_of(offered, features.matrix.allow_bfloat16());
}

/// Without it a driver may take "x less than y, then y, else x" for its own maximum, which passes
/// over NaN: NVIDIA's does (580.159.04).
void fill_float_controls(const Properties& properties, uint32_t version, VulkanChip& chip) {
  chip.target.shader_keeps_nan =
      properties.float_controls.shaderSignedZeroInfNanPreserveFloat32 == VK_TRUE;
  if (chip.target.shader_keeps_nan && version < VK_API_VERSION_1_2) {
    chip.extensions.push_back(VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME);
  }
}

void fill_features(const Features& features, const VkPhysicalDeviceLimits& limits,
                   VulkanChip& chip) {
  chip.target.storage_f16 = features.storage16.storageBuffer16BitAccess == VK_TRUE;
  chip.target.shader_64bit = features.core.features.shaderInt64 == VK_TRUE &&
                             features.core.features.shaderFloat64 == VK_TRUE;
  const bool pointers =
      features.address.bufferDeviceAddress == VK_TRUE && !env_flag("LEAT_VULKAN_BINDINGS");
  chip.target.format = pointers ? CodeFormat::spirv_pointers : CodeFormat::spirv_bindings;
  constexpr uint32_t kBuffersMax = 64;  // of one kernel; more than any lowering asks for
  chip.target.buffer_bindings_max =
      pointers ? kBuffersMax
               : std::min({limits.maxPerStageDescriptorStorageBuffers,
                           limits.maxDescriptorSetStorageBuffers, kBuffersMax});
  if (!pointers) chip.target.argument_bytes_max = limits.maxStorageBufferRange;
  limit_as(chip.target, env("LEAT_AS"));
  if (chip.target.format != CodeFormat::spirv_pointers) chip.target.shader_products = 0;
  if (chip.target.shader_products != 0) chip.extensions.push_back(kMatrixExtension);
  if (chip.target.has_product(ShaderProduct::bf16_16x16x16)) {
    chip.extensions.push_back(kBFloat16Extension);
  }
  if (features.timeline.timelineSemaphore != VK_TRUE) {
    chip.refusal = fmt::format("Vulkan device \"{}\" has no timeline semaphores.", chip.info.chip);
  }
}

// A family without graphics is preferred: on NVIDIA and AMD it is a queue of its own with less
// work in the way of each submit.
void choose_queue_family(const VulkanCalls& calls, VulkanChip& chip) {
  uint32_t count = 0;
  calls.vkGetPhysicalDeviceQueueFamilyProperties(chip.handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  calls.vkGetPhysicalDeviceQueueFamilyProperties(chip.handle, &count, families.data());
  bool found = false;
  for (uint32_t i = 0; i < count; ++i) {
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0) continue;
    const bool compute_only = (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0;
    if (found && !compute_only) continue;
    chip.queue_family = i;
    chip.timestamp_bits = families[i].timestampValidBits;
    found = true;
    if (compute_only) return;
  }
  if (!found) {
    chip.refusal = fmt::format("Vulkan device \"{}\" has no compute queue.", chip.info.chip);
  }
}

}  // namespace

VulkanChip inspect_chip(const VulkanCalls& calls, VkPhysicalDevice device) {
  VulkanChip chip;
  chip.handle = device;
  calls.vkGetPhysicalDeviceMemoryProperties(device, &chip.memory);
  VkPhysicalDeviceProperties core = {};
  calls.vkGetPhysicalDeviceProperties(device, &core);
  if (core.apiVersion < VK_API_VERSION_1_1) {
    chip.info.chip = core.deviceName;
    chip.info.route = Route::vulkan;
    chip.refusal =
        fmt::format("Vulkan device \"{}\" has version ({}.{}), below (1.1).", core.deviceName,
                    VK_API_VERSION_MAJOR(core.apiVersion), VK_API_VERSION_MINOR(core.apiVersion));
    return chip;
  }
  const Extensions extensions = extensions_of(calls, device);
  Properties properties;
  read_properties(calls, device, core.apiVersion, extensions, properties);
  fill_info(properties, chip);
  fill_limits(properties, chip);
  fill_sharing(calls, properties, extensions, chip);
  fill_float_controls(properties, core.apiVersion, chip);
  Features features;
  read_features(calls, core.apiVersion, extensions, chip, features);
  fill_matrices(calls, properties, features, chip);
  fill_features(features, core.limits, chip);
  choose_queue_family(calls, chip);
  return chip;
}

}  // namespace leat
