// See opengl_number.h.
#include "leat/backend/opengl/opengl_number.h"

namespace leat {

namespace {

constexpr GLsizeiptr kWordBytes = 64;  // a cache line, of which 8 bytes are used
constexpr GLbitfield kMapFlags =
    GL_MAP_READ_BIT | GL_MAP_WRITE_BIT | GL_MAP_PERSISTENT_BIT | GL_MAP_COHERENT_BIT;

}  // namespace

std::string OpenglNumber::open(const GlApi& gl) {
  const uint64_t zeros[kWordBytes / sizeof(uint64_t)] = {};
  gl.create_buffers(1, &buffer_);
  // The host looks at the number in a loop, so it lies on the host's side of the bus.
  gl.buffer_storage(buffer_, kWordBytes, zeros, kMapFlags | GL_CLIENT_STORAGE_BIT);
  void* const host = gl.map_buffer_range(buffer_, 0, kWordBytes, kMapFlags);
  const GLenum error = gl.get_error();
  if (host == nullptr || error != GL_NO_ERROR) return gl_error_text(error);
  word_.store(static_cast<uint64_t*>(host), std::memory_order_release);
  return "";
}

void OpenglNumber::close(const GlApi& gl) {
  word_.store(nullptr, std::memory_order_release);
  gl.delete_buffers(1, &buffer_);  // a name of 0 is skipped
}

void OpenglNumber::raise(const GlApi& gl, uint64_t value) const {
  const uint32_t halves[2] = {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)};
  gl.clear_buffer(buffer_, GL_RG32UI, 0, sizeof value, GL_RG_INTEGER, GL_UNSIGNED_INT, halves);
}

}  // namespace leat
