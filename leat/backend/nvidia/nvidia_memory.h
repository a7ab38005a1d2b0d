// Memory of the direct route, in three places, each divided from large blocks that are reserved
// and mapped once:
//   device   video memory that the host does not see (a host read through the card's window runs
//            at 25 MB/s, so it would be a trap)
//   shared   system memory of our own, pinned and mapped for the GPU; cached for the host
//   window   video memory mapped for the host through the card's window (BAR1), write-combined:
//            rings, push buffers, launch descriptors, code. The host only ever writes it.
#pragma once

#include <span>
#include <vector>

#include "leat/backend/nvidia/nvidia_rm.h"
#include "leat/route/direct_memory.h"

namespace leat {

enum class NvidiaPlace : uint8_t { device, shared, window };

/// A block as RM knows it: handles of the memory and of the addresses.
struct NvidiaMapping {
  uint32_t memory = 0;
  uint32_t virtual_memory = 0;
};

/// A part of a memory object of RM's.
struct NvidiaObjectRange {
  uint32_t memory = 0;  // the object's handle
  uint64_t offset_bytes = 0;
};

/// Memory in which the driver reports errors.
struct NvidiaNotifier {
  uint32_t memory = 0;  // its object's handle
  std::byte* host = nullptr;
  uint64_t size_bytes = 0;
};

class NvidiaMemory {
 public:
  explicit NvidiaMemory(NvidiaRm& rm);
  ~NvidiaMemory();
  NvidiaMemory(const NvidiaMemory&) = delete;
  NvidiaMemory& operator=(const NvidiaMemory&) = delete;

  /// Makes the address space. Errors: io, out_of_memory.
  Result<void> open();
  uint32_t va_space() const { return va_space_; }

  /// Aligned to 512 bytes; size_bytes > 0. Contents are undefined (shared and window: zero at
  /// first). Errors: out_of_memory, io.
  Result<DirectRange> allocate(uint64_t size_bytes, NvidiaPlace place) {
    return blocks_.allocate(size_bytes, place);
  }
  /// What is empty is ignored.
  void free(const DirectRange& range) { blocks_.free(range); }
  /// Pages of the caller, in place; address and size are multiples of kPage. Errors: as allocate.
  Result<DirectRange> import(std::span<std::byte> pages);
  static constexpr size_t kPage = 4096;

  /// RM's own system memory, cached, mapped for the host. Never freed before the client. Errors: as
  /// allocate.
  Result<NvidiaNotifier> allocate_notifier(uint64_t size_bytes);
  NvidiaObjectRange object_of(const DirectRange& range) const;
  /// Whether the GPU may access [address, address + size_bytes): for the check of packets.
  bool is_mapped(uint64_t address, uint64_t size_bytes) const {
    return blocks_.find(address, size_bytes) != nullptr;
  }
  /// Where the host sees that range; null when it does not.
  const std::byte* host_of(uint64_t address, uint64_t size_bytes) const;

 private:
  using Block = DirectBlock<NvidiaPlace, NvidiaMapping>;
  friend class DirectBlocks<Block, NvidiaMemory>;

  Result<void> fill(Block& block);
  Result<void> fill_shared(Block& block);
  Result<void> fill_video(Block& block);
  Result<uint32_t> alloc_video(uint64_t size_bytes);
  Result<void> map_block(Block& block, uint64_t alignment);
  void give_back(Block& block);

  NvidiaRm& rm_;
  uint32_t va_space_ = 0;
  DirectBlocks<Block, NvidiaMemory> blocks_;
  std::vector<NvidiaNotifier> notifiers_;
};

}  // namespace leat
