// Odd: an InfoLog may be empty when a driver refuses, so the GL errors are told as well.
// Source: OpenGL 4.6 core, section 7.2 (SPIR-V shader binaries).
#include "leat/backend/opengl/opengl_program.h"

#include <array>
#include <cstdint>

#include <fmt/format.h>

namespace leat {

namespace {

constexpr size_t kInfoLogBytes = 2048;

bool compile(const GlApi& gl, GLuint shader, std::span<const std::byte> spirv, const char* entry,
             std::string& log) {
  gl.shader_binary(1, &shader, GL_SHADER_BINARY_FORMAT_SPIR_V, spirv.data(),
                   static_cast<GLsizei>(spirv.size()));
  const GLenum binary_error = gl.get_error();
  gl.specialize_shader(shader, entry, 0, nullptr, nullptr);
  const GLenum specialize_error = gl.get_error();
  GLint compiled = GL_FALSE;
  gl.get_shader(shader, GL_COMPILE_STATUS, &compiled);
  if (compiled == GL_TRUE) return true;
  std::array<char, kInfoLogBytes> text = {};
  gl.get_shader_info_log(shader, kInfoLogBytes, nullptr, text.data());
  log = fmt::format("glShaderBinary gives {}, glSpecializeShader gives {}: {}",
                    gl_error_text(binary_error), gl_error_text(specialize_error), text.data());
  return false;
}

}  // namespace

OpenglProgram link_opengl_program(const GlApi& gl, std::span<const std::byte> spirv,
                                  const char* entry) {
  OpenglProgram program;
  const GLuint shader = gl.create_shader(GL_COMPUTE_SHADER);
  if (!compile(gl, shader, spirv, entry, program.log)) {
    gl.delete_shader(shader);
    return program;
  }
  program.name = gl.create_program();
  gl.attach_shader(program.name, shader);
  gl.link_program(program.name);
  gl.delete_shader(shader);
  GLint linked = GL_FALSE;
  gl.get_program(program.name, GL_LINK_STATUS, &linked);
  const GLenum error = gl.get_error();
  if (linked == GL_TRUE && error == GL_NO_ERROR) return program;
  std::array<char, kInfoLogBytes> text = {};
  gl.get_program_info_log(program.name, kInfoLogBytes, nullptr, text.data());
  program.log = fmt::format("glLinkProgram gives {}: {}", gl_error_text(error), text.data());
  gl.delete_program(program.name);
  program.name = 0;
  return program;
}

}  // namespace leat
