// The two bindings of the number's kernel can be moved, and nothing else moves with them.
#include "leat/device/raise_number.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace leat {
namespace {

TEST(RaiseNumber, OnlyTheBindingsMove) {
  constexpr uint32_t kFirst = 94;
  const auto at_zero = raise_number_spirv(0), moved = raise_number_spirv(kFirst);
  EXPECT_TRUE(std::ranges::equal(at_zero, kRaiseNumberSpirv));
  std::vector<uint32_t> old_bindings;
  for (size_t i = 0; i < moved.size(); ++i) {
    if (moved[i] == at_zero[i]) continue;
    EXPECT_EQ(moved[i], at_zero[i] + kFirst);
    old_bindings.push_back(at_zero[i]);
  }
  EXPECT_EQ(old_bindings, (std::vector<uint32_t>{0, 1}));
}

}  // namespace
}  // namespace leat
