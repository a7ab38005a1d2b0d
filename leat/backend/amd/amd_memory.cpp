// Source of the flags and of the order of calls: Linux amdkfd/kfd_chardev.c,
// amdgpu/amdgpu_amdkfd_gpuvm.c; flag sets of a working client: ROCm/hrx-system
// libamdf/src/gpu/umd/kfd. Reserved addresses, taken by a fixed mapping, are how ROCm's thunk
// (libhsakmt fmm.c) makes both addresses equal.
#include "leat/backend/amd/amd_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace leat {

namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;
// Both in the order of AmdPlace.
constexpr uint32_t kFlags[] = {
    kfd::kVram | kfd::kWritable,
    kfd::kGtt | kfd::kWritable | kfd::kCoherent,
    kfd::kGtt | kfd::kWritable | kfd::kExecutable | kfd::kCoherent,
};
constexpr uint64_t kBlockBytes[] = {uint64_t{16} << 20, uint64_t{4} << 20, uint64_t{2} << 20};
constexpr DirectSizes kSizes = {kBlockBytes, 256, uint64_t{1} << 46};

}  // namespace

AmdMemory::AmdMemory(AmdKfd& kfd, AmdDrm& drm) : kfd_(kfd), drm_(drm), blocks_(*this, kSizes) {}

Result<DirectRange> AmdMemory::allocate_pages(uint64_t size_bytes, uint32_t flags) {
  Block block;
  block.driver.flags = flags;
  block.size_bytes = size_bytes;
  return blocks_.add_whole(std::move(block));
}

Result<DirectRange> AmdMemory::import(std::span<std::byte> pages) {
  Block block;
  block.driver.flags = kfd::kUserptr | kfd::kWritable | kfd::kCoherent;
  block.host = pages.data();
  block.size_bytes = pages.size();
  return blocks_.add_whole(std::move(block));
}

// A dma-buf tells its size by where it ends: Linux Documentation/driver-api/dma-buf.rst.
Result<DirectRange> AmdMemory::import_dma_buf(int fd, uint64_t size_bytes) {
  const off_t end = ::lseek(fd, 0, SEEK_END);
  const auto end_bytes = static_cast<uint64_t>(end);
  if (end <= 0 || end_bytes < size_bytes || end_bytes % kfd::kPageBytes != 0) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Descriptor ({}) is no dma-buf of ({}) bytes in whole pages.", fd, size_bytes));
  }
  Block block;
  block.driver.flags = kfd::kGtt | kfd::kWritable;
  block.driver.dma_buf = fd;
  block.size_bytes = end_bytes;
  return blocks_.add_whole(std::move(block));
}

Result<void> AmdMemory::fill(Block& block) {
  if (block.is_divided) block.driver.flags = kFlags[static_cast<size_t>(block.place)];
  TRY(reserve(block));
  if (drm_.is_open()) return fill_by_drm(block);
  if (block.driver.dma_buf < 0) {
    TRY(fill_by_kfd(block));
  } else {
    kfd::ImportDmaBuf import = {block.address, 0, kfd_.gpu_id(),
                                static_cast<uint32_t>(block.driver.dma_buf)};
    TRY(kfd_.call(kfd::kImportDmaBuf, import, "a dma-buf"));
    block.driver.handle = import.handle;
  }
  TRY(set_mapped(block, kfd::kMapMemory, "to map memory for the GPU"));
  block.driver.is_mapped = true;
  return {};
}

Result<void> AmdMemory::fill_by_kfd(Block& block) {
  // For pages of the caller the offset takes their address.
  kfd::AllocMemory memory = {
      block.address, block.size_bytes,  0, reinterpret_cast<uint64_t>(block.host),
      kfd_.gpu_id(), block.driver.flags};
  TRY(kfd_.call(kfd::kAllocMemory, memory, "memory"));
  block.driver.handle = memory.handle;
  if (block.host == nullptr && (block.driver.flags & kfd::kGtt) != 0) {
    TRY_ASSIGN(block.host, kfd_.map_memory(reinterpret_cast<void*>(block.address), block.size_bytes,
                                           memory.mmap_offset));
  }
  return {};
}

Result<void> AmdMemory::fill_by_drm(Block& block) {
  AmdMapping& mapping = block.driver;
  const bool is_callers = (mapping.flags & kfd::kUserptr) != 0;
  const bool is_video = (mapping.flags & kfd::kVram) != 0;
  const bool is_dma_buf = mapping.dma_buf >= 0;
  Result<uint32_t> handle = is_callers ? drm_.import({block.host, block.size_bytes})
                            : is_dma_buf
                                ? drm_.import_dma_buf(mapping.dma_buf)
                                : drm_.create(block.size_bytes, is_video ? drm::kVram : drm::kGtt);
  TRY(handle);
  mapping.handle = *handle;
  if (!is_callers && !is_video && !is_dma_buf) {
    TRY_ASSIGN(block.host, drm_.map_host(*handle, block.address, block.size_bytes));
  }
  TRY(drm_.map(*handle, block.address, block.size_bytes, (mapping.flags & kfd::kExecutable) != 0));
  mapping.is_mapped = true;
  return {};
}

/// Addresses for the block, with a gap behind; large blocks begin where a large page can.
Result<void> AmdMemory::reserve(Block& block) {
  const uint64_t alignment = block.size_bytes >= kHugePage ? kHugePage : kfd::kPageBytes;
  const AmdOs& os = kfd_.os();
  block.driver.reserved_bytes = block.size_bytes + alignment;
  block.driver.reserved = os.mmap(os.context, nullptr, block.driver.reserved_bytes, PROT_NONE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block.driver.reserved == nullptr) {
    return Error(ErrorKind::out_of_memory,
                 fmt::format("The system has no ({}) bytes of addresses ({}).",
                             block.driver.reserved_bytes, std::strerror(errno)));
  }
  // One page short of the alignment, so that a page is left behind the block in any case.
  const auto first = reinterpret_cast<uint64_t>(block.driver.reserved);
  block.address = (first + alignment - kfd::kPageBytes) / alignment * alignment;
  return {};
}

Result<void> AmdMemory::set_mapped(Block& block, uint32_t request, const char* what) {
  const uint32_t gpu_id = kfd_.gpu_id();
  kfd::MapMemory map = {block.driver.handle, reinterpret_cast<uint64_t>(&gpu_id), 1, 0};
  return kfd_.call(request, map, what);
}

// A refusal leaves the memory to the process's end; there is nobody to tell.
void AmdMemory::give_back(Block& block) {
  AmdMapping& mapping = block.driver;
  if (mapping.is_left) return;
  if (drm_.is_open()) {
    const auto handle = static_cast<uint32_t>(mapping.handle);
    if (mapping.is_mapped) drm_.unmap(handle, block.address, block.size_bytes);
    if (handle != 0) drm_.close(handle);
    mapping.is_mapped = false;
    mapping.handle = 0;
  }
  if (mapping.is_mapped) (void)set_mapped(block, kfd::kUnmapMemory, "to unmap memory");
  if (mapping.handle != 0) (void)kfd_.call(kfd::kFreeMemory, mapping.handle, "to free memory");
  const AmdOs& os = kfd_.os();
  if (mapping.reserved != nullptr) os.munmap(os.context, mapping.reserved, mapping.reserved_bytes);
  block = {};
}

bool AmdMemory::allows(uint64_t address, uint64_t size_bytes, uint32_t rights) const {
  const Block* block = blocks_.find(address, size_bytes);
  return block != nullptr && (block->driver.flags & rights) == rights;
}

}  // namespace leat
