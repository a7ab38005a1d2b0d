// How much the checks notice: each bit of a capture's packets and kernel descriptors is turned, one
// at a time, and each byte of its code, and a sample of the code's bits; and the capture is run.
// What passes all the same is a survivor, and named.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat::amd_card {

struct MutationShare {
  /// "packets", "descriptors", "code bytes"; not counted in all: "code bits", and "hint bytes" and
  /// "hint bits", which change no result.
  std::string what;
  uint32_t turned = 0;
  uint32_t caught = 0;
};

struct MutationReport {
  std::vector<MutationShare> shares;
  std::vector<std::string> survivors;  // "packets, word 12, bit 3 (SET_SH_REG)"
};

/// Which bits are turned: each, or every n-th.
struct MutationStrides {
  uint32_t packets = 1;  // descriptors too
  uint32_t code_bytes = 1;
  uint32_t code_bits = 1;
};

/// Turns these bits. The capture must pass as it is. Errors: those of check_capture, and
/// invalid_argument.
Result<MutationReport> mutate_capture(const std::string& folder,
                                      const MutationStrides& strides = {});

/// Of packets, descriptors and code bytes.
MutationShare whole_of(const MutationReport& report);
/// "packets 1500 of 1568 (95.7 %), ..."
std::string summary_of(const MutationReport& report);

}  // namespace leat::amd_card
