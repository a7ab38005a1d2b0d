// See vulkan_number.h.
#include "leat/backend/vulkan/vulkan_number.h"

#include "leat/backend/vulkan/vulkan_pipeline.h"
#include "leat/route/raise_number.h"

namespace leat {

namespace {

constexpr uint32_t kBindings = 2;      // counter, number
constexpr uint64_t kNumberBytes = 64;  // a cache line, of which 8 bytes are used
constexpr uint64_t kOpenTimeoutNs = 30'000'000'000;

}  // namespace

VulkanNumber::~VulkanNumber() {
  context_.number = nullptr;
  context_.fence.number_ = nullptr;
  context_.retire({.pipeline = pipeline_,
                   .pipeline_layout = layout_,
                   .set_layout = set_layout_,
                   .descriptor_pool = pool_});
  retire_vulkan(context_, counter_);
  retire_vulkan(context_, number_);
}

Result<void> VulkanNumber::open() {
  TRY_ASSIGN(counter_, allocate_vulkan(context_, kNumberBytes, VulkanPlace::device));
  TRY_ASSIGN(number_, allocate_vulkan(context_, kNumberBytes, VulkanPlace::shared));
  TRY(create_layout());
  TRY_ASSIGN(pipeline_,
             create_compute_pipeline(context_, kRaiseNumberSpirv, "main", layout_, VK_NULL_HANDLE));
  TRY(create_set());
  return set_to_zero();
}

Result<void> VulkanNumber::create_layout() {
  TRY_ASSIGN(set_layout_, create_set_layout(context_, kBindings));
  const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                           .setLayoutCount = 1,
                                           .pSetLayouts = &set_layout_};
  const VkResult result =
      context_.calls.vkCreatePipelineLayout(context_.device, &info, nullptr, &layout_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreatePipelineLayout");
  return {};
}

Result<void> VulkanNumber::create_set() {
  const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                     .descriptorCount = kBindings};
  const VkDescriptorPoolCreateInfo pool_info = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
      .maxSets = 1,
      .poolSizeCount = 1,
      .pPoolSizes = &size};
  const VulkanCalls& calls = context_.calls;
  VkResult result = calls.vkCreateDescriptorPool(context_.device, &pool_info, nullptr, &pool_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateDescriptorPool");
  const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                            .descriptorPool = pool_,
                                            .descriptorSetCount = 1,
                                            .pSetLayouts = &set_layout_};
  result = calls.vkAllocateDescriptorSets(context_.device, &info, &set_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkAllocateDescriptorSets");
  const VkDescriptorBufferInfo buffers[kBindings] = {
      {.buffer = counter_.buffer, .range = kNumberBytes},
      {.buffer = number_.buffer, .range = kNumberBytes}};
  const VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                      .dstSet = set_,
                                      .descriptorCount = kBindings,
                                      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                      .pBufferInfo = buffers};
  calls.vkUpdateDescriptorSets(context_.device, 1, &write, 0, nullptr);
  return {};
}

// The counter starts with whatever lay there. One submit of its own, waited for by the semaphore.
Result<void> VulkanNumber::set_to_zero() {
  const VulkanCalls& calls = context_.calls;
  const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = context_.command_pool,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
  VkCommandBuffer commands = VK_NULL_HANDLE;
  VkResult result = calls.vkAllocateCommandBuffers(context_.device, &info, &commands);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkAllocateCommandBuffers");
  context_.frame.set_open(true);  // retire() keeps them until the submit below is done
  const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  result = calls.vkBeginCommandBuffer(commands, &begin);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkBeginCommandBuffer");
  calls.vkCmdFillBuffer(commands, counter_.buffer, 0, kNumberBytes, 0);
  calls.vkCmdFillBuffer(commands, number_.buffer, 0, kNumberBytes, 0);
  record_raise(commands, true);
  result = calls.vkEndCommandBuffer(commands);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkEndCommandBuffer");
  TRY_ASSIGN(const uint64_t value, context_.submit({&commands, 1}));
  TRY_ASSIGN(const bool done, context_.fence.wait_finished(value, kOpenTimeoutNs));
  context_.frame.set_open(false);
  context_.retire({.commands = commands});
  context_.fence.number_ = reinterpret_cast<uint64_t*>(number_.host);
  context_.number = this;
  if (done && context_.fence.poll() == value) return {};
  return Error(ErrorKind::device_lost, "The Vulkan device does not raise its fence's number.");
}

// The barrier at the end is also the one before the first command of the next submit: there it
// would stand between the host's submit and the work.
void VulkanNumber::record_raise(VkCommandBuffer commands, bool writes_seen) const {
  const VulkanCalls& calls = context_.calls;
  VkPipelineStageFlags readers = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
  VkMemoryBarrier before = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = kVulkanWrites,
      .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
  if (writes_seen) {
    readers |= VK_PIPELINE_STAGE_HOST_BIT;
    before.dstAccessMask |= VK_ACCESS_HOST_READ_BIT;
  }
  calls.vkCmdPipelineBarrier(commands, kVulkanWorkStages, readers, 0, 1, &before, 0, nullptr, 0,
                             nullptr);
  calls.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_);
  calls.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout_, 0, 1, &set_, 0,
                                nullptr);
  calls.vkCmdDispatch(commands, 1, 1, 1);
  const VkMemoryBarrier after = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = kVulkanWrites,
      .dstAccessMask = kVulkanReads | kVulkanWrites | VK_ACCESS_HOST_READ_BIT};
  calls.vkCmdPipelineBarrier(commands, kVulkanWorkStages,
                             kVulkanWorkStages | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0,
                             nullptr, 0, nullptr);
}

}  // namespace leat
