// Where a network's bytes lie on a device and why: a table made from what the device says of its
// memory, held against measured bandwidths. `leat devices -v` shows it.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat {

/// Gigabytes (1e9 bytes) a second, the best of a few rounds; 0 where there is no such way.
struct MemoryProbe {
  double host_writes_shared = 0;
  double host_reads_shared = 0;
  double host_writes_window = 0;
  double host_writes_device = 0;  // device memory that is mapped anyhow: unified
  double copy_in = 0;             // shared to device, by the queue, from submit to fence
  double copy_out = 0;            // device to shared
  double copy_inside = 0;         // device to device; each byte is read and written
};

/// Takes a tenth of a second or so. The device is not otherwise used meanwhile.
/// Errors: out_of_memory, device_lost.
Result<MemoryProbe> probe_memory(Device& device);

/// One row: what, where it lies, and why.
struct MemoryDecision {
  std::string what;
  std::string place;
  std::string reason;
  bool is_verified = false;  // the probe bears the capability out
};
std::vector<MemoryDecision> decide_memory(const MemoryFacts& facts, const MemoryProbe& probe);

}  // namespace leat
