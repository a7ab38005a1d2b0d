// Finds EGL and GL functions by name. With GLVND, eglGetProcAddress returns a stub for any name
// that begins with "gl", so a function that is there proves nothing: versions and extensions are
// checked by the caller first. Source: EGL 1.5 specification, section 3.12.
#include "leat/backend/opengl/opengl_api.h"

#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "leat/base/drivers.h"

namespace leat {

namespace {

template <typename Function>
bool find_symbol(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

template <typename Function>
bool find_function(const EglApi& egl, const char* name, Function& function) {
  function = reinterpret_cast<Function>(egl.get_proc_address(name));
  return function != nullptr;
}

using ErrorNames = std::pair<uint32_t, std::string_view>;

// Source: <GL/glcorearb.h> and <EGL/egl.h>.
constexpr std::array kGlErrors = {
    ErrorNames{GL_INVALID_ENUM, "GL_INVALID_ENUM"},
    ErrorNames{GL_INVALID_VALUE, "GL_INVALID_VALUE"},
    ErrorNames{GL_INVALID_OPERATION, "GL_INVALID_OPERATION"},
    ErrorNames{GL_OUT_OF_MEMORY, "GL_OUT_OF_MEMORY"},
    ErrorNames{GL_CONTEXT_LOST, "GL_CONTEXT_LOST"},
};
constexpr std::array kEglErrors = {
    ErrorNames{EGL_NOT_INITIALIZED, "EGL_NOT_INITIALIZED"},
    ErrorNames{EGL_BAD_ACCESS, "EGL_BAD_ACCESS"},
    ErrorNames{EGL_BAD_ALLOC, "EGL_BAD_ALLOC"},
    ErrorNames{EGL_BAD_ATTRIBUTE, "EGL_BAD_ATTRIBUTE"},
    ErrorNames{EGL_BAD_CONFIG, "EGL_BAD_CONFIG"},
    ErrorNames{EGL_BAD_CONTEXT, "EGL_BAD_CONTEXT"},
    ErrorNames{EGL_BAD_DISPLAY, "EGL_BAD_DISPLAY"},
    ErrorNames{EGL_BAD_MATCH, "EGL_BAD_MATCH"},
    ErrorNames{EGL_BAD_PARAMETER, "EGL_BAD_PARAMETER"},
    ErrorNames{EGL_CONTEXT_LOST, "EGL_CONTEXT_LOST"},
};

template <typename Names>
std::string error_text(const Names& names, uint32_t error) {
  for (const auto& [number, name] : names) {
    if (number == error) return fmt::format("{} (0x{:x})", name, error);
  }
  return fmt::format("0x{:x}", error);
}

}  // namespace

Result<EglApi> load_egl() {
  void* library = open_driver("libEGL.so.1");
  if (library == nullptr) {
    const char* reason = dlerror();
    return Error(ErrorKind::unsupported, fmt::format("Library libEGL.so.1 does not open ({}).",
                                                     reason == nullptr ? "no reason" : reason));
  }
  EglApi egl;
  const bool complete = find_symbol(library, "eglGetProcAddress", egl.get_proc_address) &&
                        find_symbol(library, "eglQueryString", egl.query_string) &&
                        find_symbol(library, "eglInitialize", egl.initialize) &&
                        find_symbol(library, "eglGetError", egl.get_error) &&
                        find_symbol(library, "eglBindAPI", egl.bind_api) &&
                        find_symbol(library, "eglCreateContext", egl.create_context) &&
                        find_symbol(library, "eglDestroyContext", egl.destroy_context) &&
                        find_symbol(library, "eglMakeCurrent", egl.make_current) &&
                        find_symbol(library, "eglReleaseThread", egl.release_thread);
  if (!complete) {
    return Error(ErrorKind::unsupported, "Library libEGL.so.1 lacks functions of EGL 1.4.");
  }
  find_function(egl, "eglGetPlatformDisplayEXT", egl.get_platform_display);
  find_function(egl, "eglQueryDevicesEXT", egl.query_devices);
  find_function(egl, "eglQueryDeviceStringEXT", egl.query_device_string);
  return egl;
}

Result<GlApi> load_gl(const EglApi& egl) {
  GlApi gl;
  std::string missing;
  auto find = [&](const char* name, auto& function) {
    if (find_function(egl, name, function)) return;
    if (find_function(egl, (std::string(name) + "ARB").c_str(), function)) return;
    missing += missing.empty() ? name : std::string(", ") + name;
  };
#define LEAT_GL(name, gl_name, type) find("gl" #gl_name, gl.name);
#include "leat/backend/opengl/opengl_functions.def"
#undef LEAT_GL
  if (!missing.empty()) {
    return Error(ErrorKind::unsupported,
                 fmt::format("The OpenGL driver lacks the functions ({}).", missing));
  }
  return gl;
}

bool has_extension(const char* extensions, std::string_view name) {
  std::string_view rest = extensions == nullptr ? std::string_view() : extensions;
  while (!rest.empty()) {
    const size_t end = rest.find(' ');
    if (rest.substr(0, end) == name) return true;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return false;
}

std::string gl_error_text(GLenum error) { return error_text(kGlErrors, error); }

std::string egl_error_text(EGLint error) {
  return error_text(kEglErrors, static_cast<uint32_t>(error));
}

}  // namespace leat
