// From EGL's list of chips to an OpenGL context without a window, and what the context says of its
// chip. EGL binds a context to one thread, and the chosen API (eglBindAPI) too, so everything here
// is called on the thread that is going to run the GL commands.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "leat/backend/opengl/opengl_api.h"
#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/device/device.h"

namespace leat {

/// One entry of EGL's list of devices. Displays stay initialised until the process ends: EGL hands
/// the same display to every caller in the process, so ending it here would end it for all.
struct EglChip {
  EGLDisplay display = EGL_NO_DISPLAY;
  std::string label;  // "EGL device 0", "Mesa surfaceless platform"
};

/// All EGL devices; where EGL cannot enumerate them, Mesa's surfaceless platform alone.
/// Errors: unsupported, when EGL offers neither.
Result<std::vector<EglChip>> list_egl_chips(const EglApi& egl);

/// What a context says of its chip.
struct OpenglFacts {
  DeviceInfo info;  // without its name
  Target target;
  std::string uuid_hex;  // 32 hex digits, or empty
};

/// A context, current on the thread that made it until it is destroyed there.
class OpenglContext {
 public:
  /// Errors: unsupported, when the driver is older than OpenGL 4.5 or has no ARB_gl_spirv.
  static Result<std::unique_ptr<OpenglContext>> create(const EglApi& egl, const EglChip& chip);
  ~OpenglContext();
  OpenglContext(const OpenglContext&) = delete;
  OpenglContext& operator=(const OpenglContext&) = delete;

  const GlApi& gl() const { return gl_; }
  OpenglFacts facts() const;

 private:
  OpenglContext(const EglApi& egl, EGLDisplay display, EGLContext context)
      : egl_(egl), display_(display), context_(context) {}
  Result<void> check_version();
  bool has_gl_extension(std::string_view name) const;
  int64_t integer(GLenum what) const;
  std::string text(GLenum what) const;
  std::string uuid_hex() const;
  uint64_t memory_bytes(bool software) const;
  Target make_target(const std::string& chip, bool software) const;

  EglApi egl_;
  EGLDisplay display_;
  EGLContext context_;
  GlApi gl_;
  std::vector<std::string> extensions_;
};

}  // namespace leat
