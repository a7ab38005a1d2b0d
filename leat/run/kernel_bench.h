// How fast a kernel of one's own is, and the most that its device does: operations on registers
// (peak.h), bytes by kernels that only read or copy as much memory.
#pragma once

#include <vector>

#include "leat/base/dtype.h"
#include "leat/run/user_kernel.h"

namespace leat {

struct KernelRate {
  double median_us = 0;  // of one launch
  double p99_us = 0;
  std::vector<double> samples_us;
  uint32_t launches_per_sample = 1;  // in a row, from submit to fence
};

/// Measures for so many seconds at least once the device is warm. Arguments were written.
/// Errors: device_lost.
Result<KernelRate> measure_kernel(LoadedKernel& kernel, double seconds);

/// Gigabytes (1e9) a second that are read and written at best, by kernels that touch `bytes` bytes:
/// what fits a cache is faster. Errors: those of devices.
Result<double> measure_stream_gbps(Device& device, uint64_t bytes);

/// What the kernel's products are of, where it has some: whose peak is its peak.
DType product_element(const UserKernel& kernel);

}  // namespace leat
