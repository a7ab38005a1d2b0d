// The order of packed weights, against its definition.
#include <gtest/gtest.h>

#include <cstring>

#include "leat/lower/lower.h"

namespace leat {
namespace {

constexpr int64_t kBatch = 2, kRows = 5, kColumns = 7;  // k and n of a (batch, k, n) constant

PackedOrder order_of(int64_t tile_n, int64_t k_dot) {
  PackedOrder order;
  order.address = {0, {kRows * kColumns, 1, kColumns}};
  order.batch = {kBatch};
  order.n = {kColumns};
  order.k = {kRows};
  order.tile_n = tile_n;
  order.k_dot = k_dot;
  return order;
}

HostTensor counted(DType dtype) {
  HostTensor value = HostTensor::zeros(dtype, {kBatch, kRows, kColumns});
  for (int64_t i = 0; i < element_count(value.shape); ++i) value.set_integer(i, i + 1);
  return value;
}

/// Every element of `order` is where it belongs, padding is 0, and nothing is written behind.
void expect_packed(DType dtype, DType storage, int64_t tile_n, int64_t k_dot) {
  SCOPED_TRACE(std::string(name_of(dtype)) + " as " + std::string(name_of(storage)));
  const auto width = static_cast<size_t>(size_bytes_of(storage));
  const int64_t word = k_dot > 1 ? 4 / static_cast<int64_t>(width) : 1;
  const int64_t padded = (kRows + k_dot - 1) / k_dot * k_dot;
  const int64_t tiles = (kColumns + tile_n - 1) / tile_n;
  const auto count = static_cast<size_t>(kBatch * tiles * padded * tile_n);
  constexpr size_t kBehind = 64;
  std::vector<std::byte> packed(count * width + kBehind, std::byte{0xa5});
  const HostTensor value = counted(dtype);
  pack_weights(order_of(tile_n, k_dot), value, storage, {packed.data(), count * width});
  for (size_t i = 0; i < kBehind; ++i) ASSERT_EQ(packed[count * width + i], std::byte{0xa5});
  HostTensor read = HostTensor::zeros(storage, {static_cast<int64_t>(count)});
  std::memcpy(read.bytes.data(), packed.data(), count * width);
  HostTensor want = HostTensor::zeros(storage, read.shape);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t k = 0; k < kRows; ++k) {
      for (int64_t n = 0; n < kColumns; ++n) {
        const int64_t panel = (b * tiles + n / tile_n) * padded;
        const int64_t at = (panel + k - k % word) * tile_n + n % tile_n * word + k % word;
        want.set_integer(at, value.integer((b * kRows + k) * kColumns + n));
      }
    }
  }
  EXPECT_EQ(read.bytes, want.bytes);
}

TEST(PackWeights, PutsEachElementInItsPlace) {
  expect_packed(DType::i32, DType::i32, 4, 1);
  expect_packed(DType::i16, DType::i16, 8, 1);
  expect_packed(DType::i8, DType::i8, 3, 4);
  expect_packed(DType::i8, DType::i32, 4, 1);
  expect_packed(DType::i64, DType::i64, 4, 1);
}

// Codes of small floats and halves of bytes lie in bytes.
TEST(PackWeights, CodesAreBytes) {
  expect_packed(DType::f8e4m3fn, DType::u8, 4, 1);
  expect_packed(DType::f8e8m0, DType::u8, 16, 1);
  expect_packed(DType::i4, DType::i8, 4, 1);
}

TEST(PackWeights, NumbersAreRoundedToWhatIsStored) {
  HostTensor value = HostTensor::zeros(DType::f32, {kBatch, kRows, kColumns});
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_number(i, 1.0 + static_cast<double>(i) / 4096);
  }
  std::vector<std::byte> packed(static_cast<size_t>(kBatch * kRows * 8 * 2));
  pack_weights(order_of(8, 1), value, DType::f16, packed);
  HostTensor halves = HostTensor::zeros(DType::f16, {kBatch, kRows, 8});
  halves.bytes = packed;
  for (int64_t i = 0; i < kBatch * kRows; ++i) {
    for (int64_t n = 0; n < kColumns; ++n) {
      const double exact = value.number(i * kColumns + n);
      EXPECT_NEAR(halves.number(i * 8 + n), exact, 0x1p-11);
    }
    EXPECT_EQ(halves.number(i * 8 + kColumns), 0);
  }
}

}  // namespace
}  // namespace leat
