// See vulkan_pipeline.h.
#include "leat/backend/vulkan/vulkan_pipeline.h"

#include <vector>

namespace leat {

Result<VkDescriptorSetLayout> create_set_layout(VulkanContext& context, uint32_t count) {
  std::vector<VkDescriptorSetLayoutBinding> bindings(count);
  for (uint32_t i = 0; i < count; ++i) {
    bindings[i] = {.binding = i,
                   .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                   .descriptorCount = 1,
                   .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
  }
  const VkDescriptorSetLayoutCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
      .bindingCount = count,
      .pBindings = bindings.data()};
  VkDescriptorSetLayout layout = VK_NULL_HANDLE;
  const VkResult result =
      context.calls.vkCreateDescriptorSetLayout(context.device, &info, nullptr, &layout);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateDescriptorSetLayout");
  return layout;
}

Result<VkPipeline> create_compute_pipeline(VulkanContext& context, std::span<const uint32_t> words,
                                           const char* entry, VkPipelineLayout layout,
                                           VkPipelineCache cache) {
  const VkShaderModuleCreateInfo module_info = {
      .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
      .codeSize = words.size_bytes(),
      .pCode = words.data()};
  const VulkanCalls& calls = context.calls;
  VkShaderModule module = VK_NULL_HANDLE;
  VkResult result = calls.vkCreateShaderModule(context.device, &module_info, nullptr, &module);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateShaderModule");
  const VkComputePipelineCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = entry},
      .layout = layout};
  VkPipeline pipeline = VK_NULL_HANDLE;
  result = calls.vkCreateComputePipelines(context.device, cache, 1, &info, nullptr, &pipeline);
  calls.vkDestroyShaderModule(context.device, module, nullptr);
  if (result == VK_SUCCESS && pipeline != VK_NULL_HANDLE) return pipeline;
  return vulkan_error(result, "vkCreateComputePipelines");
}

}  // namespace leat
