// Recorder: a device that is not there, for which a route's own code makes memory, packets and
// doorbells all the same, so that what the device would see can be written down. Nothing computes:
// of each submit only what lets the host go on is done, copies and fences.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "leat/device/device.h"

namespace leat {

/// Memory of the device as it is mapped for it.
struct RecordedRegion {
  std::string name;
  std::string kind;    // "code", "data", "ring", "signal", "pointers", "scratch"
  std::string access;  // of "rwx"
  uint64_t address = 0;
  uint64_t size_bytes = 0;
  std::byte fill = {};
  std::vector<std::byte> bytes;  // those at the end that are `fill` are left out
};

/// A number that a submit raises at its end.
struct RecordedFence {
  uint64_t address = 0;
  uint32_t bits = 64;
  uint64_t value = 0;
};

/// A submit as it stands when its doorbell is written.
struct RecordedSubmit {
  std::vector<RecordedRegion> regions;
  uint64_t ring = 0;
  uint64_t ring_dwords = 0;
  uint64_t read_dwords = 0;  // since the queue was made, as written_dwords
  uint64_t written_dwords = 0;
  uint64_t write_pointer = 0;  // its address
  std::vector<RecordedFence> fences;
  std::string text;  // the packets, those of called buffers indented, for people
};

/// A kernel where the device finds it, and what its launches are.
struct RecordedKernel {
  uint64_t entry = 0;
  uint64_t descriptor = 0;
  uint32_t groups[3] = {1, 1, 1};
  uint32_t lanes[3] = {1, 1, 1};  // of a workgroup
  uint32_t local_bytes = 0;       // of local memory, as a launch asks for it
};

class Recorder {
 public:
  virtual ~Recorder() = default;

  /// The code object target, as "gfx1100".
  virtual const std::string& target() const = 0;
  /// Lives as long as the recorder.
  virtual Device& device() = 0;
  /// What was submitted last, before anybody waits for it: waiting ends it.
  /// Errors: invalid_argument, when nothing is in flight.
  virtual Result<RecordedSubmit> in_flight() = 0;
  /// Both of this device.
  virtual uint64_t address_of(const BufferRange& range) = 0;
  virtual RecordedKernel facts_of(const Kernel& kernel) = 0;
};

}  // namespace leat
