// The part of a model's memory that runs without a compiler want, too. See model_memory.h.
#include "leat/run/model_memory.h"

#include <algorithm>

namespace leat {

// Where a model is run with one more row after another, each would else have an arena of its own,
// all of whose pages are fresh: as many as the kernels have time for.
Result<std::shared_ptr<const Buffer>> ModelMemory::arena(Device& device, size_t size_bytes) {
  const auto known = arena_.lock();
  if (known && known->size_bytes() >= size_bytes) return known;
  // What is not touched costs a processor nothing; a GPU's memory would be taken.
  const size_t outgrown = known && device.target().is_cpu ? known->size_bytes() : 0;
  const size_t wanted = std::max(size_bytes, outgrown + outgrown / 4);
  Result<Buffer> made = device.allocate(wanted, MemoryKind::device);
  if (!made && wanted > size_bytes) made = device.allocate(size_bytes, MemoryKind::device);
  if (!made) return made.error();
  auto arena = std::make_shared<const Buffer>(std::move(*made));
  arena_ = arena;
  return arena;
}

}  // namespace leat
