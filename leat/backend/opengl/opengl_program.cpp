// Links SPIR-V, and tries whether 16-bit storage works.
// Odd: an InfoLog may be empty when a driver refuses, so the GL errors are told as well.
// Source: OpenGL 4.6 core, section 7.2 (SPIR-V shader binaries); SPV_KHR_16bit_storage.
#include "leat/backend/opengl/opengl_program.h"

#include <array>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "leat/base/half.h"

namespace leat {

namespace {

constexpr size_t kInfoLogBytes = 2048;
constexpr uint64_t kTrialTimeoutNs = 10'000'000'000;

// data[i] = half(float(data[i]) * kFactor) for i < kHalves, in place, binding 0; as made by
// spirv-as.
constexpr uint32_t kHalves = 32;
constexpr float kFactor = 1.0f + 1.0f / 2048;  // lands between two halves: rounding shows
// clang-format off
constexpr std::array kHalfKernel = std::to_array<uint32_t>({
    0x07230203, 0x00010000, 0x00070000, 0x00000017, 0x00000000,  // ids, schema
    0x20011, 0x1,  // OpCapability Shader
    0x20011, 0x1151,  // OpCapability StorageBuffer16BitAccess
    0x7000a, 0x5f565053, 0x5f52484b, 0x69623631, 0x74735f74, 0x6761726f, 0x65,  // OpExtension
    0x3000e, 0x0, 0x1,  // OpMemoryModel Logical GLSL450
    0x6000f, 0x5, 0x1, 0x6e69616d, 0x0, 0x2,  // OpEntryPoint GLCompute %1 "main" %2
    0x60010, 0x1, 0x11, 0x20, 0x1, 0x1,  // OpExecutionMode %1 LocalSize 32 1 1
    0x40047, 0x2, 0xb, 0x1d,  // OpDecorate %2 BuiltIn LocalInvocationIndex
    0x40047, 0x3, 0x6, 0x2,  // OpDecorate %3 ArrayStride 2
    0x30047, 0x4, 0x3,  // OpDecorate %4 BufferBlock
    0x50048, 0x4, 0x0, 0x23, 0x0,  // OpMemberDecorate %4 0 Offset 0
    0x40047, 0x5, 0x22, 0x0,  // OpDecorate %5 DescriptorSet 0
    0x40047, 0x5, 0x21, 0x0,  // OpDecorate %5 Binding 0
    0x40047, 0x6, 0x27, 0x0,  // OpDecorate %6 FPRoundingMode RTE
    0x20013, 0x7,  // %7 = OpTypeVoid
    0x30021, 0x8, 0x7,  // %8 = OpTypeFunction %7
    0x40015, 0x9, 0x20, 0x0,  // %9 = OpTypeInt 32 0
    0x30016, 0xa, 0x20,  // %10 = OpTypeFloat 32
    0x30016, 0xb, 0x10,  // %11 = OpTypeFloat 16
    0x40020, 0xc, 0x1, 0x9,  // %12 = OpTypePointer Input %9
    0x4003b, 0xc, 0x2, 0x1,  // %2 = OpVariable %12 Input
    0x3001d, 0x3, 0xb,  // %3 = OpTypeRuntimeArray %11
    0x3001e, 0x4, 0x3,  // %4 = OpTypeStruct %3
    0x40020, 0xd, 0x2, 0x4,  // %13 = OpTypePointer Uniform %4
    0x40020, 0xe, 0x2, 0xb,  // %14 = OpTypePointer Uniform %11
    0x4003b, 0xd, 0x5, 0x2,  // %5 = OpVariable %13 Uniform
    0x4002b, 0x9, 0xf, 0x0,  // %15 = OpConstant %9 0
    0x4002b, 0xa, 0x10, 0x3f801000,  // %16 = OpConstant %10 1.00048828
    0x50036, 0x7, 0x1, 0x0, 0x8,  // %1 = OpFunction %7 None %8
    0x200f8, 0x11,  // %17 = OpLabel
    0x4003d, 0x9, 0x12, 0x2,  // %18 = OpLoad %9 %2
    0x60041, 0xe, 0x13, 0x5, 0xf, 0x12,  // %19 = OpAccessChain %14 %5 %15 %18
    0x4003d, 0xb, 0x14, 0x13,  // %20 = OpLoad %11 %19
    0x40073, 0xa, 0x15, 0x14,  // %21 = OpFConvert %10 %20
    0x50085, 0xa, 0x16, 0x15, 0x10,  // %22 = OpFMul %10 %21 %16
    0x40073, 0xb, 0x6, 0x16,  // %6 = OpFConvert %11 %22
    0x3003e, 0x13, 0x6,  // OpStore %19 %6
    0x100fd,  // OpReturn
    0x10038,  // OpFunctionEnd
});
// clang-format on

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

// One workgroup of `program` over `buffer`; true once it is done.
bool run_once(const GlApi& gl, GLuint program, GLuint buffer) {
  const GLintptr offset = 0;
  const GLsizeiptr size = kHalves * sizeof(uint16_t);
  gl.use_program(program);
  gl.bind_buffers_range(GL_SHADER_STORAGE_BUFFER, 0, 1, &buffer, &offset, &size);
  gl.dispatch_compute(1, 1, 1);
  gl.memory_barrier(GL_CLIENT_MAPPED_BUFFER_BARRIER_BIT);
  const GLsync sync = gl.fence_sync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
  const GLenum state = gl.client_wait_sync(sync, GL_SYNC_FLUSH_COMMANDS_BIT, kTrialTimeoutNs);
  gl.delete_sync(sync);
  gl.use_program(0);
  return (state == GL_ALREADY_SIGNALED || state == GL_CONDITION_SATISFIED) &&
         gl.get_error() == GL_NO_ERROR;
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

bool stores_halves(const GlApi& gl) {
  const OpenglProgram program =
      link_opengl_program(gl, std::as_bytes(std::span(kHalfKernel)), "main");
  if (program.name == 0) return false;
  std::array<uint16_t, kHalves> values = {};
  for (uint32_t i = 0; i < kHalves; ++i)
    values[i] = half_from_float(1.0f + static_cast<float>(i) / 1024);
  constexpr GLbitfield kFlags = GL_MAP_READ_BIT | GL_MAP_PERSISTENT_BIT | GL_MAP_COHERENT_BIT;
  GLuint buffer = 0;
  gl.create_buffers(1, &buffer);
  gl.buffer_storage(buffer, sizeof(values), values.data(), kFlags);
  const void* host = gl.map_buffer_range(buffer, 0, sizeof(values), kFlags);
  bool right = host != nullptr && run_once(gl, program.name, buffer);
  std::array<uint16_t, kHalves> results = {};
  if (right) std::memcpy(results.data(), host, sizeof(results));
  for (uint32_t i = 0; i < kHalves; ++i) {
    right = right && results[i] == half_from_float(float_from_half(values[i]) * kFactor);
  }
  gl.delete_buffers(1, &buffer);
  gl.delete_program(program.name);
  return right;
}

}  // namespace leat
