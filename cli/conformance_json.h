// A summary of conformance cases as JSON, for results that are kept.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "leat/device/device.h"
#include "leat/model/conformance.h"

namespace leat::cli {

/// The device's facts, the counts, reasons for skips, and an entry for each case.
nlohmann::ordered_json json_of(const Summary& summary, Device& device);

}  // namespace leat::cli
