#include "leat/backend/nvidia/nvidia_context.h"

#include "leat/base/numbers.h"
#include "leat/route/found_route.h"

namespace leat {

Result<void> NvidiaFaults::operator()(bool) const {
  for (const NvidiaChannel* channel : channels) {
    if (channel->is_open() && channel->has_fault()) {
      return Error(ErrorKind::device_lost, channel->fault().text);
    }
  }
  return {};
}

Result<void> NvidiaContext::open(size_t index) {
  TRY(rm.open_control());
  TRY_ASSIGN(const std::vector<rm::CardInfo> cards, rm.cards());
  TRY(check_found(Route::direct, index, cards.size()));
  TRY(rm.open_card(cards[index]));
  TRY_ASSIGN(card, inspect_nvidia_card(rm));
  TRY(memory.open());
  return doorbell.open(rm, card);
}

void NvidiaContext::retire(const DirectRange& range, std::unique_ptr<NvidiaBank> bank) {
  if (!range && bank == nullptr) return;
  retired_.add(frame.last_use(), {range, std::move(bank)});
}

void NvidiaContext::drain_retired() {
  retired_.drain(fence.poll(), [&](const Remains& remains) {
    if (remains.range) memory.free(remains.range);
  });
}

// The sizes: 32 threads in units of 0x200, a TPC's in units of 0x8000, the whole die's in units of
// 0x20000. Source: tinygrad runtime/ops_nv.py (MIT); found to work on GH100.
Result<void> NvidiaContext::reserve_local_memory(uint32_t bytes_per_thread) {
  const uint64_t per_thread = round_up<uint64_t>(bytes_per_thread, 32);
  if (per_thread <= setup.local().bytes_per_thread) return {};
  const uint64_t per_warp = round_up(per_thread * 32, 0x200);
  const uint64_t per_tpc = round_up(per_warp * card.warps_per_sm * card.sms_per_tpc, 0x8000);
  const uint64_t total = round_up(per_tpc * card.tpcs_on_die, 0x20000);
  TRY_ASSIGN(const DirectRange range, memory.allocate(total, NvidiaPlace::device));
  retire(setup.local().range);
  setup.set_local({range, per_thread, per_tpc});
  return {};
}

}  // namespace leat
