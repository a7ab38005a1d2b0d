// See model_memory.h.
#include "leat/run/model_memory.h"

#include <algorithm>
#include <utility>

#include "leat/base/all_cores.h"
#include "leat/run/transfer.h"

namespace leat {

namespace {

/// Fewer are in their places before another thread has started.
constexpr size_t kSharedOutBytes = size_t{1} << 20;

}  // namespace

std::optional<ModelMemory::Place> ModelMemory::find(const Wish& wish) const {
  const auto [first, last] = kept_.equal_range(wish.constant.get());
  for (auto each = first; each != last; ++each) {
    const Kept& kept = each->second;
    const bool fits = kept.storage == wish.placement.storage &&
                      kept.strides == wish.placement.strides &&
                      kept.words_of == wish.placement.words_of && kept.order == wish.order;
    // Another constant may have come to lie where one was that is gone.
    if (!fits || kept.constant.lock() != wish.constant) continue;
    if (std::shared_ptr<const Buffer> arena = kept.arena.lock()) return Place{arena, kept.offset};
  }
  return std::nullopt;
}

Result<ModelMemory::Placed> ModelMemory::place(Device& device, std::vector<Wish> wishes) {
  std::erase_if(kept_, [](const auto& each) { return each.second.arena.expired(); });
  Placed placed;
  placed.places.resize(wishes.size());
  std::vector<size_t> missing;
  size_t size_bytes = 0;
  for (size_t i = 0; i < wishes.size(); ++i) {
    const size_t wanted = std::max<size_t>(wishes[i].placement.size_bytes(), 1);
    const size_t aligned =
        (wanted + kPlacementAlignment - 1) / kPlacementAlignment * kPlacementAlignment;
    placed.used_bytes += aligned;
    if (std::optional<Place> found = find(wishes[i])) {
      placed.places[i] = std::move(*found);
      continue;
    }
    placed.places[i].offset = size_bytes;
    size_bytes += aligned;
    missing.push_back(i);
  }
  if (missing.empty()) return placed;
  TRY_ASSIGN(Buffer made, device.allocate(size_bytes, MemoryKind::device));
  const auto arena = std::make_shared<const Buffer>(std::move(made));
  // In their place where that is the host's own memory; a GPU's mapping may be slow to read.
  const bool is_hosts = device.target().is_cpu || device.info().software;
  const bool in_place = is_hosts && arena->host_pointer() != nullptr;
  std::vector<std::byte> image(in_place ? 0 : size_bytes);
  std::byte* const first = in_place ? arena->host_pointer() : image.data();
  const auto place_one = [&](size_t number) {
    const size_t i = missing[number];
    const Wish& wish = wishes[i];
    const std::span<std::byte> bytes(first + placed.places[i].offset, wish.placement.size_bytes());
    if (wish.order) {
      pack_weights(*wish.order, *wish.constant, wish.placement.storage, bytes);
    } else {
      place_constant(*wish.constant, wish.placement, bytes);
    }
  };
  if (size_bytes < kSharedOutBytes) {
    for (size_t number = 0; number < missing.size(); ++number) place_one(number);
  } else {
    on_all_cores(missing.size(), place_one);
  }
  if (!in_place) TRY(write_buffer(device, {arena.get(), 0, size_bytes}, image));
  placed.written_bytes = size_bytes;
  for (const size_t i : missing) {
    placed.places[i].arena = arena;
    Wish& wish = wishes[i];
    const HostTensor* const constant = wish.constant.get();
    kept_.emplace(constant, Kept{.constant = wish.constant,
                                 .storage = wish.placement.storage,
                                 .strides = std::move(wish.placement.strides),
                                 .words_of = wish.placement.words_of,
                                 .order = std::move(wish.order),
                                 .arena = arena,
                                 .offset = placed.places[i].offset});
  }
  return placed;
}

}  // namespace leat
