// Elements in memory and the values they become, every code of 8 and 16 bits, against decoders and
// roundings that share nothing with the tables under test.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "leat/ir/storage.h"

namespace leat::ir {
namespace {

float float_of(uint64_t word) { return std::bit_cast<float>(static_cast<uint32_t>(word)); }
uint64_t word_of(float value) { return std::bit_cast<uint32_t>(value); }

/// Sign, exponent and mantissa taken apart as IEEE 754 describes them.
double decoded(uint32_t code, int mantissa_bits, int bias) {
  const int exponent_bits = 15 - mantissa_bits;
  const int exponent = static_cast<int>(code >> mantissa_bits & ((1u << exponent_bits) - 1));
  const double fraction = static_cast<double>(code & ((1u << mantissa_bits) - 1));
  const double unit = std::ldexp(1.0, -mantissa_bits);
  double size = 0;
  if (exponent == (1 << exponent_bits) - 1) {
    size = fraction == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
  } else if (exponent == 0) {
    size = std::ldexp(fraction * unit, 1 - bias);
  } else {
    size = std::ldexp(1 + fraction * unit, exponent - bias);
  }
  return code >> 15 != 0 ? -size : size;
}

void check_float_codes(DType storage, int mantissa_bits, int bias) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const double wanted = decoded(code, mantissa_bits, bias);
    const float got = float_of(widened(storage, code));
    if (std::isnan(wanted)) {
      EXPECT_TRUE(std::isnan(got)) << code;
      EXPECT_TRUE(std::isnan(float_of(widened(storage, narrowed(storage, word_of(got)))))) << code;
      continue;
    }
    ASSERT_EQ(static_cast<double>(got), wanted) << code;
    ASSERT_EQ(std::signbit(got), std::signbit(wanted)) << code;
    ASSERT_EQ(narrowed(storage, word_of(got)), code);
  }
}

// Between each code and the next: halfway goes to the even one, a hair beside it to the nearer.
void check_rounding(DType storage, uint32_t infinity, int mantissa_bits, int bias) {
  for (uint32_t code = 0; code < infinity; ++code) {
    const double low = decoded(code, mantissa_bits, bias);
    const double high = code + 1 == infinity ? 2 * low - decoded(code - 1, mantissa_bits, bias)
                                             : decoded(code + 1, mantissa_bits, bias);
    const float middle = static_cast<float>((low + high) / 2);
    const uint32_t even = code % 2 == 0 ? code : code + 1;
    ASSERT_EQ(narrowed(storage, word_of(middle)), even) << code;
    ASSERT_EQ(narrowed(storage, word_of(std::nextafter(middle, 0.0f))), code);
    ASSERT_EQ(narrowed(storage, word_of(std::nextafter(middle, INFINITY))), code + 1);
    ASSERT_EQ(narrowed(storage, word_of(-middle)), even | 0x8000u);
  }
}

TEST(Storage, FloatsOf16Bits) {
  check_float_codes(DType::f16, 10, 15);
  check_float_codes(DType::bf16, 7, 127);
  check_rounding(DType::f16, 0x7c00, 10, 15);
  check_rounding(DType::bf16, 0x7f80, 7, 127);
}

template <typename Int>
void check_ints(DType storage) {
  const uint64_t count = uint64_t{1} << (8 * sizeof(Int));
  for (uint64_t code = 0; code < count; ++code) {
    const int32_t wanted = static_cast<Int>(code);
    ASSERT_EQ(static_cast<int32_t>(widened(storage, code)), wanted);
    ASSERT_EQ(widened(storage, code) >> 32, 0u);
    ASSERT_EQ(narrowed(storage, static_cast<uint32_t>(wanted)), code);
    // What does not fit keeps its low bits.
    ASSERT_EQ(narrowed(storage, (code + 5 * count) & 0xffffffffu), code);
  }
}

TEST(Storage, WholeNumbers) {
  check_ints<int8_t>(DType::i8);
  check_ints<uint8_t>(DType::u8);
  check_ints<int16_t>(DType::i16);
  check_ints<uint16_t>(DType::u16);
  EXPECT_EQ(widened(DType::u32, 0xffffffff), 0xffffffffu);
  EXPECT_EQ(widened(DType::i64, UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(narrowed(DType::u64, UINT64_MAX), UINT64_MAX);
}

}  // namespace
}  // namespace leat::ir
