// EGL and GL as tables of functions, fetched at run time: libEGL.so.1 is opened by name and every
// GL function comes from eglGetProcAddress, so that the program starts on machines that have
// neither. The library is never closed: drivers register exit handlers and threads inside it.
#pragma once

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GL/glcorearb.h>

#include <string>
#include <string_view>

#include "leat/base/result.h"

namespace leat {

/// The EGL functions this backend calls. The last three are null where the extension is missing.
struct EglApi {
  PFNEGLGETPROCADDRESSPROC get_proc_address = nullptr;
  PFNEGLQUERYSTRINGPROC query_string = nullptr;
  PFNEGLINITIALIZEPROC initialize = nullptr;
  PFNEGLGETERRORPROC get_error = nullptr;
  PFNEGLBINDAPIPROC bind_api = nullptr;
  PFNEGLCREATECONTEXTPROC create_context = nullptr;
  PFNEGLDESTROYCONTEXTPROC destroy_context = nullptr;
  PFNEGLMAKECURRENTPROC make_current = nullptr;
  PFNEGLRELEASETHREADPROC release_thread = nullptr;
  PFNEGLGETPLATFORMDISPLAYEXTPROC get_platform_display = nullptr;
  PFNEGLQUERYDEVICESEXTPROC query_devices = nullptr;
  PFNEGLQUERYDEVICESTRINGEXTPROC query_device_string = nullptr;
};

/// The GL functions of opengl_functions.def. Valid in every thread and context of one driver.
struct GlApi {
#define LEAT_GL(name, gl_name, type) type name = nullptr;
#include "leat/backend/opengl/opengl_functions.def"
#undef LEAT_GL
};

/// Opens libEGL.so.1. Errors: unsupported, when it or one of its functions is missing.
Result<EglApi> load_egl();
/// Fetches the GL functions; a context must be current. Errors: unsupported, naming the function.
Result<GlApi> load_gl(const EglApi& egl);

/// True if `name` stands in the blank-separated list `extensions` (null: an empty list).
bool has_extension(const char* extensions, std::string_view name);
/// "GL_OUT_OF_MEMORY (0x505)"; for numbers without a name "0x...".
std::string gl_error_text(GLenum error);
/// "EGL_BAD_MATCH (0x3009)", likewise.
std::string egl_error_text(EGLint error);

}  // namespace leat
