#include "tests/amd/amd_emulator_memory.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat::amd_card {

namespace {

auto first_above(const std::vector<std::unique_ptr<MemoryRange>>& ranges, uint64_t va) {
  return std::upper_bound(ranges.begin(), ranges.end(), va,
                          [](uint64_t a, const auto& range) { return a < range->va; });
}

}  // namespace

bool GpuMemory::map(uint64_t va, uint64_t size, uint8_t* host, uint8_t access,
                    const std::string& name, bool watched) {
  if (size == 0 || va + size < va) return false;
  const auto next = first_above(ranges_, va);
  if (next != ranges_.end() && (*next)->va < va + size) return false;
  if (next != ranges_.begin() && (*(next - 1))->va + (*(next - 1))->size > va) return false;
  auto range = std::make_unique<MemoryRange>();
  range->va = va;
  range->size = size;
  range->host = host;
  range->access = access;
  range->name = name;
  if (watched) {
    range->shadow = std::make_unique<WordShadow>();
    range->shadow->writer.resize(size / 4 + 1);
    range->shadow->reader.resize(size / 4 + 1);
  }
  ranges_.insert(next, std::move(range));
  return true;
}

void GpuMemory::forget_touches() {
  for (const auto& range : ranges_) {
    if (range->shadow == nullptr) continue;
    std::ranges::fill(range->shadow->writer, 0);
    std::ranges::fill(range->shadow->reader, 0);
  }
}

bool GpuMemory::unmap(uint64_t va) {
  const auto found =
      std::ranges::find_if(ranges_, [&](const auto& range) { return range->va == va; });
  if (found == ranges_.end()) return false;
  ranges_.erase(found);
  return true;
}

MemoryRange* GpuMemory::find(uint64_t va, uint64_t size) {
  const auto next = first_above(ranges_, va);
  if (next == ranges_.begin()) return nullptr;
  MemoryRange* range = (next - 1)->get();
  return va - range->va < range->size && range->size - (va - range->va) >= size ? range : nullptr;
}

uint8_t* GpuMemory::at(uint64_t va, uint64_t size, uint8_t access) {
  MemoryRange* range = find(va, size);
  if (range == nullptr || (range->access & access) != access) return nullptr;
  return range->host + (va - range->va);
}

std::string GpuMemory::describe(uint64_t va) const {
  const auto next = first_above(ranges_, va);
  if (next == ranges_.begin()) return "unmapped";
  const MemoryRange& range = **(next - 1);
  if (va - range.va >= range.size) {
    return fmt::format("unmapped, {} bytes behind \"{}\"", va - range.va - range.size, range.name);
  }
  return fmt::format("\"{}\" ({}{}{}), which ends {} bytes later", range.name,
                     (range.access & kRead) != 0 ? "r" : "-",
                     (range.access & kWrite) != 0 ? "w" : "-",
                     (range.access & kRun) != 0 ? "x" : "-", range.size - (va - range.va));
}

}  // namespace leat::amd_card
