// The list of backends: which devices there are, by which routes, and how to open one by name.
// Names: cpu; gpu0, gpu1, ... for chips, real ones first; gpu0:vulkan, gpu0:opengl for the routes
// of one; gpu0 alone is its best route that opens. "null" is opened when named and never listed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "leat/device/device.h"
#include "leat/device/recorder.h"

namespace leat {

/// A way to a device. info.name is what open_device takes. `refusal`, when not empty, says why it
/// cannot be used; an entry whose name is a route alone is a place where that route finds no
/// device.
struct FoundDevice {
  DeviceInfo info;
  std::string refusal;
};

/// Every route of every device, none left open, in the order of preference: real GPUs, the CPU,
/// software GPUs, and at the end routes that find nothing.
std::vector<FoundDevice> find_devices();
/// The same, each route asked in a child process of its own: a driver that crashes or hangs there
/// is a route that is refused. For who only wants to know; it costs a process a route.
std::vector<FoundDevice> ask_devices();

/// What a device must pass before it is used: a self-test. Null: nothing.
using DeviceCheck = std::function<Result<void>(Device&)>;

/// Opens `spec`: "" or "best" is the first GPU that is not software and opens, else the CPU;
/// without a kernel driver of GPUs (gpu_nodes.h) no driver is opened to find that out.
/// A route that does not open or does not pass `check` gives way to the chip's next one, unless it
/// is named. `threads` is for the CPU; 0 takes all. `fences` is the size of Device::fences().
/// Errors: invalid_argument (no such device, no fences), or those of the last route tried.
Result<std::unique_ptr<Device>> open_device(std::string_view spec, uint32_t threads,
                                            const DeviceCheck& check = nullptr,
                                            size_t fences = kFencesDefault);

/// What a direct route hands to a chip, without one at hand: the packets of the code object target
/// `target`, "gfx1100". Errors: invalid_argument, naming those that there are; unsupported, when
/// the build lacks the route.
Result<std::unique_ptr<Recorder>> open_recorder(std::string_view target);

/// The usable route to the same chip that comes after the one of that name: for work that was lost
/// on it. Nothing when it is the last.
std::optional<std::string> next_route(std::string_view name);

}  // namespace leat
