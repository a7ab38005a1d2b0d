// See opengl_number.h.
#include "leat/backend/opengl/opengl_number.h"

#include "leat/backend/opengl/opengl_program.h"
#include "leat/base/numbers.h"
#include "leat/route/raise_number.h"

namespace leat {

namespace {

constexpr GLsizeiptr kWordBytes = 64;  // a cache line, of which 8 bytes are used
constexpr GLbitfield kMapFlags =
    GL_MAP_READ_BIT | GL_MAP_WRITE_BIT | GL_MAP_PERSISTENT_BIT | GL_MAP_COHERENT_BIT;

}  // namespace

std::string OpenglNumber::open(const GlApi& gl, bool is_cleared) {
  if (!is_cleared) {
    const OpenglProgram made =
        link_opengl_program(gl, std::as_bytes(std::span(kRaiseNumberSpirv)), "main");
    if (made.name == 0) {
      return made.log.empty() ? "the number's program does not link" : made.log;
    }
    program_ = made.name;
  }
  const uint64_t zeros[kWordBytes / sizeof(uint64_t)] = {};
  gl.create_buffers(2, buffers_);
  gl.buffer_storage(buffers_[0], kWordBytes, zeros, 0);
  // The host looks at the number in a loop, so it lies on the host's side of the bus.
  gl.buffer_storage(buffers_[1], kWordBytes, zeros, kMapFlags | GL_CLIENT_STORAGE_BIT);
  void* const host = gl.map_buffer_range(buffers_[1], 0, kWordBytes, kMapFlags);
  const GLenum error = gl.get_error();
  if (host == nullptr || error != GL_NO_ERROR) return gl_error_text(error);
  word_.store(static_cast<uint64_t*>(host), std::memory_order_release);
  return "";
}

void OpenglNumber::close(const GlApi& gl) {
  word_.store(nullptr, std::memory_order_release);
  gl.delete_buffers(2, buffers_);  // names of 0 are skipped
  gl.delete_program(program_);
}

void OpenglNumber::raise(const GlApi& gl, uint64_t value) const {
  if (program_ == 0) {
    const uint32_t halves[2] = {low(value), high(value)};
    gl.clear_buffer(buffers_[1], GL_RG32UI, 0, sizeof value, GL_RG_INTEGER, GL_UNSIGNED_INT,
                    halves);
    return;
  }
  const GLintptr offsets[2] = {0, 0};
  const GLsizeiptr sizes[2] = {kWordBytes, kWordBytes};
  gl.bind_buffers_range(GL_SHADER_STORAGE_BUFFER, 0, 2, buffers_, offsets, sizes);
  gl.dispatch_compute(1, 1, 1);
  gl.memory_barrier(GL_CLIENT_MAPPED_BUFFER_BARRIER_BIT);
}

}  // namespace leat
