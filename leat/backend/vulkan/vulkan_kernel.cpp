// Checks a KernelBinary against the chip and makes the pipeline.
#include "leat/backend/vulkan/vulkan_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/backend/vulkan/spirv_check.h"
#include "leat/backend/vulkan/vulkan_pipeline.h"
#include "leat/route/kernel_limits.h"

namespace leat {

VulkanKernel::VulkanKernel(VulkanContext& context, const KernelBinary& binary)
    : Kernel(binary), context_(context) {}

VulkanKernel::~VulkanKernel() {
  context_.retire({.pipeline = pipeline_, .pipeline_layout = layout_, .set_layout = set_layout_});
}

Result<std::unique_ptr<Kernel>> VulkanKernel::load(VulkanContext& context,
                                                   VulkanPipelineCache& cache,
                                                   const KernelBinary& binary) {
  TRY(check_limits(binary, context.chip.target, context.chip.info));
  TRY(check_spirv(binary));
  auto kernel = std::make_unique<VulkanKernel>(context, binary);
  if (!context.chip.pointers()) {
    const auto count = static_cast<uint32_t>(binary.arguments.size());
    TRY_ASSIGN(kernel->set_layout_, create_set_layout(context, count));
  }
  TRY(kernel->create_layout());
  TRY(kernel->create_pipeline(cache, binary));
  return std::unique_ptr<Kernel>(std::move(kernel));
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
  const Result<VkPipeline> made =
      create_compute_pipeline(context_, words, binary.entry.c_str(), layout_, cache.handle());
  if (!made) return made.error().during(fmt::format("loading kernel {}", name()));
  pipeline_ = *made;
  cache.mark_changed();
  return {};
}

}  // namespace leat
