#include "leat/backend/nvidia/nvidia_context.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat {

namespace {

uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

void NvidiaFence::open(NvidiaRange word, std::vector<const NvidiaChannel*> channels) {
  word_ = reinterpret_cast<uint64_t*>(word.host);
  address_ = word.address;
  channels_ = std::move(channels);
}

const NvidiaChannel* NvidiaFence::faulty_channel() const {
  for (const NvidiaChannel* channel : channels_) {
    if (channel->is_open() && channel->has_fault()) return channel;
  }
  return nullptr;
}

bool NvidiaFence::is_lost(uint64_t value) const {
  const size_t count = loss_count_.load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i) {
    if (value > losses_[i].after && value <= losses_[i].until) return true;
  }
  return false;
}

// The number is read before the losses, which are written before the number moves over them; and
// the losses once more behind the channels, which another thread may have closed in between.
Result<bool> NvidiaFence::look(uint64_t value, bool for_result) {
  const bool reached = poll() >= value;
  const auto given_up = [] {
    return Error(ErrorKind::device_lost, "The work was given up after a fault.");
  };
  if (for_result && is_lost(value)) return given_up();
  if (reached && (!for_result || value <= believed_)) return true;
  if (const NvidiaChannel* channel = faulty_channel()) {
    return Error(ErrorKind::device_lost, channel->fault().text);
  }
  if (!reached) return false;
  if (for_result && is_lost(value)) return given_up();
  uint64_t before = believed_;
  while (before < value && !believed_.compare_exchange_weak(before, value)) {
  }
  return true;
}

Result<bool> NvidiaFence::wait_until(uint64_t value, uint64_t timeout_ns, bool for_result) {
  TRY_ASSIGN(const bool is_done, look(value, for_result));
  if (is_done) return true;
  const auto is_reached = [&] { return poll() >= value; };
  const auto check = [&]() -> Result<void> {
    TRY(look(value, for_result));
    return {};
  };
  TRY(wait_.wait(timeout_ns, is_reached, check));
  return look(value, for_result);
}

void NvidiaFence::lose(uint64_t submitted) {
  const uint64_t after = believed_.load();
  if (after >= submitted) return;
  const size_t count = loss_count_.load();
  if (count == kLossesMax) {
    losses_[count - 1].until = submitted;
    return;
  }
  losses_[count].after = after;
  losses_[count].until = submitted;
  loss_count_.store(count + 1, std::memory_order_release);
}

void NvidiaFence::give_up(uint64_t submitted) {
  std::atomic_ref<uint64_t>(*word_).store(submitted, std::memory_order_release);
}

void NvidiaContext::retire(const NvidiaRange& range, std::unique_ptr<NvidiaBank> bank) {
  if (!range && bank == nullptr) return;
  retired_.push_back({range, std::move(bank), submitted + (has_open_commands ? 1 : 0)});
}

void NvidiaContext::drain_retired() {
  const uint64_t done = fence.poll();
  std::erase_if(retired_, [&](const Retired& retired) {
    if (retired.fence_value > done) return false;
    if (retired.range) memory.free(retired.range);
    return true;
  });
}

// The sizes: 32 threads in units of 0x200, a TPC's in units of 0x8000, the whole die's in units of
// 0x20000. Source: tinygrad runtime/ops_nv.py (MIT); found to work on GH100.
Result<void> NvidiaContext::reserve_local_memory(uint32_t bytes_per_thread) {
  const uint64_t per_thread = round_up(bytes_per_thread, 32);
  if (per_thread <= local.bytes_per_thread) return {};
  const uint64_t per_warp = round_up(per_thread * 32, 0x200);
  const uint64_t per_tpc = round_up(per_warp * card.warps_per_sm * card.sms_per_tpc, 0x8000);
  const uint64_t total = round_up(per_tpc * card.tpcs_on_die, 0x20000);
  TRY_ASSIGN(const NvidiaRange range, memory.allocate(total, NvidiaPlace::device));
  retire(local.range);
  local = {range, per_thread, per_tpc, false};
  return {};
}

}  // namespace leat
