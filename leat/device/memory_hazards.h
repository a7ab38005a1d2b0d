// Which commands have to wait for which: a barrier stands only where a command touches what one
// before it has written, or writes what one before it has touched. What does not meet runs
// together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace leat {

/// A span of memory that a command reads or writes.
struct MemoryAccess {
  uint64_t address = 0;
  uint64_t size_bytes = 0;
  bool written = false;
  uint64_t buffer = 0;  // addresses count from its start; 0: from that of the address space
};

/// Whether the one has to wait for the other.
inline bool conflict(const MemoryAccess& a, const MemoryAccess& b) {
  return a.address < b.address + b.size_bytes && b.address < a.address + a.size_bytes &&
         (a.written || b.written) && a.buffer == b.buffer;
}

/// The accesses since the last barrier.
class MemoryHazards {
 public:
  /// So that no command of up to `accesses` allocates.
  void reserve(size_t accesses) { accesses_.reserve(kAccessesMax + accesses); }
  /// Adds a command's accesses. True if a barrier has to stand before it: it conflicts with an
  /// earlier command, or there are too many of them to compare with. Then those are forgotten.
  bool add(std::span<const MemoryAccess> accesses) {
    const bool waits = must_wait_ || meets(accesses);
    if (waits) clear();
    for (const MemoryAccess& access : accesses) {
      accesses_.push_back(access);
      all_.add(access);
      if (access.written) written_.add(access);
    }
    return waits;
  }
  /// The next command waits for those so far, whatever it touches.
  void close() { must_wait_ = !accesses_.empty(); }
  /// Behind a barrier.
  void clear() {
    accesses_.clear();
    all_ = written_ = {};
    must_wait_ = false;
  }

 private:
  static constexpr size_t kAccessesMax = 256;  // compared with each argument of a launch

  /// What lies outside of it conflicts with nothing in it, in whichever buffer.
  struct Hull {
    uint64_t begin = UINT64_MAX;
    uint64_t end = 0;

    void add(const MemoryAccess& access) {
      begin = std::min(begin, access.address);
      end = std::max(end, access.address + access.size_bytes);
    }
    bool meets(const MemoryAccess& access) const {
      return access.address < end && begin < access.address + access.size_bytes;
    }
  };

  bool meets(std::span<const MemoryAccess> accesses) const {
    if (accesses_.size() + accesses.size() > kAccessesMax) return !accesses_.empty();
    return std::ranges::any_of(accesses, [&](const MemoryAccess& access) {
      if (!(access.written ? all_ : written_).meets(access)) return false;
      return std::ranges::any_of(
          accesses_, [&](const MemoryAccess& earlier) { return conflict(earlier, access); });
    });
  }

  Hull all_, written_;
  std::vector<MemoryAccess> accesses_;
  bool must_wait_ = false;
};

}  // namespace leat
