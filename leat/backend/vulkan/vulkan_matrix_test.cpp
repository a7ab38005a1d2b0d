// Which of a device's products kernels use, on a list as NVIDIA's driver 580.159.04 gives it.
#include "leat/backend/vulkan/vulkan_matrix.h"

#include <gtest/gtest.h>

#include <vector>

#include "leat/base/target.h"

namespace leat {
namespace {

MatrixProductKhr product(uint32_t m, uint32_t n, uint32_t k, int32_t component, int32_t sum) {
  MatrixProductKhr one;
  one.MSize = m, one.NSize = n, one.KSize = k;
  one.AType = one.BType = component;
  one.CType = one.ResultType = sum;
  one.scope = kScopeSubgroup;
  return one;
}

std::vector<MatrixProductKhr> offered() {
  std::vector<MatrixProductKhr> all;
  for (const int32_t sum : {kComponentF16, kComponentF32}) {
    all.push_back(product(16, 16, 16, kComponentF16, sum));
    all.push_back(product(16, 8, 16, kComponentF16, sum));
    all.push_back(product(16, 8, 8, kComponentF16, sum));
  }
  constexpr int32_t kComponentS8 = 3, kComponentS32 = 5;
  all.push_back(product(16, 16, 32, kComponentS8, kComponentS32));
  all.push_back(product(16, 16, 16, kComponentBF16, kComponentF32));
  return all;
}

bool has(uint32_t products, ShaderProduct product) {
  Target target;
  target.shader_products = products;
  return target.has_product(product);
}

TEST(VulkanMatrix, FindsTheProductsThatKernelsUse) {
  const uint32_t all = shader_products_of(offered(), true);
  EXPECT_TRUE(has(all, ShaderProduct::f16_16x16x16));
  EXPECT_TRUE(has(all, ShaderProduct::f16_16x8x16));
  EXPECT_TRUE(has(all, ShaderProduct::bf16_16x16x16));
  const uint32_t halves = shader_products_of(offered(), false);
  EXPECT_TRUE(has(halves, ShaderProduct::f16_16x16x16));
  EXPECT_FALSE(has(halves, ShaderProduct::bf16_16x16x16));
}

TEST(VulkanMatrix, TakesNoneOfAnotherKind) {
  const auto expect_none = [](auto change) {
    MatrixProductKhr one = product(16, 16, 16, kComponentF16, kComponentF32);
    change(one);
    EXPECT_EQ(shader_products_of(std::span(&one, 1), true), 0u);
  };
  expect_none([](MatrixProductKhr& one) { one.scope = 2; });  // a workgroup's
  expect_none([](MatrixProductKhr& one) { one.saturatingAccumulation = VK_TRUE; });
  expect_none([](MatrixProductKhr& one) { one.CType = kComponentF16; });
  expect_none([](MatrixProductKhr& one) { one.BType = kComponentBF16; });
  expect_none([](MatrixProductKhr& one) { one.KSize = 8; });
  EXPECT_EQ(shader_products_of({}, true), 0u);
}

TEST(VulkanMatrix, AsksForEachFeature) {
  EXPECT_TRUE(MatrixFeatures::wanted().allow_products());
  EXPECT_TRUE(MatrixFeatures::wanted().allow_bfloat16());
  MatrixFeatures features = MatrixFeatures::wanted();
  features.memory_model.vulkanMemoryModel = VK_FALSE;
  EXPECT_FALSE(features.allow_products());
  features = MatrixFeatures::wanted();
  features.f16.shaderFloat16 = VK_FALSE;
  EXPECT_FALSE(features.allow_products());
  features = MatrixFeatures::wanted();
  features.matrix.cooperativeMatrix = VK_FALSE;
  EXPECT_FALSE(features.allow_products());
  features.bfloat16.shaderBFloat16Type = VK_FALSE;
  EXPECT_FALSE(features.allow_bfloat16());
}

TEST(VulkanMatrix, ChainsWhatTheDeviceKnows) {
  for (const bool with_bfloat16 : {false, true}) {
    MatrixFeatures features;
    VkBaseOutStructure end = {};
    auto* link = static_cast<VkBaseOutStructure*>(features.chained_before(&end, with_bfloat16));
    int count = 0;
    bool found = false;
    for (; link != &end; link = link->pNext) {
      ASSERT_NE(link, nullptr);
      found |= static_cast<void*>(link) == &features.bfloat16;
      ++count;
    }
    EXPECT_EQ(count, with_bfloat16 ? 4 : 3);
    EXPECT_EQ(found, with_bfloat16);
  }
}

}  // namespace
}  // namespace leat
