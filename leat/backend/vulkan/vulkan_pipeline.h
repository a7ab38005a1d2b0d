// The handles that a compute shader needs, made in one step: a layout of storage buffers, and a
// pipeline of SPIR-V words.
#pragma once

#include <span>

#include "leat/backend/vulkan/vulkan_context.h"

namespace leat {

/// `count` storage buffers at bindings 0, 1, ... Errors: those of the driver.
Result<VkDescriptorSetLayout> create_set_layout(VulkanContext& context, uint32_t count);
/// `cache` may be null. Errors: those of the driver.
Result<VkPipeline> create_compute_pipeline(VulkanContext& context, std::span<const uint32_t> words,
                                           const char* entry, VkPipelineLayout layout,
                                           VkPipelineCache cache);

}  // namespace leat
