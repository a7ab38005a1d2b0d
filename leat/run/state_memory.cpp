// See state_memory.h.
#include "leat/run/state_memory.h"

#include <algorithm>
#include <utility>

namespace leat {

namespace {

/// What has grown will grow again: a cache by a token a run.
size_t grown(size_t size_bytes) { return size_bytes + size_bytes / 2; }

Result<StateMemory::Sides> allocate(Device& device, size_t size_bytes) {
  StateMemory::Sides sides;
  for (std::shared_ptr<const Buffer>& side : sides) {
    TRY_ASSIGN(Buffer buffer, device.allocate(size_bytes, MemoryKind::device));
    side = std::make_shared<const Buffer>(std::move(buffer));
  }
  return sides;
}

}  // namespace

Result<void> StateMemory::reserve(Device& device, size_t state, size_t size_bytes) {
  if (state >= states_.size()) states_.resize(state + 1);
  Sides& sides = states_[state];
  const bool is_first = sides[0] == nullptr;
  if (!is_first && sides[0]->size_bytes() >= size_bytes) return {};
  const size_t least = std::max(size_bytes, kBufferAlignment);
  Result<Sides> allocated = allocate(device, is_first ? least : grown(least));
  if (!allocated && !is_first) allocated = allocate(device, least);
  TRY_ASSIGN(Sides made, std::move(allocated));
  if (!is_first) {
    const Buffer& before = *sides[side_];
    const size_t kept = before.size_bytes();
    TRY(copy_buffer(device, {made[side_].get(), 0, kept}, {&before, 0, kept}));
  }
  sides = std::move(made);
  ++version_;
  return {};
}

}  // namespace leat
