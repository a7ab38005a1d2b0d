// Recording. A barrier stands before every command that meets an earlier one in memory, so that
// they seem to run in order, as the seam promises; the one that ends a command buffer
// (vulkan_number.cpp) orders it and the next.
// Facts: Vulkan 1.3 specification, "Synchronization and Cache Control".
#include "leat/backend/vulkan/vulkan_commands.h"

#include <cstring>

#include "leat/backend/vulkan/vulkan_number.h"
#include "leat/base/numbers.h"

namespace leat {

namespace {

constexpr uint64_t kArenaBytes = 64 * 1024;
constexpr uint64_t kBlockAlignment = 16;
constexpr uint32_t kPoolSets = 256;
constexpr uint32_t kPoolDescriptors = 2048;

}  // namespace

VulkanCommands::VulkanCommands(VulkanContext& context, const VulkanMemory& memory)
    : context_(context), memory_(memory) {}

VulkanCommands::~VulkanCommands() {
  for (const VulkanAllocation& arena : arenas_) retire_vulkan(context_, arena);
  for (VkDescriptorPool pool : pools_) context_.retire({.descriptor_pool = pool});
  context_.retire({.commands = commands_});
}

Result<std::unique_ptr<VulkanCommands>> VulkanCommands::create(VulkanContext& context,
                                                               const VulkanMemory& memory) {
  auto commands = std::make_unique<VulkanCommands>(context, memory);
  const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = context.command_pool,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
  const VkResult result =
      context.calls.vkAllocateCommandBuffers(context.device, &info, &commands->commands_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkAllocateCommandBuffers");
  return commands;
}

Result<void> VulkanCommands::begin(VkCommandBufferUsageFlags usage) {
  for (VkDescriptorPool pool : pools_) {
    context_.calls.vkResetDescriptorPool(context_.device, pool, 0);
  }
  chunk_ = 0;
  chunk_used_ = 0;
  chunk_sets_ = 0;
  bound_ = VK_NULL_HANDLE;
  hazards_.clear();
  writes_seen_ = false;
  const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                         .flags = usage};
  const VkResult result = context_.calls.vkBeginCommandBuffer(commands_, &info);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkBeginCommandBuffer");
  return {};
}

Result<void> VulkanCommands::end() {
  context_.number->record_raise(commands_, writes_seen_);
  const VkResult result = context_.calls.vkEndCommandBuffer(commands_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkEndCommandBuffer");
  return {};
}

void VulkanCommands::add_access(const BufferRange& range, bool written) {
  const uint64_t handle = range.buffer->handle();
  const VulkanAllocation& memory = memory_.at(handle);
  writes_seen_ |= written && memory.is_seen;
  // All memory from outside counts as one buffer, which no handle is.
  accesses_.push_back(memory.is_foreign
                          ? MemoryAccess{0, UINT64_MAX, written, UINT64_MAX}
                          : MemoryAccess{range.offset_bytes, range.size_bytes, written, handle});
}

/// Before the command that touches accesses_.
void VulkanCommands::wait_where_needed() {
  if (!hazards_.add(accesses_)) return;
  const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                   .srcAccessMask = kVulkanWrites,
                                   .dstAccessMask = kVulkanReads | kVulkanWrites};
  context_.calls.vkCmdPipelineBarrier(commands_, kVulkanWorkStages, kVulkanWorkStages, 0, 1,
                                      &barrier, 0, nullptr, 0, nullptr);
}

Result<void> VulkanCommands::launch(const VulkanKernel& kernel,
                                    std::span<const BufferRange> arguments, const Grid& grid) {
  TRY(context_.chip.pointers() ? bind_pointers(kernel, arguments) : bind_sets(kernel, arguments));
  if (bound_ != kernel.pipeline()) {
    bound_ = kernel.pipeline();
    context_.calls.vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, bound_);
  }
  accesses_.clear();
  for (size_t i = 0; i < arguments.size(); ++i) {
    add_access(arguments[i], kernel.arguments()[i].written);
  }
  wait_where_needed();
  context_.calls.vkCmdDispatch(commands_, grid[0], grid[1], grid[2]);
  return {};
}

void VulkanCommands::copy(const BufferRange& target, const BufferRange& source) {
  hazards_.close();  // a copy tells that what stands before it is done
  accesses_.clear();
  add_access(target, true);
  add_access(source, false);
  wait_where_needed();
  const VkBufferCopy region = {.srcOffset = source.offset_bytes,
                               .dstOffset = target.offset_bytes,
                               .size = source.size_bytes};
  context_.calls.vkCmdCopyBuffer(commands_, memory_.at(source.buffer->handle()).buffer,
                                 memory_.at(target.buffer->handle()).buffer, 1, &region);
}

void VulkanCommands::mark_time(VkQueryPool pool, uint32_t slot) {
  hazards_.close();  // what follows is not to run within the time that is marked
  context_.calls.vkCmdResetQueryPool(commands_, pool, slot, 1);
  context_.calls.vkCmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool, slot);
}

Result<void> VulkanCommands::bind_pointers(const VulkanKernel& kernel,
                                           std::span<const BufferRange> arguments) {
  VkDeviceAddress block = 0;
  TRY_ASSIGN(std::byte * host, take_block(arguments.size() * sizeof(VkDeviceAddress), block));
  for (const BufferRange& range : arguments) {
    const VkDeviceAddress address = memory_.at(range.buffer->handle()).address + range.offset_bytes;
    std::memcpy(host, &address, sizeof address);
    host += sizeof address;
  }
  context_.calls.vkCmdPushConstants(commands_, kernel.layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                    sizeof block, &block);
  return {};
}

Result<std::byte*> VulkanCommands::take_block(uint64_t size_bytes, VkDeviceAddress& address) {
  size_bytes = round_up(size_bytes, kBlockAlignment);
  if (chunk_ < arenas_.size() && chunk_used_ + size_bytes > kArenaBytes) {
    ++chunk_;
    chunk_used_ = 0;
  }
  if (chunk_ == arenas_.size()) {
    TRY_ASSIGN(const VulkanAllocation arena,
               allocate_vulkan(context_, kArenaBytes, VulkanPlace::arguments));
    arenas_.push_back(arena);
  }
  const VulkanAllocation& arena = arenas_[chunk_];
  address = arena.address + chunk_used_;
  std::byte* host = arena.host + chunk_used_;
  chunk_used_ += size_bytes;
  return host;
}

Result<void> VulkanCommands::bind_sets(const VulkanKernel& kernel,
                                       std::span<const BufferRange> arguments) {
  TRY_ASSIGN(VkDescriptorSet set, take_set(kernel));
  infos_.resize(arguments.size());
  writes_.resize(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const BufferRange& range = arguments[i];
    infos_[i] = {.buffer = memory_.at(range.buffer->handle()).buffer,
                 .offset = range.offset_bytes,
                 .range = range.size_bytes};
    writes_[i] = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                  .dstSet = set,
                  .dstBinding = static_cast<uint32_t>(i),
                  .descriptorCount = 1,
                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                  .pBufferInfo = &infos_[i]};
  }
  context_.frame.count_descriptor_updates(1);
  context_.calls.vkUpdateDescriptorSets(context_.device, static_cast<uint32_t>(writes_.size()),
                                        writes_.data(), 0, nullptr);
  context_.calls.vkCmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.layout(),
                                         0, 1, &set, 0, nullptr);
  return {};
}

Result<VkDescriptorSet> VulkanCommands::take_set(const VulkanKernel& kernel) {
  const uint64_t count = kernel.arguments().size();
  const bool full = chunk_sets_ == kPoolSets || chunk_used_ + count > kPoolDescriptors;
  if (chunk_ < pools_.size() && full) {
    ++chunk_;
    chunk_used_ = 0;
    chunk_sets_ = 0;
  }
  if (chunk_ == pools_.size()) TRY(add_pool());
  VkDescriptorSetLayout layout = kernel.set_layout();
  const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                            .descriptorPool = pools_[chunk_],
                                            .descriptorSetCount = 1,
                                            .pSetLayouts = &layout};
  VkDescriptorSet set = VK_NULL_HANDLE;
  const VkResult result = context_.calls.vkAllocateDescriptorSets(context_.device, &info, &set);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkAllocateDescriptorSets");
  chunk_used_ += count;
  ++chunk_sets_;
  return set;
}

Result<void> VulkanCommands::add_pool() {
  const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                     .descriptorCount = kPoolDescriptors};
  const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                           .maxSets = kPoolSets,
                                           .poolSizeCount = 1,
                                           .pPoolSizes = &size};
  VkDescriptorPool pool = VK_NULL_HANDLE;
  const VkResult result =
      context_.calls.vkCreateDescriptorPool(context_.device, &info, nullptr, &pool);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateDescriptorPool");
  pools_.push_back(pool);
  return {};
}

}  // namespace leat
