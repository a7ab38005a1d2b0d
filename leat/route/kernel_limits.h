// Whether a KernelBinary is one that a device can take, by the numbers of its Target. What is
// inside of the code is the route's own to check.
#pragma once

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"
#include "leat/device/device.h"

namespace leat {

/// That the binary has the target's code format, some workgroups of some lanes, and is within the
/// target's limits. Errors: invalid_argument, naming value and limit.
Result<void> check_limits(const KernelBinary& binary, const Target& target,
                          const DeviceInfo& device);

/// For limits that only one route has. Errors: invalid_argument, as above.
Result<void> check_limit(const KernelBinary& binary, const DeviceInfo& device, const char* what,
                         uint64_t value, uint64_t limit);

}  // namespace leat
