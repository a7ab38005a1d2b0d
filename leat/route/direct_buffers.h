// The buffers of a direct route, as ranges behind Buffer::handle(). `Context` is what the parts of
// one open card share: its `memory` gives ranges, retire() frees one once the work that uses it is
// done, and drain_retired() frees those whose time has come.
#pragma once

#include "leat/device/device.h"
#include "leat/device/memory_hazards.h"
#include "leat/route/direct_memory.h"
#include "leat/route/handle_table.h"
#include "leat/route/launch_checks.h"

namespace leat {

template <typename Context>
class DirectBuffers {
 public:
  explicit DirectBuffers(Context& context) : context_(context) {}

  /// A buffer of `owner`. Errors: invalid_argument; those of the memory.
  template <typename Place>
  Result<Buffer> allocate(Device* owner, size_t size_bytes, Place place) {
    TRY(check_size(size_bytes));
    context_.drain_retired();
    TRY_ASSIGN(const DirectRange range, context_.memory.allocate(size_bytes, place));
    return Buffer(owner, ranges_.add(range), size_bytes, range.host);
  }
  /// The same of whole pages of the caller.
  Result<Buffer> import(Device* owner, std::span<std::byte> pages) {
    context_.drain_retired();
    TRY_ASSIGN(const DirectRange range, context_.memory.import(pages));
    return Buffer(owner, ranges_.add(range), pages.size(), pages.data());
  }
  /// The same of a dma-buf, where the memory takes one.
  Result<Buffer> import_dma_buf(Device* owner, int fd, size_t size_bytes) {
    TRY(check_size(size_bytes));
    context_.drain_retired();
    TRY_ASSIGN(const DirectRange range, context_.memory.import_dma_buf(fd, size_bytes));
    return Buffer(owner, ranges_.add(range), size_bytes, nullptr);
  }
  void free(uint64_t handle) { context_.retire(ranges_.take(handle)); }

  /// The memory that a command reads or writes.
  MemoryAccess access_of(const BufferRange& range, bool written) const {
    const uint64_t address = ranges_.at(range.buffer->handle()).address + range.offset_bytes;
    return {address, range.size_bytes, written};
  }

 private:
  Context& context_;
  HandleTable<DirectRange> ranges_;
};

}  // namespace leat
