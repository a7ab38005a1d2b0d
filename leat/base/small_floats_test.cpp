// The codes of small floats against numbers written out by hand, and there and back.
#include "leat/base/small_floats.h"

#include <gtest/gtest.h>

#include <cmath>

namespace leat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(SmallFloats, EveryCodeComesBack) {
  for (const DType dtype : {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz,
                            DType::f8e8m0, DType::f4e2m1}) {
    for (int64_t code = 0; code < int64_t{1} << bits_of(dtype); ++code) {
      const double number = small_float_of(dtype, code);
      if (std::isnan(number)) {
        EXPECT_TRUE(std::isnan(small_float_of(dtype, code_of(dtype, number)))) << code;
      } else {
        EXPECT_EQ(code_of(dtype, number), code) << name_of(dtype);
      }
    }
  }
}

TEST(SmallFloats, NumbersOfTheStandards) {
  EXPECT_EQ(largest_of(DType::f8e4m3fn), 448);
  EXPECT_EQ(largest_of(DType::f8e4m3fnuz), 240);
  EXPECT_EQ(largest_of(DType::f8e5m2), 57344);
  EXPECT_EQ(largest_of(DType::f8e5m2fnuz), 57344);
  EXPECT_EQ(largest_of(DType::f4e2m1), 6);
  EXPECT_EQ(largest_of(DType::f8e8m0), 0x1p127);
  EXPECT_EQ(small_float_of(DType::f8e4m3fn, 1), 0x1p-9);
  EXPECT_EQ(small_float_of(DType::f8e5m2, 1), 0x1p-16);
  EXPECT_EQ(small_float_of(DType::f4e2m1, 0xb), -1.5);
  EXPECT_EQ(small_float_of(DType::f8e5m2, 0xfc), -kInfinity);
}

TEST(SmallFloats, RoundsToEvenAndBeyondTheLargest) {
  EXPECT_EQ(code_of(DType::f8e4m3fn, 1.0625), 0x38);  // between 1 and 1.125
  EXPECT_EQ(code_of(DType::f8e4m3fn, 1.1875), 0x3a);
  EXPECT_EQ(code_of(DType::f8e4m3fn, 464), 0x7e);
  EXPECT_EQ(code_of(DType::f8e4m3fn, 465), 0x7f);
  EXPECT_EQ(code_of(DType::f8e5m2, -kInfinity), 0xfc);
  EXPECT_EQ(code_of(DType::f8e4m3fnuz, -1e-9), 0);
  EXPECT_EQ(code_of(DType::f8e4m3fnuz, 1e9), 0x80);
  EXPECT_EQ(code_of(DType::f4e2m1, 3.5), 6);
  EXPECT_EQ(code_of(DType::f4e2m1, 100), 7);
  EXPECT_EQ(code_of(DType::f8e8m0, 1.1), 128);
}

}  // namespace
}  // namespace leat
