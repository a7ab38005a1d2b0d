// The fence's number in memory that the device writes: a one-lane program raises it behind the work
// (leat/device/raise_number.h), and the host reads it through a persistent coherent mapping. Used
// on the GL thread, save poll(). Source: OpenGL 4.6 core, sections 6.2 (persistent mapping)
// and 7.13.2 (memory barriers).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "leat/backend/opengl/opengl_api.h"

namespace leat {

class OpenglNumber {
 public:
  /// Makes memory and program; "" or what the driver says. The two words are bound to
  /// `first_binding` and the next, for good unless it is 0.
  std::string open(const GlApi& gl, GLuint first_binding);
  void close(const GlApi& gl);

  GLuint program() const { return program_; }
  /// Whether raise() changes the bindings that kernels use.
  bool shares_bindings() const { return first_binding_ == 0; }
  /// Starts the program, which is in use.
  void raise(const GlApi& gl) const;
  /// 0 before open(). Any thread.
  uint64_t poll() const {
    uint64_t* const word = word_.load(std::memory_order_acquire);
    return word == nullptr ? 0 : std::atomic_ref<uint64_t>(*word).load(std::memory_order_acquire);
  }

 private:
  void bind(const GlApi& gl) const;

  GLuint program_ = 0;
  GLuint first_binding_ = 0;
  GLuint buffers_[2] = {};  // counter, number
  std::atomic<uint64_t*> word_ = nullptr;
};

}  // namespace leat
