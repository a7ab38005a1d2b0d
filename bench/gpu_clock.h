// The clock a GPU runs at. NVIDIA's idles far below its full clock and rises only after a while of
// load, so a speed without its clock says little (bench/README.md).
#pragma once

#include <optional>

#include "bench/samples.h"
#include "leat/device/device.h"

namespace leat::cli {

/// MHz while `load` keeps the device busy, as nvidia-smi tells it for its first GPU; nothing for
/// other vendors, for software, and where nvidia-smi is missing.
Result<std::optional<double>> clock_under_load(const DeviceInfo& info, const TimedRun& load);

}  // namespace leat::cli
