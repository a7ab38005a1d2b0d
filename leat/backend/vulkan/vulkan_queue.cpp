// Recording goes to the list being recorded, if there is one, else to the ring's open command
// buffer. A replay hands what is open and the list to the device in one call.
#include "leat/backend/vulkan/vulkan_queue.h"

#include <fmt/format.h>

#include <cmath>

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
  const uint64_t timeout_ns = hang_timeout_ns(context_.chip.info, context_.chip.target);
  TRY_ASSIGN(const bool free, context_.fence.wait_finished(next->fence_value, timeout_ns));
  if (!free) {
    return Error(
        ErrorKind::device_lost,
        fmt::format("Work on Vulkan device \"{}\" passed its deadline.", context_.chip.info.chip));
  }
  TRY(next->begin(0));
  ring_next_ = (ring_next_ + 1) % kInFlightMax;
  open_ = next.get();
  context_.has_open_commands = true;
  return open_;
}

Result<void> VulkanQueue::launch(const Kernel& kernel, std::span<const BufferRange> arguments) {
  CHECK(arguments.size() == kernel.arguments().size());
  for (const BufferRange& range : arguments) {
    TRY(check_range(range));
    CHECK(range.offset_bytes % kBufferAlignment == 0);
    if (range.size_bytes > context_.chip.target.argument_bytes_max) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Argument of ({}) bytes is larger than the limit ({}) of Vulkan "
                               "device \"{}\".",
                               range.size_bytes, context_.chip.target.argument_bytes_max,
                               context_.chip.info.chip));
    }
  }
  TRY_ASSIGN(VulkanCommands * commands, open_commands());
  return commands->launch(static_cast<const VulkanKernel&>(kernel), arguments);
}

Result<void> VulkanQueue::copy(BufferRange target, BufferRange source) {
  TRY(check_range(target));
  TRY(check_range(source));
  if (target.size_bytes != source.size_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Copy has a target of ({}) bytes and a source of ({}) bytes.",
                             target.size_bytes, source.size_bytes));
  }
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
  context_.has_open_commands = false;
  return ended.error();
}

Result<uint64_t> VulkanQueue::submit() {
  CHECK(recording_ == nullptr);
  context_.drain_retired();
  if (open_ == nullptr) return context_.fence.submitted_.load();
  TRY(close_open_commands());
  const VkCommandBuffer buffers[] = {open_->handle()};
  return submit_buffers(buffers);
}

Result<uint64_t> VulkanQueue::replay(RecordedList& list) {
  CHECK(recording_ == nullptr);
  auto& commands = static_cast<VulkanCommands&>(list);
  if (context_.fence.poll() < commands.fence_value) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("A recorded list is replayed before its last replay reaches its fence "
                             "value ({}).",
                             commands.fence_value));
  }
  context_.drain_retired();
  TRY(close_open_commands());
  const VkCommandBuffer buffers[] = {open_ != nullptr ? open_->handle() : commands.handle(),
                                     commands.handle()};
  TRY_ASSIGN(commands.fence_value,
             submit_buffers(std::span(buffers).first(open_ != nullptr ? 2 : 1)));
  ++counts_.replays;
  return commands.fence_value;
}

Result<uint64_t> VulkanQueue::submit_buffers(std::span<const VkCommandBuffer> buffers) {
  const Result<uint64_t> value = context_.submit(buffers);
  if (open_ != nullptr && value) open_->fence_value = *value;
  open_ = nullptr;
  context_.has_open_commands = false;
  if (value) ++counts_.submits;
  return value;
}

Queue::Counts VulkanQueue::counts() const {
  Counts counts = counts_;
  counts.descriptor_updates = context_.descriptor_updates;
  return counts;
}

// The entry point is looked up here alone, so that no other code can reach it.
Result<void> VulkanQueue::naive_wait(NaiveWait how) {
  if (how == NaiveWait::fence) {
    TRY(context_.fence.wait_finished(context_.fence.submitted_.load(), kHangTimeoutNs));
    return {};
  }
  const auto wait_idle = reinterpret_cast<PFN_vkQueueWaitIdle>(
      context_.calls.vkGetDeviceProcAddr(context_.device, "vkQueueWaitIdle"));
  const VkResult result = wait_idle(context_.queue);
  if (result != VK_SUCCESS) return vulkan_error(result, "vkQueueWaitIdle");
  return {};
}

Result<void> VulkanQueue::begin_record() {
  CHECK(recording_ == nullptr);
  TRY_ASSIGN(std::unique_ptr<VulkanCommands> list, VulkanCommands::create(context_, memory_));
  // The number may be seen, and the list replayed, a little before the driver calls it finished.
  TRY(list->begin(VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT));
  recording_ = std::move(list);
  return {};
}

Result<std::unique_ptr<RecordedList>> VulkanQueue::end_record() {
  CHECK(recording_ != nullptr);
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
  if (result == VK_NOT_READY) {
    return Error(ErrorKind::invalid_argument, fmt::format("Time slot ({}) holds no time.", slot));
  }
  if (result != VK_SUCCESS) return vulkan_error(result, "vkGetQueryPoolResults");
  if (context_.chip.timestamp_bits < 64) ticks &= (uint64_t{1} << context_.chip.timestamp_bits) - 1;
  return static_cast<uint64_t>(
      std::llround(static_cast<double>(ticks) * context_.chip.timestamp_period_ns));
}

}  // namespace leat
