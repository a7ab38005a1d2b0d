// Wave programs that use every instruction, for the tests of the SPIR-V emitter, and the targets to
// emit them for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "leat/base/target.h"
#include "leat/ir/builder.h"

namespace leat::spirv {

/// Physical pointers, bindings for Vulkan, bindings for OpenGL.
Target pointers_target();
Target bindings_target();
Target opengl_target();

struct NamedProgram {
  std::string name;
  std::function<ir::Program()> make;
  bool half = false;  // not for OpenGL
};

/// Every instruction of ops.def that reaches an emitter of shaders, each width, mask, kind of
/// address, loop and branch.
std::vector<NamedProgram> shader_programs();
/// The same, and reductions and shuffles, which LLVM's targets take as they are.
std::vector<NamedProgram> all_programs();
/// All reductions of f32 and i32.
ir::Program reduce_program(uint32_t lanes, uint32_t waves);

/// out[i] = alpha * x[i] + out[i] over `count` elements, the tail masked; four waves a workgroup.
ir::Program saxpy_program(uint32_t count);
/// A program without a buffer.
ir::Program empty_program();
/// A loop of `trips` rounds that is unrolled `unroll` times and carries one value.
ir::Program loop_program(int64_t trips, int unroll);

}  // namespace leat::spirv
