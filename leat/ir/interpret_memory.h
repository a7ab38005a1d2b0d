// The interpreter's memories: a kernel's buffers in storage types, and a workgroup's local memory.
// Every access is checked for its bounds and for races.
#pragma once

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

enum class AccessFault : uint8_t { none, out_of_bounds, read_race, write_race };

/// The end of a sentence on what is wrong with the access.
std::string fault_text(AccessFault fault, const AccessPoint& point, int64_t element_count);

/// A parameter's bytes, which it borrows. Values are 32-bit words: f16 is widened and rounded.
class GlobalBuffer {
 public:
  GlobalBuffer(const Parameter& parameter, std::span<std::byte> bytes, uint32_t wave_lanes);

  int64_t element_count() const { return element_count_; }
  AccessFault load(const AccessPoint& point, uint32_t& word);
  AccessFault store(const AccessPoint& point, uint32_t word);

 private:
  std::span<std::byte> bytes_;
  int64_t element_count_;
  bool is_half_;
  bool written_;
  RaceShadow shadow_;  // of no words when the kernel does not write the buffer
};

class LocalBuffer {
 public:
  LocalBuffer(const LocalMemory& local, uint32_t wave_lanes);

  int64_t element_count() const { return static_cast<int64_t>(words_.size()); }
  /// Fills the memory with what no program should read: a NaN, or 0xdeadbeef.
  void poison();
  /// After a barrier.
  void next_epoch() { shadow_.next_epoch(); }
  AccessFault load(const AccessPoint& point, uint32_t& word);
  AccessFault store(const AccessPoint& point, uint32_t word);

 private:
  std::vector<uint32_t> words_;
  uint32_t poison_word_;
  RaceShadow shadow_;
};

}  // namespace leat::ir
