// The direct route without a card: the seam to the operating system answers as the kernel driver
// would, so that the route's own code makes the packets, and keeps what the card would see.
#pragma once

#include <memory>
#include <string_view>

#include "leat/device/recorder.h"

namespace leat {

/// For a chip of amd_chips.h. Errors: invalid_argument, when `target` is none; those of opening.
Result<std::unique_ptr<Recorder>> open_amd_recorder(std::string_view target);

}  // namespace leat
