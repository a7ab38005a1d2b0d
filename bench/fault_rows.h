// What a device does when something goes wrong on it, provoked by us: for its owner, who asks for
// it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat::cli {

struct FaultRow {
  std::string name;
  std::string text;
  double noticed_ms = 0;    // from the submit to the passed deadline
  double recovered_ms = 0;  // from there until the queue is made again, or the device given up
  bool goes_on = false;     // a kernel runs afterwards
  std::string error;        // of the device that was given up
};

/// A kernel runs past its deadline, and the queue is made anew. The device may be given up by it.
/// Errors: those of the device before anything went wrong; internal, when results are wrong after.
Result<std::vector<FaultRow>> provoke_faults(Device& device);

nlohmann::ordered_json json_of(const std::vector<FaultRow>& rows);

}  // namespace leat::cli
