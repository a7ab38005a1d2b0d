// The roofline of a device: the most fp32 GFLOPS it was seen to reach, multiply-adds on registers
// only. Speeds are shown as a share of it, never of a data sheet's number.
#pragma once

#include <string>

#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat {

/// Measures now: warms up until the rate is steady, then takes the best of several samples. Takes
/// up to two seconds. Uses all threads of a CPU. Counts 2 FLOP per multiply-add.
Result<double> measure_peak_gflops(Device& device);

/// The value kept in `cache_folder` for this device, driver and number of threads, measured and
/// kept (with the date) when there is none. `cache_folder` empty: measured.
Result<double> measured_peak_gflops(Device& device, const std::string& cache_folder);

/// Keeps `gflops` as the device's peak, when it is more than what is kept.
void keep_peak_gflops(Device& device, const std::string& cache_folder, double gflops);

}  // namespace leat
