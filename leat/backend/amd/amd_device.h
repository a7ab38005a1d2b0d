// The route `direct` to AMD GPUs: no ROCm, no library of the vendor; the kernel driver's compute
// interface (KFD) for set-up, then PM4 packets in a ring of our own and a doorbell; where there is
// no KFD, the same packets by the render node. docs/direct-amd.md explains it, and that no card has
// run it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/route/found_route.h"

namespace leat {

struct AmdOs;

/// In the topology's order. Without a card, or the right to use it: one entry that says why.
std::vector<FoundRoute> find_amd_devices();
std::vector<FoundRoute> find_amd_devices_on(const AmdOs& os);

/// Opens entry `index` of find_amd_devices() under `name`.
/// Errors: unsupported (the refusal), io, out_of_memory, device_lost.
Result<std::unique_ptr<Device>> open_amd_device(size_t index, std::string name);
/// `os` outlives the device. By KFD, else by the render node.
Result<std::unique_ptr<Device>> open_amd_device_on(const AmdOs& os, size_t index, std::string name);
/// By the render node alone.
Result<std::unique_ptr<Device>> open_amd_render_on(const AmdOs& os, size_t index, std::string name);

}  // namespace leat
