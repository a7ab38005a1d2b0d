// The GPU's address space as the emulator sees it: mapped ranges with rights, gaps between them,
// and for each 32-bit word who touched it last, by which a launch that reads or overwrites another
// launch's words without the wait and the cache invalidation in between is found.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace leat::amd_card {

inline constexpr uint8_t kRead = 1;
inline constexpr uint8_t kWrite = 2;
inline constexpr uint8_t kRun = 4;

/// The last launches that touched each word; 0 is none. Launches count from 1.
struct WordShadow {
  std::vector<uint32_t> writer;
  std::vector<uint32_t> reader;
};

struct MemoryRange {
  uint64_t va = 0;
  uint64_t size = 0;
  uint8_t* host = nullptr;  // where the bytes lie; owned by whoever mapped them
  uint8_t access = 0;       // kRead | kWrite | kRun
  std::string name;
  std::unique_ptr<WordShadow> shadow;  // null: touches are not watched
};

class GpuMemory {
 public:
  /// Maps a range; false when it overlaps another one or is empty. `watched` keeps a WordShadow.
  bool map(uint64_t va, uint64_t size, uint8_t* host, uint8_t access, const std::string& name,
           bool watched = false);
  /// False when no range begins there.
  bool unmap(uint64_t va);

  /// The range that holds all of [va, va + size), or null. Rights are the caller's to check.
  MemoryRange* find(uint64_t va, uint64_t size);

  /// Host pointer of [va, va + size) when it is mapped with all of `access`; else null.
  uint8_t* at(uint64_t va, uint64_t size, uint8_t access);

  /// Empties all shadows.
  void forget_touches();

  /// "unmapped", or the name and rights of the range that holds `va`.
  std::string describe(uint64_t va) const;

  std::vector<std::unique_ptr<MemoryRange>>& ranges() { return ranges_; }

 private:
  std::vector<std::unique_ptr<MemoryRange>> ranges_;  // by address
};

/// What a launch may rely on: words of launches up to `vector` (and `scalar`) are visible to it.
struct Visibility {
  uint32_t launch = 0;  // the launch that runs
  uint32_t vector = 0;
  uint32_t scalar = 0;
};

}  // namespace leat::amd_card
