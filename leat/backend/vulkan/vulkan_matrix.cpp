// See vulkan_matrix.h.
#include "leat/backend/vulkan/vulkan_matrix.h"

#include "leat/base/target.h"

namespace leat {

namespace {

struct Row {
  ShaderProduct product;
  uint32_t m, n, k;
  int32_t component;
};
constexpr Row kRows[] = {
    {ShaderProduct::f16_16x16x16, 16, 16, 16, kComponentF16},
    {ShaderProduct::f16_16x8x16, 16, 8, 16, kComponentF16},
    {ShaderProduct::bf16_16x16x16, 16, 16, 16, kComponentBF16},
};

bool is_of(const MatrixProductKhr& offered, const Row& row) {
  return offered.MSize == row.m && offered.NSize == row.n && offered.KSize == row.k &&
         offered.AType == row.component && offered.BType == row.component &&
         offered.CType == kComponentF32 && offered.ResultType == kComponentF32 &&
         offered.saturatingAccumulation == VK_FALSE && offered.scope == kScopeSubgroup;
}

}  // namespace

void* MatrixFeatures::chained_before(void* next, bool with_bfloat16) {
  if (with_bfloat16) {
    bfloat16.pNext = next;
    next = &bfloat16;
  }
  matrix.pNext = next;
  f16.pNext = &matrix;
  memory_model.pNext = &f16;
  return &memory_model;
}

MatrixFeatures MatrixFeatures::wanted() {
  MatrixFeatures features;
  features.matrix.cooperativeMatrix = VK_TRUE;
  features.bfloat16.shaderBFloat16Type = VK_TRUE;
  features.bfloat16.shaderBFloat16CooperativeMatrix = VK_TRUE;
  features.f16.shaderFloat16 = VK_TRUE;
  features.memory_model.vulkanMemoryModel = VK_TRUE;
  return features;
}

bool MatrixFeatures::allow_products() const {
  return matrix.cooperativeMatrix == VK_TRUE && f16.shaderFloat16 == VK_TRUE &&
         memory_model.vulkanMemoryModel == VK_TRUE;
}

bool MatrixFeatures::allow_bfloat16() const {
  return bfloat16.shaderBFloat16Type == VK_TRUE &&
         bfloat16.shaderBFloat16CooperativeMatrix == VK_TRUE;
}

uint32_t shader_products_of(std::span<const MatrixProductKhr> offered, bool with_bfloat16) {
  uint32_t products = 0;
  for (const MatrixProductKhr& one : offered) {
    for (const Row& row : kRows) {
      const bool is_allowed = row.component != kComponentBF16 || with_bfloat16;
      if (is_allowed && is_of(one, row)) products |= 1u << static_cast<uint32_t>(row.product);
    }
  }
  return products;
}

}  // namespace leat
