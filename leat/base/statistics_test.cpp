// Medians and tails of no, one, an odd and an even number of values.
#include "leat/base/statistics.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

TEST(Statistics, MedianAndTail) {
  EXPECT_EQ(median_of({}), 0);
  EXPECT_EQ(median_of({3, 1, 2}), 2);
  EXPECT_EQ(median_of({4, 1, 2, 3}), 2.5);
  std::vector<double> hundred;
  for (int i = 1; i <= 100; ++i) hundred.push_back(i);
  EXPECT_EQ(p99_of(hundred), 99);
  EXPECT_EQ(p99_of({7}), 7);
  EXPECT_DOUBLE_EQ(geometric_mean_of({1, 4}), 2);
}

}  // namespace
}  // namespace leat
