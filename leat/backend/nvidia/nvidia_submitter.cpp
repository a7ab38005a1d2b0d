#include "leat/backend/nvidia/nvidia_submitter.h"

#include <immintrin.h>

#include <array>
#include <chrono>
#include <cstring>

#include "leat/backend/nvidia/nvidia_check.h"
#include "leat/base/env.h"

namespace leat {

// --- Channels -----------------------------------------------------------------------------------

Result<void> NvidiaSubmitter::open() {
  checks_packets_ = env_flag("LEAT_NVIDIA_CHECK");
  NvidiaMemory& memory = context_.memory;
  TRY_ASSIGN(fence_word_, memory.allocate(sizeof(uint64_t), NvidiaPlace::shared));
  TRY_ASSIGN(times_, memory.allocate(Queue::kTimeSlots * kTimeBytes, NvidiaPlace::shared));
  TRY_ASSIGN(prefixes_,
             memory.allocate(kPrefixes * kPrefixDwords * sizeof(uint32_t), NvidiaPlace::window));
  TRY_ASSIGN(arm_word_, memory.allocate(sizeof(uint64_t), NvidiaPlace::window));
  std::memset(fence_word_.host, 0, fence_word_.size_bytes);
  std::memset(times_.host, 0, times_.size_bytes);
  std::memset(arm_word_.host, 0, arm_word_.size_bytes);
  context_.fence.open(fence_word_.host, fence_word_.address, {{&compute_, &copy_}});
  return {};
}

// The compute channel's set-up; the methods and their order are those that were found to work.
Result<void> NvidiaSubmitter::open_channel() {
  TRY(compute_.open(context_.card, NvidiaChannel::Kind::compute));
  TRY(copy_.open(context_.card, NvidiaChannel::Kind::copy));
  constexpr uint32_t kSub = method::kComputeSubchannel;
  TRY(add_prefix(
      std::array{method::header(kSub, method::kSetObject, 1), context_.card.classes.compute,
                 method::immediate(kSub, method::kInvalidateSkedCaches, 0),
                 method::immediate(kSub, method::kInvalidateSampler, 0),
                 method::immediate(kSub, method::kInvalidateTextureHeader, 0),
                 method::header(kSub, method::kSharedWindowA, 2), high(method::kSharedWindow),
                 low(method::kSharedWindow), method::header(kSub, method::kLocalWindowA, 2),
                 high(method::kLocalWindow), low(method::kLocalWindow)}));
  context_.setup.forget_told();
  return {};
}

// The driver has disabled a channel that faulted; one that hangs is stopped before it is freed.
Result<void> NvidiaSubmitter::close_channel() {
  stop_steps_.clear();
  const auto has_fault = [](const NvidiaChannel& channel) {
    return channel.is_open() && channel.has_fault();
  };
  const bool hangs = context_.frame.submitted() > 0 &&
                     context_.fence.poll() < context_.frame.submitted() && !has_fault(compute_) &&
                     !has_fault(copy_);
  for (NvidiaChannel* channel : {&compute_, &copy_}) {
    if (hangs) channel->stop(stop_, stop_steps_);
    const auto start = std::chrono::steady_clock::now();
    channel->close();
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    stop_steps_.push_back({"RM_FREE", {}, passed.count()});
  }
  return {};
}

// --- Submits ------------------------------------------------------------------------------------

/// A segment of its own, before what hand_over() adds.
Result<void> NvidiaSubmitter::add_prefix(std::span<const uint32_t> words) {
  CHECK(words.size() <= kPrefixDwords);
  if (checks_packets_) TRY(check_segment(context_, PushEngine::compute, words));
  const uint64_t offset = (prefix_next_++ % kPrefixes) * kPrefixDwords * sizeof(uint32_t);
  std::memcpy(prefixes_.host + offset, words.data(), words.size_bytes());
  compute_.add(prefixes_.address + offset, static_cast<uint32_t>(words.size()));
  return {};
}

Result<void> NvidiaSubmitter::add_stale_prefix() {
  constexpr uint32_t kSub = method::kComputeSubchannel;
  constexpr uint32_t kIdle = method::immediate(kSub, method::kWaitForIdle, 0);
  if (!context_.setup.local_is_told()) {
    const uint64_t base = context_.setup.local().range.address;
    const uint64_t per_tpc = context_.setup.local().bytes_per_tpc;
    TRY(add_prefix(std::array{kIdle, method::header(kSub, method::kLocalMemoryA, 2), high(base),
                              low(base), method::header(kSub, method::kLocalNonThrottledA, 3),
                              high(per_tpc), low(per_tpc), method::kMaxSmCount}));
    context_.setup.told_local();
  }
  if (context_.setup.caches_are_stale()) {
    TRY(add_prefix(std::array{
        kIdle, method::immediate(kSub, method::kInvalidateShaderCaches,
                                 method::kInvalidateInstruction | method::kInvalidateData |
                                     method::kInvalidateConstant)}));
    context_.setup.told_caches();
  }
  return {};
}

Result<void> NvidiaSubmitter::write(NvidiaCommands& block) {
  TRY(block.finish(next_value()));
  return finish_write(block, entry_of(context_.fence.poll()));  // writing them took a while
}

// A list that the GPU still read would hang in the middle of a chain.
Result<void> NvidiaSubmitter::write_replay(NvidiaCommands& list, uint64_t done, bool armed) {
  list.set_fence_value(next_value());
  const NvidiaEntry entry = entry_of(done);
  if (armed) list.set_arm(arm_word_.address, ++armed_, entry == NvidiaEntry::idle);
  return finish_write(list, armed ? NvidiaEntry::armed : entry);
}

Result<void> NvidiaSubmitter::finish_write(NvidiaCommands& commands, NvidiaEntry entry) {
  if (!context_.setup.is_told()) TRY(add_stale_prefix());
  commands.enter(entry);
  entry_ = entry;
  if (checks_packets_) {
    TRY(check_segment(context_, PushEngine::compute, commands.compute_words(entry)));
    TRY(check_segment(context_, PushEngine::copy, commands.copy_words()));
  }
  if (commands.copy_dwords() > 0) commands.reset_handoff();
  return {};
}

void NvidiaSubmitter::hand_over(NvidiaCommands& commands) {
  compute_.add(commands.compute_address(entry_), commands.compute_dwords(entry_));
  compute_.ring();
  if (commands.copy_dwords() == 0) return;
  copy_.add(commands.copy_address(), commands.copy_dwords());
  copy_.ring();
}

void NvidiaSubmitter::fire() {
  *reinterpret_cast<volatile uint64_t*>(arm_word_.host) = armed_;
  _mm_sfence();
}

}  // namespace leat
