// The roofline of a device: the most GFLOPS it was seen to reach, multiply-adds on registers only,
// in fp32 or by the matrix units that it has for an element type. Speeds are shown as a share of
// it, never of a data sheet's number.
#pragma once

#include <string>

#include "leat/base/dtype.h"
#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat {

/// Measures now: warms up until the rate is steady, then takes the best of several samples. Takes
/// up to two seconds. Uses all threads of a CPU. Counts 2 FLOP per multiply-add. By matrix units
/// where there are some for products of `element`, else in fp32.
Result<double> measure_peak_gflops(Device& device, DType element = DType::f32);

/// The value kept in `cache_folder` for this device, driver and number of threads, measured and
/// kept (with the date) when there is none. `cache_folder` empty: measured.
Result<double> measured_peak_gflops(Device& device, const std::string& cache_folder,
                                    DType element = DType::f32);

/// Keeps `gflops` as the device's peak, when it is more than what is kept.
void keep_peak_gflops(Device& device, const std::string& cache_folder, double gflops,
                      DType element = DType::f32);

}  // namespace leat
