// Memory of the direct route, in three places, each divided from large blocks that are reserved
// and mapped once:
//   device   video memory that the host does not see (a host read through the card's window runs
//            at 25 MB/s, so it would be a trap)
//   shared   system memory of our own, pinned and mapped for the GPU; cached for the host
//   window   video memory mapped for the host through the card's window (BAR1), write-combined:
//            rings, push buffers, launch descriptors, code. The host only ever writes it.
// Freed ranges return to their block; an empty block larger than the usual size goes back to the
// driver.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "leat/backend/nvidia/nvidia_rm.h"
#include "leat/route/hole_list.h"

namespace leat {

enum class NvidiaPlace : uint8_t { device, shared, window };

/// A range of a block. Plain: who allocates frees.
struct NvidiaRange {
  uint64_t address = 0;  // for the GPU
  std::byte* host = nullptr;
  uint64_t size_bytes = 0;
  uint32_t memory = 0;        // handle of the memory object it lies in
  uint64_t offset_bytes = 0;  // from that object's start
  uint32_t block = 0;
  explicit operator bool() const { return size_bytes != 0; }
};

class NvidiaMemory {
 public:
  explicit NvidiaMemory(NvidiaRm& rm) : rm_(rm) {}
  ~NvidiaMemory();
  NvidiaMemory(const NvidiaMemory&) = delete;
  NvidiaMemory& operator=(const NvidiaMemory&) = delete;

  /// Makes the address space. Errors: io, out_of_memory.
  Result<void> open();
  uint32_t va_space() const { return va_space_; }

  /// Aligned to kAlignment; size_bytes > 0. Contents are undefined (shared and window: zero at
  /// first). Errors: out_of_memory, io.
  Result<NvidiaRange> allocate(uint64_t size_bytes, NvidiaPlace place);
  void free(const NvidiaRange& range);
  /// Pages of the caller, in place; address and size are multiples of kPage. Errors: as allocate.
  Result<NvidiaRange> import(std::span<std::byte> pages);
  static constexpr size_t kPage = 4096;

  /// RM's own system memory, cached, mapped for the host: for error notifiers. Never freed before
  /// the client. Errors: as allocate.
  Result<NvidiaRange> allocate_notifier(uint64_t size_bytes);
  /// Whether the GPU may access [address, address + size_bytes): for the check of packets.
  bool is_mapped(uint64_t address, uint64_t size_bytes) const;
  /// Where the host sees that range; null when it does not.
  const std::byte* host_of(uint64_t address, uint64_t size_bytes) const;

  static constexpr uint64_t kAlignment = 512;

 private:
  struct Block {
    NvidiaPlace place = NvidiaPlace::device;
    uint64_t address = 0;
    std::byte* host = nullptr;
    uint64_t size_bytes = 0;  // 0: given back
    uint32_t memory = 0;
    uint32_t virtual_memory = 0;
    bool is_imported = false;  // the host's pages are the caller's; one range
    HoleList holes;
  };

  const Block* find_block(uint64_t address, uint64_t size_bytes) const;
  /// `block` has a place, a size, and its holes or its imported pages.
  Result<uint32_t> add_block(Block block);
  Result<void> fill_shared(Block& block);
  Result<void> fill_video(Block& block);
  Result<uint32_t> alloc_video(uint64_t size_bytes);
  Result<void> map_block(Block& block, uint64_t alignment);
  bool take(uint32_t index, uint64_t size_bytes, NvidiaRange& range);
  void give_back(Block& block);

  NvidiaRm& rm_;
  uint32_t va_space_ = 0;
  std::vector<Block> blocks_;
  std::vector<NvidiaRange> notifiers_;
};

}  // namespace leat
