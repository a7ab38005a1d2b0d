// A compute pipeline. With pointers its layout is 8 bytes of push constants, the address of the
// argument block; with bindings it is one descriptor set of storage buffers.
#pragma once

#include "leat/backend/vulkan/vulkan_pipeline_cache.h"

namespace leat {

class VulkanKernel final : public Kernel {
 public:
  /// Errors: invalid_argument (the binary is damaged or past a limit), io (the driver refuses it).
  static Result<std::unique_ptr<Kernel>> load(VulkanContext& context, VulkanPipelineCache& cache,
                                              const KernelBinary& binary);
  VulkanKernel(VulkanContext& context, const KernelBinary& binary);  // for load()
  ~VulkanKernel() override;
  VulkanKernel(const VulkanKernel&) = delete;
  VulkanKernel& operator=(const VulkanKernel&) = delete;

  VkPipeline pipeline() const { return pipeline_; }
  VkPipelineLayout layout() const { return layout_; }
  VkDescriptorSetLayout set_layout() const { return set_layout_; }

 private:
  Result<void> create_layout();
  Result<void> create_pipeline(VulkanPipelineCache& cache, const KernelBinary& binary);

  VulkanContext& context_;
  VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipeline pipeline_ = VK_NULL_HANDLE;
};

}  // namespace leat
