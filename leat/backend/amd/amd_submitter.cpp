#include "leat/backend/amd/amd_submitter.h"

#include <atomic>
#include <cstring>

#include "leat/backend/amd/amd_check.h"
#include "leat/base/env.h"

namespace leat {

Result<void> AmdSubmitter::open() {
  checks_packets_ = env_flag("LEAT_AMD_CHECK");
  TRY_ASSIGN(words_, context_.memory.allocate(time_offset(Queue::kTimeSlots), AmdPlace::shared));
  std::memset(words_.host, 0, words_.size_bytes);
  context_.fence.open(words_.host, words_.address,
                      {&channel_, &copies_, context_.is_by_drm() ? &buffers_ : nullptr});
  context_.handoff.from_compute = words_.address + kFromComputeOffset;
  context_.handoff.from_copies = words_.address + kFromCopiesOffset;
  AmdCommands::add_begin(replay_words_, context_);
  call_word_ = replay_words_.size();
  // A buffer may call no other, so there the list is handed over between two of them.
  if (!context_.is_by_drm()) pm4::call_buffer(replay_words_, 0, 0);
  value_word_ = replay_words_.size() + pm4::kReleaseValueWord;
  AmdCommands::add_end(replay_words_, context_, 0);
  pm4::wait_least(wait_words_, words_.address + kArmOffset, 0);
  return {};
}

Result<void> AmdSubmitter::open_channel() {
  if (context_.is_by_drm()) {
    if (!buffers_ring_) {
      constexpr uint64_t kRingBytes = AmdDrmQueue::kRingDwords * sizeof(uint32_t);
      TRY_ASSIGN(buffers_ring_, context_.memory.allocate(kRingBytes, AmdPlace::code));
    }
    return buffers_.open(buffers_ring_.host, buffers_ring_.address);
  }
  TRY(channel_.open(context_.card));
  context_.handoff.is_open = copies_.open(context_.card).has_value();
  return {};
}

Result<void> AmdSubmitter::close_channel() {
  if (context_.is_by_drm()) return buffers_.close();
  context_.handoff.is_open = false;
  const Result<void> closed = copies_.close();
  TRY(channel_.close());
  return closed;
}

Result<void> AmdSubmitter::write_copies(CommandWords& copies) {
  if (!copies_.is_open()) return Error(ErrorKind::device_lost, "The copy engine has no queue.");
  if (checks_packets_) TRY(check_copies(context_, copies));
  copies.place(0, copies_.begin(copies.size()));
  copied_dwords_ = copies.size();
  return {};
}

Result<void> AmdSubmitter::write(AmdCommands& block) {
  if (!block.copies().is_empty()) TRY(write_copies(block.copies()));
  block.end(context_.frame.submitted() + 1);
  std::byte* target = begin(block.dwords());
  block.write(target);
  const Result<void> finished = finish_write(target, block.dwords());
  if (!finished) copied_dwords_ = 0;
  return finished;
}

Result<void> AmdSubmitter::write_replay(const AmdCommands& list, uint64_t, bool armed) {
  replay_words_.set_pair(value_word_, context_.frame.submitted() + 1);
  if (context_.is_by_drm()) {
    call_ = {0, call_word_, list.list_address(), list.list_dwords(), armed};
    armed = false;
  } else {
    pm4::set_call(replay_words_, call_word_, list.list_address(), list.list_dwords());
  }
  const uint32_t wait_dwords = armed ? wait_words_.size() : 0;
  std::byte* target = begin(wait_dwords + replay_words_.size());
  if (armed) {
    wait_words_.set_pair(pm4::kWaitValueWord, ++armed_);
    wait_words_.place(0, target);
  }
  replay_words_.place(0, target + wait_dwords * sizeof(uint32_t));
  return finish_write(target, wait_dwords + replay_words_.size());
}

Result<void> AmdSubmitter::finish_write(const std::byte* target, uint32_t dwords) {
  written_dwords_ = call_.dwords = dwords;
  if (!checks_packets_) return {};
  return check_packets(context_, {reinterpret_cast<const uint32_t*>(target), dwords});
}

void AmdSubmitter::fire() {
  if (context_.is_by_drm()) return buffers_.fire();
  auto* number = reinterpret_cast<uint64_t*>(words_.host + kArmOffset);
  std::atomic_ref<uint64_t>(*number).store(armed_, std::memory_order_seq_cst);
}

}  // namespace leat
