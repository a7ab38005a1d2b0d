// Checks a KernelBinary against the chip and makes the pipeline.
#include "leat/backend/vulkan/vulkan_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/backend/vulkan/spirv_check.h"

namespace leat {

namespace {

Result<void> check_limit(const KernelBinary& binary, const VulkanChip& chip, const char* what,
                         uint64_t value, uint64_t limit) {
  if (value <= limit) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("{} ({}) of Kernel \"{}\" is larger than the limit ({}) of Vulkan "
                           "device \"{}\".",
                           what, value, binary.name, limit, chip.info.chip));
}

Result<void> check_limits(const KernelBinary& binary, const VulkanChip& chip) {
  const Target& target = chip.target;
  if (binary.format != target.format) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Code format ({}) of Kernel \"{}\" is not that of Vulkan device \"{}\" "
                    "({}).",
                    static_cast<int>(binary.format), binary.name, chip.info.chip,
                    static_cast<int>(target.format)));
  }
  TRY(check_limit(binary, chip, "Workgroup size",
                  uint64_t{binary.wave_lanes} * binary.waves_per_workgroup,
                  target.lanes_per_workgroup_max));
  TRY(check_limit(binary, chip, "Local memory", binary.local_memory_bytes,
                  target.local_memory_bytes_max));
  TRY(check_limit(binary, chip, "Number of buffers", binary.arguments.size(),
                  target.buffer_bindings_max));
  for (size_t axis = 0; axis < 3; ++axis) {
    TRY(check_limit(binary, chip, "Grid size", binary.grid[axis], target.workgroups_max[axis]));
  }
  return {};
}

}  // namespace

VulkanKernel::VulkanKernel(VulkanContext& context, const KernelBinary& binary)
    : Kernel(binary), context_(context) {
  std::copy_n(binary.grid, 3, grid_);
}

VulkanKernel::~VulkanKernel() {
  context_.retire({.pipeline = pipeline_, .pipeline_layout = layout_, .set_layout = set_layout_});
}

Result<std::unique_ptr<Kernel>> VulkanKernel::load(VulkanContext& context,
                                                   VulkanPipelineCache& cache,
                                                   const KernelBinary& binary) {
  TRY(check_limits(binary, context.chip));
  TRY(check_spirv(binary));
  auto kernel = std::make_unique<VulkanKernel>(context, binary);
  if (!context.chip.pointers()) TRY(kernel->create_set_layout());
  TRY(kernel->create_layout());
  TRY(kernel->create_pipeline(cache, binary));
  return std::unique_ptr<Kernel>(std::move(kernel));
}

Result<void> VulkanKernel::create_set_layout() {
  std::vector<VkDescriptorSetLayoutBinding> bindings(arguments().size());
  for (uint32_t i = 0; i < bindings.size(); ++i) {
    bindings[i] = {.binding = i,
                   .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                   .descriptorCount = 1,
                   .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
  }
  const VkDescriptorSetLayoutCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
      .bindingCount = static_cast<uint32_t>(bindings.size()),
      .pBindings = bindings.data()};
  const VkResult result =
      context_.calls.vkCreateDescriptorSetLayout(context_.device, &info, nullptr, &set_layout_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateDescriptorSetLayout");
  return {};
}

Result<void> VulkanKernel::create_layout() {
  const bool pointers = context_.chip.pointers();
  const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                     .size = sizeof(VkDeviceAddress)};
  const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                           .setLayoutCount = pointers ? 0u : 1u,
                                           .pSetLayouts = &set_layout_,
                                           .pushConstantRangeCount = pointers ? 1u : 0u,
                                           .pPushConstantRanges = &range};
  const VkResult result =
      context_.calls.vkCreatePipelineLayout(context_.device, &info, nullptr, &layout_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreatePipelineLayout");
  return {};
}

Result<void> VulkanKernel::create_pipeline(VulkanPipelineCache& cache, const KernelBinary& binary) {
  std::vector<uint32_t> words(binary.code.size() / sizeof(uint32_t));
  std::memcpy(words.data(), binary.code.data(), binary.code.size());
  const VkShaderModuleCreateInfo module_info = {
      .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
      .codeSize = binary.code.size(),
      .pCode = words.data()};
  const VulkanCalls& calls = context_.calls;
  VkShaderModule module = VK_NULL_HANDLE;
  VkResult result = calls.vkCreateShaderModule(context_.device, &module_info, nullptr, &module);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateShaderModule");
  const VkComputePipelineCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = binary.entry.c_str()},
      .layout = layout_};
  result = calls.vkCreateComputePipelines(context_.device, cache.handle(), 1, &info, nullptr,
                                          &pipeline_);
  calls.vkDestroyShaderModule(context_.device, module, nullptr);
  if (result != VK_SUCCESS || pipeline_ == VK_NULL_HANDLE) {
    return vulkan_error(result, "vkCreateComputePipelines")
        .during(fmt::format("loading kernel {}", name()));
  }
  cache.mark_changed();
  return {};
}

}  // namespace leat
