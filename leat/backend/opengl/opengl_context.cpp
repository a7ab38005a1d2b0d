// Opens a context on a chip and reads its limits.
// Odd: GL has no word for "rendered by a CPU" nor for the size of a wave or of memory; the first is
// told by the renderer's name, the others by vendor extensions where there are any.
// Sources: EGL 1.5; EGL_EXT_device_enumeration; EGL_EXT_platform_device;
// EGL_MESA_platform_surfaceless; EGL_KHR_no_config_context; EGL_KHR_surfaceless_context; OpenGL 4.6
// core, chapter 23 (limits); GL_KHR_shader_subgroup; GL_NV_shader_thread_group;
// GL_NVX_gpu_memory_info; GL_EXT_memory_object.
#include "leat/backend/opengl/opengl_context.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "leat/base/cpu_count.h"
#include "leat/base/env.h"
#include "leat/base/limits_profile.h"

namespace leat {

namespace {

// Numbers of extensions that <GL/glcorearb.h> leaves out; source: the extensions' own texts.
constexpr GLenum kGpuMemoryInfoDedicatedVidmemNvx = 0x9047;  // kilobytes
constexpr GLenum kDeviceUuidExt = 0x9597;
constexpr size_t kUuidBytes = 16;

constexpr EGLint kEglDevicesMax = 32;

Result<EglChip> open_display(const EglApi& egl, EGLenum platform, void* native, std::string label) {
  const EGLDisplay display = egl.get_platform_display(platform, native, nullptr);
  if (display == EGL_NO_DISPLAY) {
    return Error(ErrorKind::unsupported, fmt::format("{} gives no EGL display ({}).", label,
                                                     egl_error_text(egl.get_error())));
  }
  return EglChip{display, std::move(label)};
}

EGLContext create_version(const EglApi& egl, EGLDisplay display, EGLint minor, bool reset_notice) {
  const std::array<EGLint, 9> attributes = {
      EGL_CONTEXT_MAJOR_VERSION,
      4,
      EGL_CONTEXT_MINOR_VERSION,
      minor,
      EGL_CONTEXT_OPENGL_PROFILE_MASK,
      EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT,
      reset_notice ? EGL_CONTEXT_OPENGL_RESET_NOTIFICATION_STRATEGY : EGL_NONE,
      EGL_LOSE_CONTEXT_ON_RESET,
      EGL_NONE};
  return egl.create_context(display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, attributes.data());
}

Result<EGLContext> create_best(const EglApi& egl, const EglChip& chip) {
  for (const EGLint minor : {6, 5}) {
    for (const bool reset_notice : {true, false}) {
      const EGLContext context = create_version(egl, chip.display, minor, reset_notice);
      if (context != EGL_NO_CONTEXT) return context;
    }
  }
  return Error(ErrorKind::unsupported, fmt::format("{} gives no OpenGL 4.5 core context ({}).",
                                                   chip.label, egl_error_text(egl.get_error())));
}

Result<void> check_display(const EglApi& egl, const EglChip& chip) {
  EGLint major = 0;
  EGLint minor = 0;
  if (egl.initialize(chip.display, &major, &minor) != EGL_TRUE) {
    return Error(ErrorKind::unsupported, fmt::format("{} does not initialise ({}).", chip.label,
                                                     egl_error_text(egl.get_error())));
  }
  const char* extensions = egl.query_string(chip.display, EGL_EXTENSIONS);
  for (const char* name : {"EGL_KHR_no_config_context", "EGL_KHR_surfaceless_context"}) {
    if (!has_extension(extensions, name)) {
      return Error(ErrorKind::unsupported,
                   fmt::format("{} with EGL ({}.{}) lacks {}.", chip.label, major, minor, name));
    }
  }
  if (egl.bind_api(EGL_OPENGL_API) != EGL_TRUE) {
    return Error(ErrorKind::unsupported, fmt::format("{} has no desktop OpenGL ({}).", chip.label,
                                                     egl_error_text(egl.get_error())));
  }
  return {};
}

bool is_software(std::string_view renderer) {
  // Mesa's three CPU renderers. Source: their get_name functions, Mesa 22.3.
  return renderer.starts_with("llvmpipe") || renderer.starts_with("softpipe") ||
         renderer.starts_with("SWR");
}

// The number before " bits)" in "llvmpipe (LLVM 15.0.6, 256 bits)"; 128 where there is none.
uint32_t simd_bits(std::string_view renderer) {
  const size_t end = renderer.rfind(" bits)");
  if (end == std::string_view::npos) return 128;
  const size_t begin = renderer.rfind(' ', end - 1) + 1;
  uint32_t bits = 0;
  std::from_chars(renderer.data() + begin, renderer.data() + end, bits);
  return bits == 0 ? 128 : bits;
}

uint32_t clamp_to_u32(int64_t value) {
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

Result<std::vector<EglChip>> list_egl_chips(const EglApi& egl) {
  const char* extensions = egl.query_string(EGL_NO_DISPLAY, EGL_EXTENSIONS);
  std::vector<EglChip> chips;
  if (egl.get_platform_display != nullptr && egl.query_devices != nullptr &&
      has_extension(extensions, "EGL_EXT_platform_device")) {
    std::array<EGLDeviceEXT, kEglDevicesMax> devices = {};
    EGLint count = 0;
    if (egl.query_devices(kEglDevicesMax, devices.data(), &count) != EGL_TRUE) count = 0;
    for (EGLint i = 0; i < count; ++i) {
      void* device = devices[static_cast<size_t>(i)];
      auto chip =
          open_display(egl, EGL_PLATFORM_DEVICE_EXT, device, fmt::format("EGL device {}", i));
      if (chip) chips.push_back(std::move(*chip));
    }
  }
  if (chips.empty() && egl.get_platform_display != nullptr &&
      has_extension(extensions, "EGL_MESA_platform_surfaceless")) {
    TRY_ASSIGN(EglChip chip, open_display(egl, EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY,
                                          "Mesa surfaceless platform"));
    chips.push_back(std::move(chip));
  }
  if (chips.empty()) {
    return Error(ErrorKind::unsupported,
                 "EGL offers neither EGL_EXT_platform_device with a device nor "
                 "EGL_MESA_platform_surfaceless.");
  }
  return chips;
}

Result<std::unique_ptr<OpenglContext>> OpenglContext::create(const EglApi& egl,
                                                             const EglChip& chip) {
  TRY(check_display(egl, chip));
  TRY_ASSIGN(const EGLContext handle, create_best(egl, chip));
  std::unique_ptr<OpenglContext> context(new OpenglContext(egl, chip.display, handle));
  if (egl.make_current(chip.display, EGL_NO_SURFACE, EGL_NO_SURFACE, handle) != EGL_TRUE) {
    return Error(ErrorKind::unsupported, fmt::format("{} cannot make its context current ({}).",
                                                     chip.label, egl_error_text(egl.get_error())));
  }
  TRY_ASSIGN(context->gl_, load_gl(egl));
  TRY(context->check_version());
  return context;
}

OpenglContext::~OpenglContext() {
  egl_.make_current(display_, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
  egl_.destroy_context(display_, context_);
  egl_.release_thread();
}

Result<void> OpenglContext::check_version() {
  const int64_t count = integer(GL_NUM_EXTENSIONS);
  for (int64_t i = 0; i < count; ++i) {
    const GLubyte* name = gl_.get_string_at(GL_EXTENSIONS, static_cast<GLuint>(i));
    if (name != nullptr) extensions_.emplace_back(reinterpret_cast<const char*>(name));
  }
  const int64_t version = integer(GL_MAJOR_VERSION) * 10 + integer(GL_MINOR_VERSION);
  if (version < 45 || (version < 46 && !has_gl_extension("GL_ARB_gl_spirv"))) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Driver \"{}\" of \"{}\" lacks GL_ARB_gl_spirv.", text(GL_VERSION),
                             text(GL_RENDERER)));
  }
  return {};
}

bool OpenglContext::has_gl_extension(std::string_view name) const {
  return std::find(extensions_.begin(), extensions_.end(), name) != extensions_.end();
}

int64_t OpenglContext::integer(GLenum what) const {
  GLint64 value = 0;
  gl_.get_integer64(what, &value);
  return value;
}

std::string OpenglContext::text(GLenum what) const {
  const GLubyte* value = gl_.get_string(what);
  return value == nullptr ? std::string() : reinterpret_cast<const char*>(value);
}

std::string OpenglContext::uuid_hex() const {
  using GetUnsignedByteAt = void(APIENTRYP)(GLenum, GLuint, GLubyte*);
  const auto get_bytes =
      reinterpret_cast<GetUnsignedByteAt>(egl_.get_proc_address("glGetUnsignedBytei_vEXT"));
  if (!has_gl_extension("GL_EXT_memory_object") || get_bytes == nullptr) return {};
  std::array<GLubyte, kUuidBytes> uuid = {};
  get_bytes(kDeviceUuidExt, 0, uuid.data());
  if (gl_.get_error() != GL_NO_ERROR) return {};
  std::string hex;
  for (const GLubyte byte : uuid) hex += fmt::format("{:02x}", byte);
  return hex;
}

uint64_t OpenglContext::memory_bytes(bool software) const {
  if (software) {
    return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  }
  if (!has_gl_extension("GL_NVX_gpu_memory_info")) return 0;
  return static_cast<uint64_t>(std::max<int64_t>(0, integer(kGpuMemoryInfoDedicatedVidmemNvx))) *
         1024;
}

Target OpenglContext::make_target(const std::string& chip, bool software) const {
  Target target;
  target.name = "spirv opengl " + chip;
  target.format = CodeFormat::spirv_bindings;
  target.opengl = true;
  target.software = software;
  target.waves_hide_latency = !software;
  target.local_memory_is_fast = !software;
  // GL has no extension that promises it for SPIR-V. NVIDIA's driver (580.159, H200) takes such
  // programs, but some compute zeros: that of ONNX's test_causal_conv_with_state_fp16_expanded.
  target.storage_f16 = false;
  if (software) {
    target.wave_lanes = simd_bits(chip) / 32;
    target.compute_units = usable_cpus();
    target.vector_registers = 16;  // SSE2 and AVX2
  } else if (has_gl_extension("GL_KHR_shader_subgroup")) {
    target.wave_lanes = clamp_to_u32(integer(GL_SUBGROUP_SIZE_KHR));
  }
  if (has_gl_extension("GL_NV_shader_thread_group")) {
    target.wave_lanes = clamp_to_u32(integer(GL_WARP_SIZE_NV));
    target.compute_units = clamp_to_u32(integer(GL_SM_COUNT_NV));
  }
  target.lanes_per_workgroup_max = clamp_to_u32(integer(GL_MAX_COMPUTE_WORK_GROUP_INVOCATIONS));
  target.local_memory_bytes_max = clamp_to_u32(integer(GL_MAX_COMPUTE_SHARED_MEMORY_SIZE));
  for (GLuint axis = 0; axis < 3; ++axis) {
    GLint count = 0;
    gl_.get_integer_at(GL_MAX_COMPUTE_WORK_GROUP_COUNT, axis, &count);
    target.workgroups_max[axis] = clamp_to_u32(count);
  }
  target.buffer_bindings_max =
      clamp_to_u32(std::min(integer(GL_MAX_COMPUTE_SHADER_STORAGE_BLOCKS),
                            integer(GL_MAX_SHADER_STORAGE_BUFFER_BINDINGS)));
  target.argument_bytes_max =
      static_cast<uint64_t>(std::max<int64_t>(0, integer(GL_MAX_SHADER_STORAGE_BLOCK_SIZE)));
  limit_as(target, env("LEAT_AS"));
  return target;
}

OpenglFacts OpenglContext::facts() const {
  OpenglFacts facts;
  const std::string renderer = text(GL_RENDERER);
  facts.info.chip = renderer.substr(0, renderer.find("/PCIe"));  // "NVIDIA H200/PCIe/SSE2"
  facts.info.vendor = text(GL_VENDOR);
  facts.info.driver = text(GL_VERSION);
  facts.info.route = Route::opengl;
  facts.info.software = is_software(renderer);
  facts.info.unified_memory = facts.info.software;
  facts.info.memory_bytes = memory_bytes(facts.info.software);
  facts.target = make_target(facts.info.chip, facts.info.software);
  facts.uuid_hex = uuid_hex();
  return facts;
}

}  // namespace leat
