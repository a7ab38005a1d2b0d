// The interpreter's memories: a kernel's buffers in storage types, and a workgroup's local memory.
// Every access is checked for its bounds and for races.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "leat/ir/ir.h"
#include "leat/ir/race_shadow.h"

namespace leat::ir {

/// One element accessed by one lane, or, where the address is uniform, by all lanes of a wave.
struct AccessPoint {
  int64_t element = 0;
  uint32_t wave = 0;
  uint32_t lane = 0;
  bool varying = false;
};

enum class AccessFault : uint8_t {
  none,
  out_of_bounds,
  read_race,
  write_race,
  not_arrived,
  not_written
};

/// The end of a sentence on what is wrong with the access.
std::string fault_text(AccessFault fault, const AccessPoint& point, int64_t element_count);

/// A parameter's bytes, which it borrows. A word is a value as in storage.h.
class GlobalBuffer {
 public:
  /// `order` lives as long as the buffer; null: workgroups do not meet.
  GlobalBuffer(const Parameter& parameter, std::span<std::byte> bytes, uint32_t wave_lanes,
               const GroupOrder* order);

  int64_t element_count() const { return element_count_; }
  /// Elements that were written so far.
  int64_t written_count() const { return std::ranges::count(touched_, true); }
  AccessFault load(const AccessPoint& point, uint64_t& word);
  /// The element's bits as they are stored.
  AccessFault load_bits(const AccessPoint& point, uint64_t& bits);
  AccessFault store(const AccessPoint& point, uint64_t word);
  /// Adds atomically; `before` is what was there. The storage is of 32 bits.
  AccessFault add(const AccessPoint& point, uint64_t word, uint64_t& before);
  /// Adds 1 for a whole workgroup, or sets 0 if that makes `count`; then `is_last` is true.
  AccessFault arrive(const AccessPoint& point, int32_t count, bool& is_last);

 private:
  uint64_t bits_at(size_t element) const;
  void set_bits(size_t element, uint64_t bits);

  std::span<std::byte> bytes_;
  int64_t element_count_;
  DType storage_;
  size_t element_bytes_;
  bool written_;
  std::vector<bool> touched_;  // by a write; of no elements when the kernel does not write
  RaceShadow shadow_;          // likewise
};

class LocalBuffer {
 public:
  /// `refuses_unwritten`: a load of what was not written since poison() is a fault.
  LocalBuffer(const LocalMemory& local, uint32_t wave_lanes, bool refuses_unwritten);

  int64_t element_count() const { return static_cast<int64_t>(elements_.size()); }
  /// Fills the memory with what no program should read: a NaN, or 0xdeadbeef.
  void poison();
  /// After a barrier.
  void next_epoch() { shadow_.next_epoch(); }
  AccessFault load(const AccessPoint& point, uint64_t& word);
  AccessFault store(const AccessPoint& point, uint64_t word);
  /// From here to finish_copy nobody may touch the element; then it has these bits.
  AccessFault start_copy(const AccessPoint& point);
  AccessFault finish_copy(const AccessPoint& point, uint64_t bits);

 private:
  AccessFault check(const AccessPoint& point) const;

  std::vector<uint64_t> elements_;  // their bits
  std::vector<bool> coming_;        // an asynchronous copy will write it
  std::vector<bool> unwritten_;     // of no elements where nobody asks
  DType storage_;
  RaceShadow shadow_;
};

}  // namespace leat::ir
