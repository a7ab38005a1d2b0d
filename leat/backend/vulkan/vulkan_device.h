// The vulkan route: lists what the Vulkan drivers offer and opens one of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/route/found_route.h"

namespace leat {

/// In the drivers' order. When there is no Vulkan at all: one entry without a chip that says why.
std::vector<FoundRoute> find_vulkan_devices();

/// Opens entry `index` of find_vulkan_devices() under `name`.
/// Errors: unsupported (the refusal), io, out_of_memory.
Result<std::unique_ptr<Device>> open_vulkan_device(size_t index, std::string name);

}  // namespace leat
