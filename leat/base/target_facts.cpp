// Sources: PTX ISA 8.0, "Release Notes" and the "Target ISA Notes" of dp4a (sm_61), cp.async
// (sm_80) and mma (sm_75 and sm_80); LLVM's "User Guide for NVPTX Back-end".
#include "leat/base/target_facts.h"

#include "leat/base/nvidia_architecture.h"

namespace leat {
namespace {

constexpr uint32_t kAmpere = 80;

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

TargetFacts nvidia_facts(const Target& target) {
  TargetFacts facts = {.has_narrow_storage = true,
                       .has_64bit = true,
                       .has_atomic_add = true,
                       .has_atomic_add_f32 = true,
                       .has_shuffle = true,
                       .has_dot = true};
  if (nvidia_architecture(target.llvm_cpu) < kAmpere) return facts;
  facts.has_async_copy = true;
  facts.matrix_shapes = tensor_core_shapes();
  return facts;
}

}  // namespace

TargetFacts facts_of(const Target& target) {
  switch (target.format) {
    case CodeFormat::cubin: return nvidia_facts(target);
    case CodeFormat::native_object:
    case CodeFormat::interpreted:
      return {.has_narrow_storage = true,
              .has_64bit = true,
              .has_atomic_add = true,
              .has_atomic_add_f32 = true,
              .has_shuffle = true};
    case CodeFormat::amdgpu_object: return {.has_shuffle = true};
    case CodeFormat::spirv_pointers:
    case CodeFormat::spirv_bindings: return {.has_atomic_add = true};
  }
  return {};
}

}  // namespace leat
