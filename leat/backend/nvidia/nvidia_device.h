// The route `direct` to NVIDIA GPUs: no CUDA, no library of the vendor; the kernel driver's own
// interface for set-up, then a ring in video memory and a doorbell. docs/direct-nvidia.md explains
// it and its safety rules.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/route/found_route.h"

namespace leat {

struct NvidiaOs;

/// In the driver's order. Without NVIDIA's kernel driver: one entry without a chip that says why.
std::vector<FoundRoute> find_nvidia_devices();
std::vector<FoundRoute> find_nvidia_devices_on(const NvidiaOs& os);

/// Opens entry `index` of find_nvidia_devices() under `name`.
/// Errors: unsupported (the refusal), io, out_of_memory.
Result<std::unique_ptr<Device>> open_nvidia_device(size_t index, std::string name);
/// `os` outlives the device.
Result<std::unique_ptr<Device>> open_nvidia_device_on(const NvidiaOs& os, size_t index,
                                                      std::string name);

}  // namespace leat
