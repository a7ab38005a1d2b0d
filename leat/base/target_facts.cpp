// Sources: PTX ISA 8.0, "Release Notes" and the "Target ISA Notes" of dp4a (sm_61), cp.async
// (sm_80), mma (sm_75 and sm_80) and wgmma (sm_90a); LLVM's "User Guide for NVPTX Back-end"; AMD's
// "RDNA3 Instruction Set Architecture" and those of RDNA2, RDNA4, CDNA2 and CDNA3, the chapters on
// vector memory and local memory (loads and stores of 8 and 16 bits, atomics); rounds of loops:
// gallivm, LP_MAX_TGSI_LOOP_ITERATIONS, and measured with Mesa 22.3.6; Intel SDM vol. 2, VDPBF16PS,
// and vol. 1, "Programming with Intel Advanced Matrix Extensions".
#include "leat/base/target_facts.h"

#include "leat/base/nvidia_architecture.h"

namespace leat {
namespace {

constexpr uint32_t kAmpere = 80, kHopperArchitecture = 90;
/// A wave that fills a register of 512 bits, which the code generator then takes for legal.
constexpr uint32_t kZmmLanes = 16;
/// The only chips that have wgmma.
constexpr std::string_view kHopper = "sm_90a";
/// Of the many widths of its products those that fill a panel of 64 halves.
constexpr uint16_t kHopperColumns[] = {64, 128, 192, 256};

std::vector<MatrixShape> tensor_core_shapes() {
  std::vector<MatrixShape> shapes = {
      {.a = DType::f16, .b = DType::f16, .k = 16},
      {.a = DType::bf16, .b = DType::bf16, .k = 16},
      {.a = DType::f32, .b = DType::f32, .tf32 = true, .k = 8},
  };
  for (const DType a : {DType::i8, DType::u8}) {
    for (const DType b : {DType::i8, DType::u8}) {
      shapes.push_back({.a = a, .b = b, .sum = DType::i32, .k = 32});
    }
  }
  return shapes;
}

/// What LLVM makes of arithmetic for all of its targets.
TargetFacts llvm_facts() {
  return {.has_any_local_width = true,
          .has_i64 = true,
          .has_f64 = true,
          .has_shuffle = true,
          .divides_exactly = true,
          .has_signed_remainder = true,
          .converts_by_saturation = true};
}

TargetFacts cpu_facts() {
  TargetFacts facts = llvm_facts();
  facts.has_narrow_storage = true;
  facts.has_atomic_add = true;
  facts.has_atomic_add_f32 = true;
  return facts;
}

/// Whether LLVM's list of features has it.
bool has_feature(const Target& target, std::string_view name) {
  const std::string list = "," + target.llvm_features + ",";
  return list.find(",+" + std::string(name) + ",") != std::string::npos;
}

TargetFacts native_facts(const Target& target) {
  TargetFacts facts = cpu_facts();
  if (target.wave_lanes != kZmmLanes) return facts;
  facts.has_dot_bf16 = has_feature(target, "avx512bf16");
  facts.has_dot_us = has_feature(target, "avx512vnni");
  // Sixteen rows of 64 bytes are a tile register. Local memory is where the cores copy it to.
  if (has_feature(target, "amx-bf16")) {
    facts.matrix_shapes = {{.a = DType::bf16, .b = DType::bf16, .n = 16, .k = 32}};
    facts.has_async_copy = true;
  }
  return facts;
}

TargetFacts nvidia_facts(const Target& target) {
  TargetFacts facts = cpu_facts();
  facts.has_dot = true;
  facts.has_dot_us = true;
  facts.joins_parts = true;
  if (nvidia_architecture(target.llvm_cpu) < kAmpere) return facts;
  facts.has_async_copy = true;
  facts.matrix_shapes = tensor_core_shapes();
  facts.knows_sums = true;
  facts.has_prefetch = nvidia_architecture(target.llvm_cpu) >= kHopperArchitecture;
  if (target.llvm_cpu == kHopper) {
    for (const DType element : {DType::f16, DType::bf16}) {
      for (const uint16_t n : kHopperColumns) {
        facts.matrix_shapes.push_back(
            {.a = element, .b = element, .m = 64, .n = n, .k = 16, .waves = 4});
      }
    }
  }
  return facts;
}

/// What SPIR-V and WGSL promise of arithmetic. Software renderers divide exactly, but Mesa's
/// llvmpipe and lavapipe leave all loops of an invocation after 65,535 rounds in all, without a
/// word. A loop takes at most a quarter, so that a nest of three fits.
TargetFacts shader_facts(const Target& target) {
  constexpr uint32_t kSoftwareRoundsMax = 16384;
  return {.has_i64 = target.shader_64bit,
          .has_f64 = target.shader_64bit,
          .divides_exactly = target.software,
          .loop_rounds_max = target.software ? kSoftwareRoundsMax : 0};
}

/// Which lane holds which element is the driver's secret (SPV_KHR_cooperative_matrix).
std::vector<MatrixShape> shader_shapes(const Target& target) {
  std::vector<MatrixShape> shapes;
  const auto add = [&](ShaderProduct product, const MatrixShape& shape) {
    if (target.has_product(product)) shapes.push_back(shape);
  };
  add(ShaderProduct::f16_16x16x16, {.a = DType::f16, .b = DType::f16, .n = 16});
  add(ShaderProduct::f16_16x8x16, {.a = DType::f16, .b = DType::f16, .n = 8});
  add(ShaderProduct::bf16_16x16x16, {.a = DType::bf16, .b = DType::bf16, .n = 16});
  return shapes;
}

TargetFacts spirv_facts(const Target& target) {
  TargetFacts facts = shader_facts(target);
  facts.has_atomic_add = true;
  facts.joins_parts = true;
  if (target.format == CodeFormat::spirv_pointers) facts.matrix_shapes = shader_shapes(target);
  return facts;
}

}  // namespace

TargetFacts facts_of(const Target& target) {
  switch (target.format) {
    case CodeFormat::cubin: return nvidia_facts(target);
    case CodeFormat::native_object: return native_facts(target);
    case CodeFormat::interpreted:
    // Additions of f32 become loops of compare-and-swap, which system memory behind PCIe takes too.
    case CodeFormat::amdgpu_object: return cpu_facts();
    case CodeFormat::spirv_pointers:
    case CodeFormat::spirv_bindings: return spirv_facts(target);
    case CodeFormat::wgsl: return shader_facts(target);
  }
  return {};
}

}  // namespace leat
