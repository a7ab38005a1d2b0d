// Memory of the direct route. What buffers and commands take is divided from blocks that are mapped
// once; queues and imported pages have a mapping each, since the kernel compares its size:
//   device   video memory that the host does not see
//   shared   system memory, cached and snooped, for host and GPU
//   code     the same with the right to run it: kernels, packets and their arguments
// A block has the same address for host and GPU, and a page behind it that nobody can touch.
#pragma once

#include <span>

#include "leat/backend/amd/amd_drm.h"
#include "leat/backend/amd/amd_kfd.h"
#include "leat/route/direct_memory.h"

namespace leat {

enum class AmdPlace : uint8_t { device, shared, code };

/// A block as the driver knows it.
struct AmdMapping {
  uint32_t flags = 0;
  uint64_t handle = 0;
  int dma_buf = -1;          // the caller's descriptor, while the block is made
  void* reserved = nullptr;  // addresses, the block's and the guard's
  uint64_t reserved_bytes = 0;
  bool is_mapped = false;
  bool is_left = false;
};

class AmdMemory {
 public:
  /// From `drm` where that is open, else from `kfd`.
  AmdMemory(AmdKfd& kfd, AmdDrm& drm);
  ~AmdMemory() { blocks_.give_back_all(); }
  AmdMemory(const AmdMemory&) = delete;
  AmdMemory& operator=(const AmdMemory&) = delete;

  /// Aligned to 256 bytes; size_bytes > 0. Contents are undefined. Errors: out_of_memory, io.
  Result<DirectRange> allocate(uint64_t size_bytes, AmdPlace place) {
    return blocks_.allocate(size_bytes, place);
  }
  /// A mapping of exactly these whole pages; `flags` are KFD's. Errors: as allocate.
  Result<DirectRange> allocate_pages(uint64_t size_bytes, uint32_t flags);
  /// Pages of the caller, in place; address and size are multiples of kfd::kPageBytes. Errors: as
  /// allocate.
  Result<DirectRange> import(std::span<std::byte> pages);
  /// All pages of a dma-buf, in place; the host does not see them here. `size_bytes` is what of it
  /// is wanted. Errors: invalid_argument (no such file, a smaller one); as allocate.
  Result<DirectRange> import_dma_buf(int fd, uint64_t size_bytes);
  /// What is empty is ignored. Memory that a queue used may be freed once the queue is gone.
  void free(const DirectRange& range) { blocks_.free(range); }
  /// The GPU may still use the pages of this range, which is no part of a larger block: they stay
  /// until the process's end.
  void leave(const DirectRange& range) { blocks_.of(range).driver.is_left = true; }

  /// KFD's handle of the range's block.
  uint64_t handle_of(const DirectRange& range) const { return blocks_.of(range).driver.handle; }
  /// Whether the GPU may access [address, address + size_bytes), by kfd::kWritable and
  /// kfd::kExecutable; all can be read. For the check of packets.
  bool allows(uint64_t address, uint64_t size_bytes, uint32_t rights) const;

 private:
  using Block = DirectBlock<AmdPlace, AmdMapping>;
  friend class DirectBlocks<Block, AmdMemory>;

  Result<void> fill(Block& block);
  Result<void> fill_by_kfd(Block& block);
  Result<void> fill_by_drm(Block& block);
  Result<void> reserve(Block& block);
  Result<void> set_mapped(Block& block, uint32_t request, const char* what);
  void give_back(Block& block);

  AmdKfd& kfd_;
  AmdDrm& drm_;
  DirectBlocks<Block, AmdMemory> blocks_;
};

}  // namespace leat
