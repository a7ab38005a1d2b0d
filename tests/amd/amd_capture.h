// Reads a GPU submission capture (format 1: regions of GPU memory and steps), runs it on the
// emulated card and judges the results, knowing nothing of what made it. What the contract says is
// checked: fences, bytes that may change, intended dispatches, expected tensors, operations
// computed again.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"
#include "tests/amd/amd_emulator.h"

namespace leat::amd_card {

/// Bits of one byte of GPU memory that are turned before the first step.
struct BitFlip {
  uint64_t va = 0;
  uint8_t mask = 0;
};

struct CaptureOptions {
  WaveOrder order = WaveOrder::forward;
  uint64_t seed = 1;
  std::vector<BitFlip> flips;
  uint64_t instructions_max = uint64_t{1} << 33;  // of one launch
};

struct CaptureReport {
  std::vector<std::string> failures;  // empty: the capture passes
  uint32_t submissions = 0;
  uint32_t launches = 0;
  uint32_t fences = 0;
  uint32_t tensors = 0;  // compared, of `expect` steps and of `ops`
  uint64_t instructions = 0;
};

/// Errors: io or invalid_argument, when the capture cannot be read; what it does wrong when it is
/// run stands in the report.
Result<CaptureReport> check_capture(const std::string& folder, const CaptureOptions& options);

}  // namespace leat::amd_card
