// Target: what the compile half knows of a chip. Plain data, no handle; two equal Targets get the
// same code. A backend fills it when a device is opened.
#pragma once

#include <cstdint>
#include <string>

namespace leat {

/// What a KernelBinary's bytes are.
enum class CodeFormat : uint8_t {
  native_object,   // ELF object for the host's or a named CPU, made by LLVM
  spirv_pointers,  // SPIR-V 1.3+, Vulkan: buffers by physical address from one argument block
  spirv_bindings,  // SPIR-V, Vulkan or OpenGL: buffer k is storage-buffer binding k of set 0
  cubin,           // ELF for one NVIDIA architecture (sm_NN); made from PTX. ABI: below
  amdgpu_object,   // relocatable ELF for one AMD GPU (gfxN). ABI: below
  wgsl,         // WebGPU's shading language, UTF-8: buffer k is storage-buffer binding k of group 0
  interpreted,  // the wave program's text form; for the null device
};

// ABI of a cubin: one kernel, `entry`; parameters are the buffers' 64-bit device addresses in the
// order of KernelBinary::arguments, 8 bytes each; local memory is dynamic shared memory of
// local_memory_bytes; a workgroup is (wave_lanes * waves_per_workgroup, 1, 1) threads.

// ABI of an amdgpu_object: one kernel, `entry`, with its descriptor `entry`.kd (code object version
// 5); the argument block is the buffers' 64-bit device addresses in the order of
// KernelBinary::arguments; local memory of local_memory_bytes is allocated by the dispatch, beyond
// what the descriptor says; a workgroup is (wave_lanes * waves_per_workgroup, 1, 1) work-items.

/// Which compiler gives a kernel its registers, and so which rates of tiles hold for it; see
/// schedule/model_constants.h.
enum class TileRates : uint8_t { driver, ptxas };

/// Products of matrix units that shaders ask a driver for, with sums of f32 and of one wave. The
/// numbers are rows, columns and k.
enum class ShaderProduct : uint8_t { f16_16x16x16, f16_16x8x16, bf16_16x16x16 };

struct Target {
  std::string name;  // "x86-64 avx2", "spirv lavapipe": shown to people, part of cache keys
  CodeFormat format = CodeFormat::interpreted;
  bool opengl = false;    // spirv_bindings for OpenGL 4.6 / ARB_gl_spirv instead of Vulkan
  bool is_cpu = false;    // one wave is one SIMD vector, a workgroup is one wave
  bool software = false;  // a GPU API run by a CPU (lavapipe, llvmpipe, SwiftShader)

  // LLVM targets only.
  std::string llvm_triple;
  std::string llvm_cpu;
  std::string llvm_features;

  uint32_t wave_lanes = 32;  // lanes that run in step
  uint32_t lanes_per_workgroup_max = 256;
  uint32_t local_memory_bytes_max = 32768;
  uint32_t workgroups_max[3] = {65535, 65535, 65535};
  uint32_t vector_registers = 32;     // CPU: SIMD registers; GPU: 32-bit registers a lane / 8
  uint32_t compute_units = 1;         // CPU: threads used; GPU: multiprocessors, 1 if unknown
  uint64_t cache_bytes = 1u << 20;    // CPU: second-level cache of one core; GPU: L2
  uint32_t buffer_bindings_max = 16;  // buffers a kernel may have
  uint64_t argument_bytes_max = UINT64_MAX;  // of a buffer that a kernel may have as one argument
  /// Loads and stores of 16-bit floats work; whether they pay is the layout's question.
  bool storage_f16 = true;
  /// Shaders compute with whole numbers and floats of 64 bits. What LLVM compiles always does.
  bool shader_64bit = false;
  /// A shader may ask for zeros with signs, infinities and NaN to be kept as they are.
  bool shader_keeps_nan = false;
  uint32_t shader_products = 0;  // bit p: ShaderProduct p, of SPIR-V by addresses

  // What decides the speed of a kernel's forms.
  bool waves_hide_latency = true;  // many waves of a compute unit take turns; else one has it alone
  bool local_memory_is_fast = true;      // nearer than the caches, so that staging pays
  bool uniform_loads_broadcast = false;  // a uniform load is scalar and feeds all lanes for nothing
  TileRates tile_rates = TileRates::driver;

  bool has_product(ShaderProduct product) const {
    return (shader_products >> static_cast<uint32_t>(product) & 1) != 0;
  }
  /// Registers that hold a 32-bit value of every lane.
  uint32_t lane_registers() const { return is_cpu ? vector_registers : 8 * vector_registers; }

  bool operator==(const Target&) const = default;
};

}  // namespace leat
