// The cpu device: the machine's own processor, through kernels made for it and a pool of threads.
// There is one memory, so both kinds of buffers are host memory and nothing is ever staged.
#pragma once

#include <memory>

#include "leat/device/device.h"

namespace leat {

/// Opens the processor with `threads` threads; 0 takes one a core.
/// It takes objects that are linked already in any build and process; others need LLVM's JIT, which
/// starts with the first. Errors: invalid_argument, above 4096 threads; out_of_memory.
Result<std::unique_ptr<Device>> open_cpu_device(uint32_t threads);

}  // namespace leat
