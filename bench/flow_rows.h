// The rows of `leat bench flow` that need no model: what polling, waiting and being blocked cost.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/progress.h"
#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat::cli {

/// One figure.
struct FlowRow {
  std::string name;
  std::string what;
  double value = 0;
  std::string unit;
  std::string goal;             // as the project's issue states it; empty when it states none
  std::vector<double> samples;  // in the row's unit; the value is their median
  double p99 = 0;
};

/// Fence and wait rows of one device. `rounds` submits for each way of waiting.
Result<std::vector<FlowRow>> measure_fences(Device& device, uint32_t rounds, Progress& progress);

nlohmann::ordered_json json_of(const FlowRow& row);

}  // namespace leat::cli
