// The known-answer self-test: a route is used only after it has computed something we know.
#pragma once

#include <string>

#include "leat/device/device.h"

namespace leat {

/// Runs a small matrix product with its epilogue on the device and compares every element with the
/// reference. `cache_folder` as in NetworkOptions.
/// Errors: internal, with the first wrong element; and whatever the device says.
Result<void> self_test(Device& device, const std::string& cache_folder);

}  // namespace leat
