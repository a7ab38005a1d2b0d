// The part of a model's memory that runs without a compiler want, too. See model_memory.h.
#include "leat/run/model_memory.h"

namespace leat {

Result<std::shared_ptr<const Buffer>> ModelMemory::arena(Device& device, size_t size_bytes) {
  if (auto known = arena_.lock(); known && known->size_bytes() >= size_bytes) return known;
  TRY_ASSIGN(Buffer made, device.allocate(size_bytes, MemoryKind::device));
  auto arena = std::make_shared<const Buffer>(std::move(made));
  arena_ = arena;
  return arena;
}

}  // namespace leat
