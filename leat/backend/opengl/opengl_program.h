// SPIR-V to a GL program, and the question whether the driver stores 16-bit floats. Both run where
// the context is current.
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

/// Runs a small kernel that loads halves, multiplies them as f32 and stores them rounded to nearest
/// even; true if all results are right. GL has no extension that promises it for SPIR-V: NVIDIA
/// 580.159 on an H200 and Mesa 22.3.6 do it all the same, hence the trial.
bool stores_halves(const GlApi& gl);

}  // namespace leat
