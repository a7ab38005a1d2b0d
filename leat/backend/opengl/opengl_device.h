// The opengl route: compute shaders in SPIR-V through OpenGL 4.5 with ARB_gl_spirv or 4.6, on a
// context made by EGL without a window or an X server. Buffer k of a kernel is shader-storage
// binding k. Works on NVIDIA's driver and on Mesa, its software renderer llvmpipe included.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/route/found_route.h"

namespace leat {

/// Looks at every EGL device, in EGL's order; the calling thread's own GL context is left alone.
/// Without EGL the list holds one entry, which says so.
std::vector<FoundRoute> find_opengl_devices();

/// Opens the device at `index` of that list and gives it `name`. Kernels and buffers die before it.
/// Errors: unsupported, invalid_argument (no such index).
Result<std::unique_ptr<Device>> open_opengl_device(size_t index, std::string name);

}  // namespace leat
