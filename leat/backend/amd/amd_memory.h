// Memory of the direct route. What buffers and commands take is divided from blocks that are mapped
// once; queues and imported pages have a mapping each, since the kernel compares its size:
//   device   video memory that the host does not see
//   shared   system memory, cached and snooped, for host and GPU
//   code     the same with the right to run it: kernels, packets and their arguments
// A block has the same address for host and GPU, and a page behind it that nobody can touch.
#pragma once

#include <span>
#include <vector>

#include "leat/backend/amd/amd_kfd.h"
#include "leat/route/hole_list.h"

namespace leat {

enum class AmdPlace : uint8_t { device, shared, code };

/// A range of a block. Plain: who allocates frees.
struct AmdRange {
  uint64_t address = 0;       // for the GPU
  std::byte* host = nullptr;  // null: not seen
  uint64_t size_bytes = 0;
  uint32_t block = 0;
  explicit operator bool() const { return size_bytes != 0; }
};

class AmdMemory {
 public:
  explicit AmdMemory(AmdKfd& kfd) : kfd_(kfd) {}
  ~AmdMemory();
  AmdMemory(const AmdMemory&) = delete;
  AmdMemory& operator=(const AmdMemory&) = delete;

  /// Aligned to kAlignment; size_bytes > 0. Contents are undefined. Errors: out_of_memory, io.
  Result<AmdRange> allocate(uint64_t size_bytes, AmdPlace place);
  /// A mapping of exactly these whole pages; `flags` are KFD's. Errors: as allocate.
  Result<AmdRange> allocate_pages(uint64_t size_bytes, uint32_t flags);
  /// Pages of the caller, in place; address and size are multiples of kPageBytes. Errors: as
  /// allocate.
  Result<AmdRange> import(std::span<std::byte> pages);
  /// What is empty is ignored. Memory that a queue used may be freed once the queue is gone.
  void free(const AmdRange& range);
  /// The GPU may still use the range's pages: they stay until the process's end.
  void leave(const AmdRange& range) { blocks_[range.block].is_left = true; }

  /// KFD's handle of the range's block.
  uint64_t handle_of(const AmdRange& range) const { return blocks_[range.block].handle; }
  /// Whether the GPU may access [address, address + size_bytes), by kfd::kWritable and
  /// kfd::kExecutable; all can be read. For the check of packets.
  bool allows(uint64_t address, uint64_t size_bytes, uint32_t rights) const;

  static constexpr uint64_t kAlignment = 256;

 private:
  struct Block {
    AmdPlace place = AmdPlace::device;
    uint32_t flags = 0;
    uint64_t address = 0;
    std::byte* host = nullptr;
    uint64_t size_bytes = 0;  // 0: given back
    uint64_t handle = 0;
    void* reserved = nullptr;  // addresses, the block's and the guard's
    uint64_t reserved_bytes = 0;
    bool is_divided = false;
    bool is_mapped = false;
    bool is_left = false;
    HoleList holes;
  };

  Result<uint32_t> add_block(Block block, std::span<std::byte> pages);
  Result<void> fill(Block& block, std::span<std::byte> pages);
  Result<void> reserve(Block& block);
  Result<void> set_mapped(Block& block, uint32_t request, const char* what);
  AmdRange range_of(uint32_t index, uint64_t offset_bytes, uint64_t size_bytes) const;
  void give_back(Block& block);

  AmdKfd& kfd_;
  std::vector<Block> blocks_;
};

}  // namespace leat
