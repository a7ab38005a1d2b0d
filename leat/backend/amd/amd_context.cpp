// Source of scratch sizes: tinygrad runtime/ops_amd.py (MIT), padded to whole shader engines as
// ROCm/hrx-system libamdf/docs/gpu.md has it.
#include "leat/backend/amd/amd_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "leat/backend/amd/amd_channel.h"
#include "leat/backend/amd/amd_pm4.h"
#include "leat/base/numbers.h"
#include "leat/route/found_route.h"

namespace leat {

// The error word costs a load; what costs a call is asked only while the number stands still.
Result<void> AmdFaults::operator()(bool is_reached) const {
  if (buffers != nullptr) return is_reached ? Result<void>() : buffers->look_after();
  TRY(channel->check_error_word());
  if (is_reached) return {};
  copies->ring_again();
  return channel->look_after();
}

Result<void> AmdContext::open(size_t index) {
  TRY_ASSIGN(std::vector<Result<AmdCard>> cards, find_amd_cards(kfd.os()));
  TRY(check_found(Route::direct, index % kByDrm, cards.size()));
  TRY_ASSIGN(card, std::move(cards[index % kByDrm]));
  if (index >= kByDrm) {
    TRY(drm.open(card.render_minor));
    card.info.driver = drm.version();
    return {};
  }
  if (card.gpu_id == 0) return Error(ErrorKind::unsupported, "KFD does not show the card.");
  TRY(kfd.open());
  card.info.driver = kfd.version();
  TRY(kfd.open_render(card));
  return kfd.acquire_vm(card);
}

void AmdContext::retire(const DirectRange& range) {
  if (range) retired_.add(frame.last_use(), range);
}

void AmdContext::drain_retired() {
  retired_.drain(fence.poll(), [&](const DirectRange& range) { memory.free(range); });
}

Result<AmdScratch> AmdContext::reserve_scratch(uint32_t bytes_per_item) {
  constexpr uint32_t kLanes = 64;  // of a wave's scratch, for waves of 32 lanes too
  if (bytes_per_item <= scratch_bytes_per_item_) return scratch_;
  constexpr uint32_t kBytesMax =
      std::bit_floor(pm4::kScratchUnitsMax * pm4::kScratchUnitBytes / kLanes);
  if (bytes_per_item > kBytesMax) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("A kernel's scratch ({} bytes of a work-item) is larger than the limit "
                    "({}).",
                    bytes_per_item, kBytesMax));
  }
  // By powers of two, so that what is left behind is no more than what is in use.
  const uint32_t per_item = std::bit_ceil(std::max(bytes_per_item, 64u));
  const uint32_t wave_units =
      round_up(per_item * kLanes, pm4::kScratchUnitBytes) / pm4::kScratchUnitBytes;
  const uint32_t engines = card.shader_engines;
  const uint32_t waves_per_engine =
      round_up(card.compute_units, engines) / engines * card.scratch_waves_per_cu;
  const uint32_t waves = std::min(waves_per_engine, pm4::kScratchWavesMax);
  TRY_ASSIGN(const DirectRange range,
             memory.allocate(uint64_t{wave_units} * pm4::kScratchUnitBytes * waves * engines,
                             AmdPlace::device));
  scratch_ = {range.address, wave_units << pm4::kWaveSizeShift | waves};
  scratch_bytes_per_item_ = per_item;
  return scratch_;
}

}  // namespace leat
