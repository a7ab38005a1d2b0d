// The null device: keeps every rule of the seam (sizes, order, fences, lists) and runs no kernel.
// It is for tests of what drives a device, and for measuring what driving costs by itself.
// Its code format is the wave program's text form, which it keeps and does not read. Buffers are
// host memory, and copies move bytes when they are submitted, so that transfers can be tested.
#pragma once

#include <memory>

#include "leat/device/device.h"

namespace leat {

/// Never fails; the Result is for the list of backends.
Result<std::unique_ptr<Device>> open_null_device();

}  // namespace leat
