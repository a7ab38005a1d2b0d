// Whether this system can have a GPU at all, told from the device files of kernel drivers: a look
// into a folder, where opening what Vulkan and EGL find costs hundreds of milliseconds.
#pragma once

#include <string>

namespace leat {

/// False when `folder`, which is /dev but in tests, has no file of any kernel driver of GPUs. Those
/// of virtual machines and displays count, so true promises nothing. True when it cannot be read.
bool may_have_gpu(const std::string& folder = "/dev");

}  // namespace leat
