// Source of the flags and of the order of calls: Linux amdkfd/kfd_chardev.c,
// amdgpu/amdgpu_amdkfd_gpuvm.c; flag sets of a working client: ROCm/hrx-system
// libamdf/src/gpu/umd/kfd. Reserved addresses, taken by a fixed mapping, are how ROCm's thunk
// (libhsakmt fmm.c) makes both addresses equal.
#include "leat/backend/amd/amd_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "leat/base/numbers.h"

namespace leat {

namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint32_t kBlocksMax = 4096;
constexpr uint64_t kBytesMax = uint64_t{1} << 46;

struct PlaceFacts {
  uint32_t flags;
  uint64_t block_bytes;  // larger requests get a block of their own
};
// In the order of AmdPlace.
constexpr PlaceFacts kPlaces[] = {
    {kfd::kVram | kfd::kWritable, uint64_t{16} << 20},
    {kfd::kGtt | kfd::kWritable | kfd::kCoherent, uint64_t{4} << 20},
    {kfd::kGtt | kfd::kWritable | kfd::kExecutable | kfd::kCoherent, uint64_t{2} << 20},
};

}  // namespace

AmdMemory::~AmdMemory() {
  for (Block& block : blocks_) {
    if (block.size_bytes != 0 && !block.is_left) give_back(block);
  }
}

AmdRange AmdMemory::range_of(uint32_t index, uint64_t offset_bytes, uint64_t size_bytes) const {
  const Block& block = blocks_[index];
  return {block.address + offset_bytes, block.host == nullptr ? nullptr : block.host + offset_bytes,
          size_bytes, index};
}

Result<AmdRange> AmdMemory::allocate(uint64_t size_bytes, AmdPlace place) {
  CHECK(size_bytes > 0);
  if (size_bytes > kBytesMax) {
    return Error(ErrorKind::out_of_memory,
                 fmt::format("Allocation of ({}) bytes is larger than the limit ({}).", size_bytes,
                             kBytesMax));
  }
  size_bytes = round_up(size_bytes, kAlignment);
  for (uint32_t i = 0; i < blocks_.size(); ++i) {
    if (!blocks_[i].is_divided || blocks_[i].place != place) continue;
    const std::optional<uint64_t> offset_bytes = blocks_[i].holes.take(size_bytes);
    if (offset_bytes) return range_of(i, *offset_bytes, size_bytes);
  }
  const PlaceFacts& facts = kPlaces[static_cast<size_t>(place)];
  Block block;
  block.place = place;
  block.flags = facts.flags;
  block.is_divided = true;
  block.size_bytes = round_up(std::max(size_bytes, facts.block_bytes), kHugePage);
  block.holes = HoleList(block.size_bytes);
  TRY_ASSIGN(const uint32_t index, add_block(std::move(block), {}));
  return range_of(index, *blocks_[index].holes.take(size_bytes), size_bytes);
}

Result<AmdRange> AmdMemory::allocate_pages(uint64_t size_bytes, uint32_t flags) {
  Block block;
  block.flags = flags;
  block.size_bytes = size_bytes;
  TRY_ASSIGN(const uint32_t index, add_block(std::move(block), {}));
  return range_of(index, 0, size_bytes);
}

Result<AmdRange> AmdMemory::import(std::span<std::byte> pages) {
  Block block;
  block.flags = kfd::kUserptr | kfd::kWritable | kfd::kCoherent;
  block.size_bytes = pages.size();
  TRY_ASSIGN(const uint32_t index, add_block(std::move(block), pages));
  return range_of(index, 0, pages.size());
}

void AmdMemory::free(const AmdRange& range) {
  if (!range) return;
  Block& block = blocks_[range.block];
  if (block.is_left) return;
  if (!block.is_divided) return give_back(block);
  block.holes.give_back(range.address - block.address, range.size_bytes);
  const uint64_t usual_bytes = kPlaces[static_cast<size_t>(block.place)].block_bytes;
  if (block.holes.is_whole() && block.size_bytes > usual_bytes) give_back(block);
}

Result<uint32_t> AmdMemory::add_block(Block block, std::span<std::byte> pages) {
  const auto given_back =
      std::ranges::find_if(blocks_, [](const Block& b) { return b.size_bytes == 0; });
  const auto index = static_cast<uint32_t>(given_back - blocks_.begin());
  if (index >= kBlocksMax) {
    return Error(ErrorKind::out_of_memory,
                 fmt::format("All ({}) blocks of memory are in use.", kBlocksMax));
  }
  const Result<void> filled = fill(block, pages);
  if (!filled) give_back(block);
  TRY(filled);
  if (index == blocks_.size()) blocks_.emplace_back();
  blocks_[index] = std::move(block);
  return index;
}

Result<void> AmdMemory::fill(Block& block, std::span<std::byte> pages) {
  TRY(reserve(block));
  // For pages of the caller the offset takes their address.
  kfd::AllocMemory memory = {
      block.address, block.size_bytes, 0, reinterpret_cast<uint64_t>(pages.data()),
      kfd_.gpu_id(), block.flags};
  TRY(kfd_.call(kfd::kAllocMemory, memory, "memory"));
  block.handle = memory.handle;
  if (!pages.empty()) {
    block.host = pages.data();
  } else if ((block.flags & kfd::kGtt) != 0) {
    TRY_ASSIGN(block.host, kfd_.map_memory(reinterpret_cast<void*>(block.address), block.size_bytes,
                                           memory.mmap_offset));
  }
  TRY(set_mapped(block, kfd::kMapMemory, "to map memory for the GPU"));
  block.is_mapped = true;
  return {};
}

/// Addresses for the block, with a gap behind; large blocks begin where a large page can.
Result<void> AmdMemory::reserve(Block& block) {
  const uint64_t alignment = block.size_bytes >= kHugePage ? kHugePage : kfd::kPageBytes;
  const AmdOs& os = kfd_.os();
  block.reserved_bytes = block.size_bytes + alignment;
  block.reserved = os.mmap(os.context, nullptr, block.reserved_bytes, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block.reserved == nullptr) {
    return Error(ErrorKind::out_of_memory,
                 fmt::format("The system has no ({}) bytes of addresses ({}).",
                             block.reserved_bytes, std::strerror(errno)));
  }
  // One page short of the alignment, so that a page is left behind the block in any case.
  const auto first = reinterpret_cast<uint64_t>(block.reserved);
  block.address = (first + alignment - kfd::kPageBytes) / alignment * alignment;
  return {};
}

Result<void> AmdMemory::set_mapped(Block& block, uint32_t request, const char* what) {
  const uint32_t gpu_id = kfd_.gpu_id();
  kfd::MapMemory map = {block.handle, reinterpret_cast<uint64_t>(&gpu_id), 1, 0};
  return kfd_.call(request, map, what);
}

// A refusal leaves the memory to the process's end; there is nobody to tell.
void AmdMemory::give_back(Block& block) {
  if (block.is_mapped) (void)set_mapped(block, kfd::kUnmapMemory, "to unmap memory");
  if (block.handle != 0) (void)kfd_.call(kfd::kFreeMemory, block.handle, "to free memory");
  const AmdOs& os = kfd_.os();
  if (block.reserved != nullptr) os.munmap(os.context, block.reserved, block.reserved_bytes);
  block = {};
}

bool AmdMemory::allows(uint64_t address, uint64_t size_bytes, uint32_t rights) const {
  return std::ranges::any_of(blocks_, [&](const Block& block) {
    return size_bytes <= block.size_bytes && address >= block.address &&
           address - block.address <= block.size_bytes - size_bytes &&
           (block.flags & rights) == rights;
  });
}

}  // namespace leat
