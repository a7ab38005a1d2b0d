// The ordered queue: a few command buffers taken in turn, recorded lists, submits that signal the
// timeline, and time stamps. In the steady state launch and submit allocate nothing.
#pragma once

#include <array>
#include <bitset>

#include "leat/backend/vulkan/vulkan_commands.h"

namespace leat {

class VulkanQueue final : public Queue {
 public:
  /// `owner` is the device whose buffers the queue takes.
  VulkanQueue(VulkanContext& context, const VulkanMemory& memory, const Device& owner)
      : context_(context), frame_(context.frame), memory_(memory), owner_(owner) {}
  ~VulkanQueue() override;
  VulkanQueue(const VulkanQueue&) = delete;
  VulkanQueue& operator=(const VulkanQueue&) = delete;

  /// Makes the query pool. Errors: out_of_memory, io.
  Result<void> open();

  Result<void> launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                      uint32_t groups_x) override;
  Result<void> copy(BufferRange target, BufferRange source) override;
  Result<void> mark_time(uint32_t slot) override;
  Result<uint64_t> submit() override;
  Result<void> begin_record() override;
  Result<std::unique_ptr<RecordedList>> end_record() override;
  Result<uint64_t> replay(RecordedList& list) override;
  Fence& fence() override { return context_.fence; }
  Result<uint64_t> time_ns(uint32_t slot) override;
  Counts counts() const override { return frame_.counts(); }
  Result<void> naive_wait(NaiveWait how) override;

 private:
  /// Command buffers in flight at most; when all are, recording waits for the oldest.
  static constexpr size_t kInFlightMax = 16;

  Result<VulkanCommands*> open_commands();
  Result<uint64_t> submit_buffers(std::span<const VkCommandBuffer> buffers, bool replay);
  Result<void> close_open_commands();

  VulkanContext& context_;
  QueueFrame& frame_;
  const VulkanMemory& memory_;
  const Device& owner_;
  std::array<std::unique_ptr<VulkanCommands>, kInFlightMax> ring_;
  size_t ring_next_ = 0;
  VulkanCommands* open_ = nullptr;             // of ring_, being recorded
  std::unique_ptr<VulkanCommands> recording_;  // between begin_record and end_record
  VkQueryPool time_pool_ = VK_NULL_HANDLE;
  std::bitset<kTimeSlots> marked_;
};

}  // namespace leat
