// The fence's number in memory that the device writes; the host reads it through a persistent
// coherent mapping. A one-lane program (leat/route/raise_number.h) stores it behind the work. On
// NVIDIA's driver a clear of its 8 bytes does, which stands in the command stream too: it is seen
// 1.7 us sooner, and never before the work's data, whereas the program's store, behind the same
// barrier, overtook the last words of the work in 4 of 10,000 rounds (H200, 580.159,
// bench/opengl_floors). Other drivers may clear an idle buffer with the processor, at once. Used on
// the GL thread, save poll(). Source: OpenGL 4.6 core, sections 6.2 (persistent mapping), 6.2.1
// (clearing) and 7.13.2 (memory barriers); Mesa, u_default_clear_buffer.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "leat/backend/opengl/opengl_api.h"

namespace leat {

class OpenglNumber {
 public:
  /// Makes memory and program; "" or what the driver says.
  std::string open(const GlApi& gl, bool is_cleared);
  void close(const GlApi& gl);

  /// 0 where a clear raises the number.
  GLuint program() const { return program_; }
  /// Raises the number from `value` - 1 behind all commands given so far, whose writes a barrier
  /// has shown to every reader. Changes the first two bindings and needs program() in use, unless
  /// that is 0.
  void raise(const GlApi& gl, uint64_t value) const;
  /// 0 before open(). Any thread.
  uint64_t poll() const {
    uint64_t* const word = word_.load(std::memory_order_acquire);
    return word == nullptr ? 0 : std::atomic_ref<uint64_t>(*word).load(std::memory_order_acquire);
  }

 private:
  GLuint program_ = 0;
  GLuint buffers_[2] = {};  // counter, number
  std::atomic<uint64_t*> word_ = nullptr;
};

}  // namespace leat
