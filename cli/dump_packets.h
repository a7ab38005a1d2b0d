// What `leat dump --after packets` shows: what a direct route hands to a chip, without one at hand.
#pragma once

#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat::cli {

struct DumpedPackets {
  std::string model;
  std::string target;               // "gfx1100"
  std::vector<std::string> inputs;  // [NAME=]FILE; what is not given is random, of a fixed seed
  std::string folder;               // of a capture; empty: none is written
  bool trusts_kernels = false;
};

/// The packets of one run as text; with a folder what was written there. Expected values come from
/// the device "cpu". Errors: those of reading the model and its inputs, of compiling for the
/// target, of writing.
Result<std::string> packets_of(const DumpedPackets& wanted);

}  // namespace leat::cli
