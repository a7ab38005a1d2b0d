// VK_KHR_cooperative_matrix, and of VK_KHR_shader_bfloat16 what it adds to that: structures and
// numbers that the headers of 1.3.239 lack, which products a device offers, and the features that
// they want.
// Source: Vulkan specification 1.4, the chapters of both extensions, and its registry (vk.xml).
#pragma once

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan_core.h>

#include <cstdint>
#include <span>

namespace leat {

inline constexpr const char* kMatrixExtension = "VK_KHR_cooperative_matrix";
inline constexpr const char* kBFloat16Extension = "VK_KHR_shader_bfloat16";

/// VkPhysicalDeviceCooperativeMatrixFeaturesKHR.
struct MatrixFeaturesKhr {
  VkStructureType sType = static_cast<VkStructureType>(1000506000);
  void* pNext = nullptr;
  VkBool32 cooperativeMatrix = VK_FALSE;
  VkBool32 cooperativeMatrixRobustBufferAccess = VK_FALSE;
};

/// VkCooperativeMatrixPropertiesKHR: one product that a device offers.
struct MatrixProductKhr {
  VkStructureType sType = static_cast<VkStructureType>(1000506001);
  void* pNext = nullptr;
  uint32_t MSize = 0;
  uint32_t NSize = 0;
  uint32_t KSize = 0;
  int32_t AType = 0;  // VkComponentTypeKHR, as the others
  int32_t BType = 0;
  int32_t CType = 0;
  int32_t ResultType = 0;
  VkBool32 saturatingAccumulation = VK_FALSE;
  int32_t scope = 0;  // VkScopeKHR
};

/// VkPhysicalDeviceCooperativeMatrixPropertiesKHR.
struct MatrixStagesKhr {
  VkStructureType sType = static_cast<VkStructureType>(1000506002);
  void* pNext = nullptr;
  VkShaderStageFlags cooperativeMatrixSupportedStages = 0;
};

/// VkPhysicalDeviceShaderBfloat16FeaturesKHR.
struct BFloat16FeaturesKhr {
  VkStructureType sType = static_cast<VkStructureType>(1000141000);
  void* pNext = nullptr;
  VkBool32 shaderBFloat16Type = VK_FALSE;
  VkBool32 shaderBFloat16DotProduct = VK_FALSE;
  VkBool32 shaderBFloat16CooperativeMatrix = VK_FALSE;
};

inline constexpr int32_t kComponentF16 = 0;
inline constexpr int32_t kComponentF32 = 1;
inline constexpr int32_t kComponentBF16 = 1000141000;
inline constexpr int32_t kScopeSubgroup = 3;

using PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR =
    VkResult(VKAPI_PTR*)(VkPhysicalDevice device, uint32_t* count, MatrixProductKhr* products);

/// What kernels with products of matrix units want of a device, besides addresses of buffers.
struct MatrixFeatures {
  MatrixFeaturesKhr matrix;
  BFloat16FeaturesKhr bfloat16;
  VkPhysicalDeviceShaderFloat16Int8Features f16 = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
  VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};

  /// The structures in front of `next`, that of bf16 only if the device knows it; the first.
  void* chained_before(void* next, bool with_bfloat16);
  /// All that is used, switched on.
  static MatrixFeatures wanted();
  bool allow_products() const;
  bool allow_bfloat16() const;
};

/// Target::shader_products, of what a device offers.
uint32_t shader_products_of(std::span<const MatrixProductKhr> offered, bool with_bfloat16);

}  // namespace leat
