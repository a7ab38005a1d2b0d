#include "leat/backend/amd/amd_submitter.h"

#include <atomic>
#include <cstring>

#include "leat/backend/amd/amd_check.h"
#include "leat/base/env.h"

namespace leat {

Result<void> AmdSubmitter::open() {
  constexpr size_t kListDwords = 64;
  checks_packets_ = env_flag("LEAT_AMD_CHECK");
  TRY_ASSIGN(words_, context_.memory.allocate(time_offset(Queue::kTimeSlots), AmdPlace::shared));
  std::memset(words_.host, 0, words_.size_bytes);
  context_.fence.open(words_.host, words_.address, {&channel_});
  list_words_.reserve(kListDwords, 0);
  return {};
}

Result<void> AmdSubmitter::write(AmdCommands& block) {
  block.end(context_.frame.submitted() + 1);
  std::byte* target = channel_.begin(block.dwords());
  block.write(target);
  return finish_write(target, block.dwords());
}

Result<void> AmdSubmitter::write_replay(const AmdCommands& list, uint64_t, bool armed) {
  list_words_.clear();
  if (armed) pm4::wait_least(list_words_, words_.address + kArmOffset, ++armed_);
  AmdCommands::add_begin(list_words_, context_);
  if (!list.is_empty()) pm4::call_buffer(list_words_, list.address(), list.dwords());
  AmdCommands::add_end(list_words_, context_, context_.frame.submitted() + 1);
  std::byte* target = channel_.begin(list_words_.size());
  list_words_.place(0, target);
  return finish_write(target, list_words_.size());
}

Result<void> AmdSubmitter::finish_write(const std::byte* target, uint32_t dwords) {
  written_dwords_ = dwords;
  if (!checks_packets_) return {};
  return check_packets(context_, {reinterpret_cast<const uint32_t*>(target), dwords});
}

void AmdSubmitter::fire() {
  auto* number = reinterpret_cast<uint64_t*>(words_.host + kArmOffset);
  std::atomic_ref<uint64_t>(*number).store(armed_, std::memory_order_seq_cst);
}

}  // namespace leat
