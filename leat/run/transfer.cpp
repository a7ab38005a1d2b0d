// Conversions element by element, with memcpy where the types agree.
#include "leat/run/transfer.h"

#include <algorithm>
#include <cstring>

#include "leat/base/half.h"

namespace leat {

namespace {

template <typename T>
T read_at(std::span<const std::byte> bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + static_cast<size_t>(index) * sizeof(T), sizeof value);
  return value;
}

template <typename T>
void write_at(std::span<std::byte> bytes, int64_t index, T value) {
  std::memcpy(bytes.data() + static_cast<size_t>(index) * sizeof(T), &value, sizeof value);
}

/// Calls visit(row-major element, placed element) for every element.
template <typename Visit>
void for_each_pair(const Shape& shape, const std::vector<int64_t>& strides, Visit visit) {
  std::vector<int64_t> at(shape.size(), 0);
  const int64_t count = element_count(shape);
  int64_t placed = 0;
  for (int64_t i = 0; i < count; ++i) {
    visit(static_cast<size_t>(i), static_cast<size_t>(placed));
    for (size_t d = shape.size(); d > 0; --d) {
      placed += strides[d - 1];
      if (++at[d - 1] < shape[d - 1]) break;
      placed -= at[d - 1] * strides[d - 1];
      at[d - 1] = 0;
    }
  }
}

}  // namespace

namespace {

/// Elements of less than 8 bits, as many as fit in a word, the first in its lowest bits.
void to_words(const HostTensor& value, std::span<std::byte> bytes) {
  const int bits = bits_of(value.dtype);
  const int64_t per_word = 32 / bits;
  const int64_t count = element_count(value.shape);
  for (int64_t first = 0; first < count; first += per_word) {
    uint32_t word = 0;
    for (int64_t i = first; i < std::min(first + per_word, count); ++i) {
      const uint32_t code = static_cast<uint32_t>(value.integer(i)) & ((1u << bits) - 1);
      word |= code << (bits * static_cast<int>(i - first));
    }
    write_at(bytes, first / per_word, word);
  }
}

}  // namespace

void to_storage(const HostTensor& value, const Placement& placement, std::span<std::byte> bytes) {
  const int64_t count = element_count(value.shape);
  const DType storage = placement.storage;
  CHECK(bytes.size() == placement.size_bytes());
  CHECK(value.bytes.size() ==
        static_cast<size_t>(count) * static_cast<size_t>(size_bytes_of(value.dtype)));
  if (placement.is_in_words()) return to_words(value, bytes);
  if (lies_as_it_is(value.dtype, storage)) {
    if (count > 0) std::memcpy(bytes.data(), value.bytes.data(), bytes.size());
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    if (storage == DType::i32) {
      write_at(bytes, i, static_cast<int32_t>(value.integer(i)));
      continue;
    }
    const float number = static_cast<float>(value.number(i));
    if (storage == DType::f16) {
      write_at(bytes, i, half_from_float(number));
    } else {
      write_at(bytes, i, number);
    }
  }
}

void place_constant(const HostTensor& value, const Placement& placement,
                    std::span<std::byte> bytes) {
  to_storage(value, placement, bytes);
  if (placement.is_in_words() || placement.strides == row_major_strides(value.shape)) return;
  const std::vector<std::byte> turned =
      to_strides(bytes, placement.storage, value.shape, placement.strides);
  std::ranges::copy(turned, bytes.begin());
}

HostTensor from_storage(std::span<const std::byte> bytes, DType storage, DType dtype, Shape shape) {
  HostTensor value = HostTensor::zeros(dtype, std::move(shape));
  const int64_t count = element_count(value.shape);
  CHECK(static_cast<int64_t>(bytes.size()) == count * size_bytes_of(storage));
  if (lies_as_it_is(dtype, storage)) {
    if (count > 0) std::memcpy(value.bytes.data(), bytes.data(), bytes.size());
    return value;
  }
  for (int64_t i = 0; i < count; ++i) {
    if (storage == DType::i32) {
      value.set_integer(i, read_at<int32_t>(bytes, i));
    } else if (storage == DType::f16) {
      value.set_number(i, static_cast<double>(float_from_half(read_at<uint16_t>(bytes, i))));
    } else {
      value.set_number(i, static_cast<double>(read_at<float>(bytes, i)));
    }
  }
  return value;
}

std::vector<std::byte> to_strides(std::span<const std::byte> row_major, DType storage,
                                  const Shape& shape, const std::vector<int64_t>& strides) {
  const size_t width = static_cast<size_t>(size_bytes_of(storage));
  std::vector<std::byte> placed(row_major.size());
  for_each_pair(shape, strides, [&](size_t from, size_t to) {
    std::memcpy(placed.data() + to * width, row_major.data() + from * width, width);
  });
  return placed;
}

std::vector<std::byte> from_strides(std::span<const std::byte> placed, DType storage,
                                    const Shape& shape, const std::vector<int64_t>& strides) {
  const size_t width = static_cast<size_t>(size_bytes_of(storage));
  std::vector<std::byte> row_major(placed.size());
  for_each_pair(shape, strides, [&](size_t to, size_t from) {
    std::memcpy(row_major.data() + to * width, placed.data() + from * width, width);
  });
  return row_major;
}

}  // namespace leat
