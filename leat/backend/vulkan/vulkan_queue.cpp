// Recording goes to the list being recorded, if there is one, else to the ring's open command
// buffer. A replay hands what is open and the list to the device in one call.
#include "leat/backend/vulkan/vulkan_queue.h"

#include <fmt/format.h>

#include <cmath>

#include "leat/route/launch_checks.h"
#include "leat/route/time_slots.h"

namespace leat {

VulkanQueue::~VulkanQueue() { context_.retire({.query_pool = time_pool_}); }

Result<void> VulkanQueue::open() {
  if (context_.chip.timestamp_bits == 0) return {};
  const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                      .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                      .queryCount = kTimeSlots};
  const VkResult result =
      context_.calls.vkCreateQueryPool(context_.device, &info, nullptr, &time_pool_);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkCreateQueryPool");
  return {};
}

Result<VulkanCommands*> VulkanQueue::open_commands() {
  if (recording_ != nullptr) return recording_.get();
  if (open_ != nullptr) return open_;
  std::unique_ptr<VulkanCommands>& next = ring_[ring_next_];
  if (next == nullptr) {
    TRY_ASSIGN(next, VulkanCommands::create(context_, memory_));
  }
  TRY(frame_.wait_for_room([&](uint64_t timeout_ns) {
    return context_.fence.wait_finished(next->fence_value, timeout_ns);
  }));
  TRY(next->begin(0));
  ring_next_ = (ring_next_ + 1) % kInFlightMax;
  open_ = next.get();
  frame_.set_open(true);
  return open_;
}

Result<void> VulkanQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                                 uint32_t groups_x) {
  TRY(check_launch(kernel, arguments, groups_x, &owner_, context_.chip.target.argument_bytes_max));
  TRY_ASSIGN(VulkanCommands * commands, open_commands());
  return commands->launch(static_cast<const VulkanKernel&>(kernel), arguments,
                          kernel.grid_with(groups_x));
}

Result<void> VulkanQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_copy(target, source, &owner_));
  if (source.size_bytes == 0) return {};
  TRY_ASSIGN(VulkanCommands * commands, open_commands());
  commands->copy(target, source);
  return {};
}

Result<void> VulkanQueue::mark_time(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  if (time_pool_ == VK_NULL_HANDLE) {
    return Error(ErrorKind::unsupported, fmt::format("Vulkan device \"{}\" takes no time stamps.",
                                                     context_.chip.info.chip));
  }
  TRY_ASSIGN(VulkanCommands * commands, open_commands());
  commands->mark_time(time_pool_, slot);
  marked_.set(slot);
  return {};
}

Result<void> VulkanQueue::close_open_commands() {
  if (open_ == nullptr) return {};
  const Result<void> ended = open_->end();
  if (ended) return {};
  open_ = nullptr;
  frame_.set_open(false);
  return ended.error();
}

Result<uint64_t> VulkanQueue::submit() {
  CHECK(!frame_.is_recording());
  context_.drain_retired();
  if (open_ == nullptr) return frame_.submitted();
  TRY(close_open_commands());
  const VkCommandBuffer buffers[] = {open_->handle()};
  return submit_buffers(buffers, false);
}

Result<uint64_t> VulkanQueue::replay(RecordedList& list) {
  auto& commands = static_cast<VulkanCommands&>(list);
  TRY(frame_.check_replay(commands.fence_value, context_.fence.poll()));
  context_.drain_retired();
  TRY(close_open_commands());
  const VkCommandBuffer buffers[] = {open_ != nullptr ? open_->handle() : commands.handle(),
                                     commands.handle()};
  TRY_ASSIGN(commands.fence_value,
             submit_buffers(std::span(buffers).first(open_ != nullptr ? 2 : 1), true));
  return commands.fence_value;
}

Result<uint64_t> VulkanQueue::submit_buffers(std::span<const VkCommandBuffer> buffers,
                                             bool replay) {
  const Result<uint64_t> value = context_.submit(buffers);
  if (open_ != nullptr && value) open_->fence_value = *value;
  open_ = nullptr;
  frame_.set_open(false);
  if (value) frame_.count_submit(replay);
  return value;
}

// The entry point is looked up here alone, so that no other code can reach it.
Result<void> VulkanQueue::naive_wait(NaiveWait how) {
  if (how == NaiveWait::fence) {
    TRY(context_.fence.wait_finished(frame_.submitted(), kHangTimeoutNs));
    return {};
  }
  const auto wait_idle = reinterpret_cast<PFN_vkQueueWaitIdle>(
      context_.calls.vkGetDeviceProcAddr(context_.device, "vkQueueWaitIdle"));
  const VkResult result = wait_idle(context_.queue);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkQueueWaitIdle");
  return {};
}

Result<void> VulkanQueue::begin_record() {
  TRY_ASSIGN(std::unique_ptr<VulkanCommands> list, VulkanCommands::create(context_, memory_));
  // The number may be seen, and the list replayed, a little before the driver calls it finished.
  TRY(list->begin(VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT));
  frame_.begin_record();
  recording_ = std::move(list);
  return {};
}

Result<std::unique_ptr<RecordedList>> VulkanQueue::end_record() {
  frame_.end_record();
  std::unique_ptr<VulkanCommands> list = std::move(recording_);
  TRY(list->end());
  return std::unique_ptr<RecordedList>(std::move(list));
}

Result<uint64_t> VulkanQueue::time_ns(uint32_t slot) {
  CHECK(slot < kTimeSlots);
  uint64_t ticks = 0;
  const VkResult result =
      marked_.test(slot)
          ? context_.calls.vkGetQueryPoolResults(context_.device, time_pool_, slot, 1, sizeof ticks,
                                                 &ticks, sizeof ticks, VK_QUERY_RESULT_64_BIT)
          : VK_NOT_READY;
  if (result == VK_NOT_READY) return marked_time(slot, 0);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkGetQueryPoolResults");
  if (context_.chip.timestamp_bits < 64) ticks &= (uint64_t{1} << context_.chip.timestamp_bits) - 1;
  return static_cast<uint64_t>(
      std::llround(static_cast<double>(ticks) * context_.chip.timestamp_period_ns));
}

}  // namespace leat
