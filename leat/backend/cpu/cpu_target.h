// Targets of the cpu backend: the machine we run on, and processors that code is made for
// elsewhere.
#pragma once

#include <cstdint>

#include "leat/base/target.h"

namespace leat {

/// The host: vectors as wide as it has (16 lanes with AVX-512, 8 with AVX2, else 4).
/// `threads` = 0 takes as many as the machine has cores.
Target host_cpu_target(uint32_t threads);

/// A plain ARMv8-A processor under Linux: 4 lanes, NEON.
Target aarch64_target();

}  // namespace leat
