// The cpu device: the machine's own processor, through kernels made for it and a pool of threads.
// There is one memory, so both kinds of buffers are host memory and nothing is ever staged.
#pragma once

#include <memory>

#include "leat/device/device.h"

namespace leat {

/// Opens the processor with `threads` threads; 0 takes one a core.
/// Errors: internal (LLVM's JIT does not start); invalid_argument, above 4096 threads.
Result<std::unique_ptr<Device>> open_cpu_device(uint32_t threads);

}  // namespace leat
