// The mock GPU as one more device for the suites that run on devices; absent where the direct route
// is not built.
#pragma once

#include <memory>

#include "leat/device/device.h"

namespace leat {

/// Its name among devices.
inline constexpr char kMockGpu[] = "mock:direct";

bool has_mock_gpu();
Result<std::unique_ptr<Device>> open_mock_gpu();

}  // namespace leat
