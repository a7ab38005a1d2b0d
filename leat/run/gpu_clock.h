// The clock a GPU runs at. NVIDIA's idles far below its full clock and rises only after a while of
// load, so a speed without its clock says little (bench/README.md).
#pragma once

#include <optional>

#include "leat/device/device.h"
#include "leat/run/warm_up.h"

namespace leat {

struct GpuClock {
  double mhz = 0;
  double mhz_max = 0;  // 0: not told

  /// A speed at such a clock is no measure of the device.
  bool is_low() const { return mhz < 0.9 * mhz_max; }
};

/// The clock while `load` keeps the device busy, as nvidia-smi tells it for its first GPU; nothing
/// for other vendors, for software, with borrowed rights, and where nvidia-smi is missing.
Result<std::optional<GpuClock>> clock_under_load(const DeviceInfo& info, const TimedRun& load);

/// GpuClock::mhz of it.
Result<std::optional<double>> mhz_under_load(const DeviceInfo& info, const TimedRun& load);

}  // namespace leat
