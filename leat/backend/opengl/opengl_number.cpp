// See opengl_number.h.
#include "leat/backend/opengl/opengl_number.h"

#include "leat/backend/opengl/opengl_program.h"
#include "leat/device/raise_number.h"

namespace leat {

namespace {

constexpr GLsizeiptr kWordBytes = 64;  // a cache line, of which 8 bytes are used
constexpr GLbitfield kMapFlags =
    GL_MAP_READ_BIT | GL_MAP_WRITE_BIT | GL_MAP_PERSISTENT_BIT | GL_MAP_COHERENT_BIT;

}  // namespace

std::string OpenglNumber::open(const GlApi& gl, GLuint first_binding) {
  first_binding_ = first_binding;
  const auto spirv = raise_number_spirv(first_binding);
  const OpenglProgram made = link_opengl_program(gl, std::as_bytes(std::span(spirv)), "main");
  if (made.name == 0) return made.log.empty() ? "the number's program does not link" : made.log;
  program_ = made.name;
  const uint64_t zeros[kWordBytes / sizeof(uint64_t)] = {};
  gl.create_buffers(2, buffers_);
  gl.buffer_storage(buffers_[0], kWordBytes, zeros, 0);
  // The host looks at the number in a loop, so it lies on the host's side of the bus.
  gl.buffer_storage(buffers_[1], kWordBytes, zeros, kMapFlags | GL_CLIENT_STORAGE_BIT);
  void* const host = gl.map_buffer_range(buffers_[1], 0, kWordBytes, kMapFlags);
  const GLenum error = gl.get_error();
  if (host == nullptr || error != GL_NO_ERROR) return gl_error_text(error);
  bind(gl);
  word_.store(static_cast<uint64_t*>(host), std::memory_order_release);
  return "";
}

void OpenglNumber::close(const GlApi& gl) {
  word_.store(nullptr, std::memory_order_release);
  gl.delete_buffers(2, buffers_);  // names of 0 are skipped
  gl.delete_program(program_);
}

void OpenglNumber::bind(const GlApi& gl) const {
  const GLintptr offsets[2] = {0, 0};
  const GLsizeiptr sizes[2] = {kWordBytes, kWordBytes};
  gl.bind_buffers_range(GL_SHADER_STORAGE_BUFFER, first_binding_, 2, buffers_, offsets, sizes);
}

void OpenglNumber::raise(const GlApi& gl) const {
  if (shares_bindings()) bind(gl);
  gl.dispatch_compute(1, 1, 1);
}

}  // namespace leat
