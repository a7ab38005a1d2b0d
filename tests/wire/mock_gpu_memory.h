// The mock's GPU address space: ranges that stand for pages of this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace leat::mock {

class GpuMemory {
 public:
  /// Maps `size_bytes` of `host` at an address of the mock's choice and returns it.
  uint64_t map(std::byte* host, uint64_t size_bytes, uint64_t alignment);
  void unmap(uint64_t address) { ranges_.erase(address); }
  /// Null unless all of it lies in one range.
  std::byte* at(uint64_t address, uint64_t size_bytes) const;
  /// The bytes of the range from `address` to its end.
  uint64_t bytes_behind(uint64_t address) const;
  bool overlaps(uint64_t address, uint64_t size_bytes) const;
  size_t count() const { return ranges_.size(); }

 private:
  struct Range {
    std::byte* host = nullptr;
    uint64_t size_bytes = 0;
  };
  std::map<uint64_t, Range> ranges_;  // by address
  uint64_t next_ = 0x120000000;       // where driver 580 was seen to begin
};

}  // namespace leat::mock
