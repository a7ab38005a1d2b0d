#include "tests/wire/mock_gpu_memory.h"

#include <algorithm>

namespace leat::mock {

uint64_t GpuMemory::map(std::byte* host, uint64_t size_bytes, uint64_t alignment) {
  const uint64_t address = (next_ + alignment - 1) / alignment * alignment;
  ranges_[address] = {host, size_bytes};
  next_ = address + size_bytes + 0x10000;  // a hole behind each, so that overruns are seen
  return address;
}

std::byte* GpuMemory::at(uint64_t address, uint64_t size_bytes) const {
  if (bytes_behind(address) < std::max<uint64_t>(size_bytes, 1)) return nullptr;
  const auto range = std::prev(ranges_.upper_bound(address));
  return range->second.host + (address - range->first);
}

uint64_t GpuMemory::bytes_behind(uint64_t address) const {
  auto range = ranges_.upper_bound(address);
  if (range == ranges_.begin()) return 0;
  --range;
  const uint64_t end = range->first + range->second.size_bytes;
  return address < end ? end - address : 0;
}

bool GpuMemory::overlaps(uint64_t address, uint64_t size_bytes) const {
  return std::ranges::any_of(ranges_, [&](const auto& range) {
    return range.first < address + size_bytes && address < range.first + range.second.size_bytes;
  });
}

}  // namespace leat::mock
