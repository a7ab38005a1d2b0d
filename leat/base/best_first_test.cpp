// The order of scores keeps the rules of a strict weak order for all triples of odd numbers, and
// ranks whatever is given.
#include "leat/base/best_first.h"

#include <gtest/gtest.h>

#include <limits>

namespace leat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kOdd[] = {0.0,  -0.0,  1.0,       -1.0,       1e300, -1e300,
                           kNan, -kNan, kInfinity, -kInfinity, 5e-324};

TEST(BestFirst, IsAStrictWeakOrder) {
  const auto equal = [](double a, double b) { return !is_better(a, b) && !is_better(b, a); };
  for (const double a : kOdd) {
    EXPECT_FALSE(is_better(a, a)) << a;
    for (const double b : kOdd) {
      EXPECT_FALSE(is_better(a, b) && is_better(b, a)) << a << " " << b;
      for (const double c : kOdd) {
        if (is_better(a, b) && is_better(b, c)) {
          EXPECT_TRUE(is_better(a, c)) << a << " " << b << " " << c;
        }
        if (equal(a, b) && equal(b, c)) {
          EXPECT_TRUE(equal(a, c)) << a << " " << b << " " << c;
        }
      }
    }
  }
}

TEST(BestFirst, NansComeLastAndEqualsInTheirOrder) {
  const std::vector<double> scores = {kNan, -kInfinity, 0.5, kNan, 0.9, 0.5, kInfinity};
  const auto score = [&](int64_t index) { return scores[static_cast<size_t>(index)]; };
  EXPECT_EQ(best_first(7, 7, score), (std::vector<int64_t>{6, 4, 2, 5, 1, 0, 3}));
  EXPECT_EQ(best_first(7, 2, score), (std::vector<int64_t>{6, 4}));
  EXPECT_EQ(best_first(7, 100, score).size(), 7u);
  EXPECT_TRUE(best_first(0, 5, score).empty());
}

}  // namespace
}  // namespace leat
