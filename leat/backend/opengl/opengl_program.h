// SPIR-V to a GL program, where the context is current.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "leat/backend/opengl/opengl_api.h"

namespace leat {

/// A linked compute program, or name 0 and what the driver says.
struct OpenglProgram {
  GLuint name = 0;
  std::string log;
};

/// Compiles and links one compute shader. The caller deletes the program.
OpenglProgram link_opengl_program(const GlApi& gl, std::span<const std::byte> spirv,
                                  const char* entry);

}  // namespace leat
